"""The README's first program, as written, with a small model and stand-ins under its names.

It runs beside the real model and frameworks in conformance/real/test_readme_program.py.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from letters import letters
from readme import first_program, write_questions
from small import HF_CONFIG, small_config, values_of

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import write_directory
from lmkernel.contract.capabilities import Capabilities
from lmkernel.families.llama import Llama
from lmkernel.families.names import from_ours
from lmkernel.model import Model
from lmkernel.plugins import BackendSpec, Registry, hookimpl

if TYPE_CHECKING:
    from pathlib import Path

MODEL, CONTEXT = "smollm2-135m-instruct", 600
NAMES = ("numpy", "torch", "jax", "tensorflow")


class StandIns:
    @hookimpl
    def lmkernel_register_backends(self) -> list[BackendSpec]:
        load = "lmkernel_numpy.backend:create"
        return [
            BackendSpec(name=name, load=load, contract="1.2", capabilities=Capabilities())
            for name in NAMES
        ]


@pytest.fixture
def registry() -> Registry:
    from lmkernel.components import plugin as components
    from lmkernel.families import plugin as families
    from lmkernel.sources import plugin as sources
    from lmkernel.training import plugin as training

    plugins = {"components": components, "families": families, "sources": sources}
    return Registry({**plugins, "training": training, "stand-ins": StandIns()})


@pytest.fixture
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder with the questions, and a small model that has been pulled by the name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LMKERNEL_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LMKERNEL_BACKEND", raising=False)
    write_questions(tmp_path / "qa.jsonl")
    model = Model(load_backend(), small_config(max_position_embeddings=CONTEXT))
    rules = Llama().rules(model.config)
    write_directory(
        tmp_path / "home" / "models" / MODEL,
        config={**json.loads(json.dumps(HF_CONFIG)), "max_position_embeddings": CONTEXT},
        tensors=from_ours(values_of(model), rules, model.declare()),
        tokenizer=letters(),
    )


@pytest.mark.usefixtures("_place")
def test_the_first_program_runs_as_it_is_written(
    registry: Registry, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    with registry.use():
        exec(compile(first_program(), "README.md", "exec"), {})  # noqa: S102 - the README's own
    out = capsys.readouterr().out
    for name in ("numpy", "torch", "jax"):
        assert f"\n{name} " in out
    assert "20/20 equal" in out
    assert "differs" not in out
    assert list((tmp_path / "runs").glob("finetune-*/model/adapter_model.safetensors"))
