"""Forty ports with one defect each, made of transformers: each is found, placed and named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from broken_transformers import CONFIGS, PORTS, Broken

import lmkernel as lk

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("twins")
    made = {}
    for name, values in CONFIGS.items():
        config = folder / f"{name}.json"
        config.write_text(json.dumps(values))
        made[name] = lk.twin(config, folder / name).path
    return made


@pytest.fixture
def verify(monkeypatch: pytest.MonkeyPatch, twins: dict[str, Path]) -> Any:
    from lmkernel_transformers import subject

    own = subject._load

    def run(
        port: Broken | str, apply: Callable[[Any], Any] = lambda _: None, **options: Any
    ) -> Any:
        name = port if isinstance(port, str) else port.twin
        breaking = apply if isinstance(port, str) else port.apply
        patches: list[Any] = []

        def load(*arguments: Any) -> Any:
            model = own(*arguments)
            patch = breaking(model)
            if patch is not None:
                patch.start()
                patches.append(patch)
            return model

        monkeypatch.setattr(subject, "_load", load)
        try:
            return lk.verify(
                twins[name], subject="transformers", level="quick", progress=False, **options
            )
        finally:
            for patch in patches:
                patch.stop()

    return run


@pytest.mark.parametrize("port", PORTS, ids=lambda p: p.id)
def test_a_broken_port_is_found_placed_and_named(port: Broken, verify: Any) -> None:
    found = verify(port)
    assert not found.passed
    if port.place:
        assert found.parts_at == port.place, found
    # a defect that the table does not hold is unknown, and never called another
    assert found.diagnoses[:1] == ((port.looks,) if port.looks else ()), found


@pytest.mark.parametrize("name", sorted(CONFIGS))
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_an_honest_port_is_right(name: str, dtype: str, verify: Any) -> None:
    found = verify(name, dtype=dtype)
    assert found.passed, found


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_either_attention_is_right(attention: str, verify: Any) -> None:
    assert verify("llama", options={"attn": attention}).passed
