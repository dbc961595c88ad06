"""A family that a plugin brings is loaded, trained from nothing and read from GGUF, like any."""

from __future__ import annotations

import json
import sys
from types import ModuleType
from typing import TYPE_CHECKING, final

import gguf
import numpy as np
import pytest
from gguf_samples import LAYERS, WORDS, write_gguf

import lmkernel as lk
from lmkernel.families.gated import GatedFamily
from lmkernel.families.gguf_architecture import GgufArchitecture
from lmkernel.plugins import FamilySpec, Registry, hookimpl

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


NAME = "outsider"


@final
class Outsider(GatedFamily):
    """Llama's shape with norms of queries and keys under a name of its own."""

    model_type, class_name = NAME, "OutsiderForCausalLM"
    layout = GgufArchitecture(class_name="OutsiderForCausalLM")

    def special_tokens(self) -> dict[str, str]:
        return {"eos_token": "<|over|>"}


class Plugin:
    @hookimpl
    def lmkernel_register_families(self) -> list[FamilySpec]:
        return [FamilySpec(name=NAME, load="outsider_family:Outsider", contract="1.2")]


@pytest.fixture(autouse=True)
def _in_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    module = ModuleType("outsider_family")
    module.Outsider = Outsider  # type: ignore[attr-defined]  # what the spec names
    monkeypatch.setitem(sys.modules, "outsider_family", module)
    monkeypatch.setenv("LMKERNEL_HOME", str(tmp_path / "home"))
    registry = Registry()
    registry.register("outsider", Plugin())
    with registry.use():
        yield


@pytest.fixture
def text(tmp_path: Path) -> Path:
    story = tmp_path / "story.txt"
    story.write_text("The lantern was lit again, and again, in the old tower.\n" * 60)
    return story


def test_it_is_trained_from_nothing_and_talks(tmp_path: Path, text: Path) -> None:
    sizes = {"width": 16, "layers": 2, "heads": 2, "context": 16, "vocab": 270}
    run = lk.pretrain(
        text, family=NAME, steps=4, batch=2, out=tmp_path / "run", progress=False, **sizes
    )
    written = json.loads((run.model / "config.json").read_text())
    assert (written["model_type"], written["num_hidden_layers"]) == (NAME, 2)
    loaded = lk.load(run.model)
    assert loaded.tokenizer.decode([0], skip_special=False) == "<|over|>"
    assert loaded.describe().family == NAME
    assert len(loaded.generate("The", max_new_tokens=3, ignore_eos=True).tokens) == 3


def test_the_command_trains_it_too(
    tmp_path: Path, text: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from lmkernel.cli.main import main

    sizes = ("--width", "16", "--layers", "1", "--heads", "2", "--context", "16", "--vocab", "270")
    place = ("--data", str(text), "--out", str(tmp_path / "run"), "--quiet")
    registry = Registry()
    registry.register("outsider", Plugin())
    asked = ["pretrain", "--family", NAME, "--steps", "2", "--batch", "2", *sizes, *place]
    assert main(asked, registry=registry) == 0
    assert f"model: {tmp_path / 'run' / 'model'}" in capsys.readouterr().out


def test_it_is_read_from_gguf(tmp_path: Path) -> None:
    own = lk.load(write_gguf(tmp_path / "own.gguf", architecture=NAME))
    assert own.describe().family == NAME
    assert own.describe().layers == LAYERS
    logits = own.logits([1, 2, 3, 4])
    assert logits.shape == (4, WORDS)
    assert np.isfinite(logits).all()


def test_quantised_weights_are_read_the_same_way(tmp_path: Path) -> None:
    kind = gguf.GGMLQuantizationType.Q8_0
    whole = lk.load(write_gguf(tmp_path / "whole.gguf", architecture=NAME))
    eight = lk.load(write_gguf(tmp_path / "eight.gguf", architecture=NAME, kind=kind))
    exact, rounded = whole.parameters(), eight.parameters()
    worst = {name: np.abs(exact[name] - rounded[name]).max() for name in exact}
    # Q8_0 keeps a block of 32 as 8-bit numbers times its largest value over 127, itself a float16
    largest = {name: np.abs(exact[name]).max() for name in exact}
    assert all(worst[n] <= largest[n] * (0.5 / 127 + 2.0**-11) for n in exact)
    assert max(worst.values()) > 0
