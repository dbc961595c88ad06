"""Every defect of the table is found in a port that has it, and named; no other one is."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lmkernel.origin import open_origin
from lmkernel.verification.defects import candidates
from lmkernel.verification.one_run import Input, Variant
from lmkernel.verification.part import part_of
from lmkernel.verification.running import variant_logits

if TYPE_CHECKING:
    from pathlib import Path

    import ports

    from lmkernel.verification.defects import Candidate

TWINS = ("llama", "mistral", "qwen2", "qwen3", "gpt2", "bert")
PER_TWIN = 2


@cache
def visible(twin: Path) -> list[Candidate]:
    """Those that change the logits: an epsilon of 1e-8 for 1e-12 does not."""
    part = part_of(open_origin(twin))
    ids = np.arange(40, dtype=np.int32)[None]
    given = [Input(ids, ids)]
    [right] = variant_logits(part, given, Variant())
    return [
        one
        for one in candidates(part.config)
        if np.abs(variant_logits(part, given, one.variant)[0] - right).max() > 1e-3
    ]


@pytest.mark.parametrize("twin", TWINS)
@pytest.mark.parametrize(
    "number", [0, *(pytest.param(n, marks=pytest.mark.whole) for n in range(1, PER_TWIN))]
)
def test_a_defect_is_named(
    twin: str, number: int, quick: Any, twins: dict[str, Path], wrong: ports.Wrong
) -> None:
    """Each PER_TWIN-th of the table, by turns: each twin tries others."""
    seen = visible(twins[twin])
    one = seen[(number * len(seen) // PER_TWIN + TWINS.index(twin) * 3) % len(seen)]
    wrong.variant = one.variant
    found = quick(twin)
    assert not found.passed
    words = [d["words"] for d in found.document["diagnoses"]]
    assert any(named.startswith(one.words) for named in words), found.verdict


def test_no_defect_is_called_none(quick: Any) -> None:
    found = quick("llama")
    assert found.passed
    assert found.diagnoses == ()
    assert found.verdict.startswith("right: python:ports:broken in float32 differs by rounding")


def test_what_the_table_does_not_hold_is_unknown(quick: Any, wrong: ports.Wrong) -> None:
    def disturb(values: dict[str, Any]) -> dict[str, Any]:
        name = "decoder.layers.1.mlp.down.weight"
        return {n: x * np.float32(1.01) if n == name else x for n, x in values.items()}

    wrong.variant = Variant(change=disturb)
    found = quick("llama")
    assert found.diagnoses == ()
    assert "what it looks like is unknown" in found.verdict
    # and still it is placed, although the port says nothing of what is inside
    assert found.parts_at == "layer 1"
    assert found.document["parting"]["how"] == "truncation"


def test_two_defects_at_once_are_not_called_one_of_them(
    quick: Any, twins: dict[str, Path], wrong: ports.Wrong
) -> None:
    def both(values: dict[str, Any]) -> dict[str, Any]:
        return {n: x + np.float32("norm" in n) for n, x in values.items()}

    by_id = {c.id: c for c in candidates(open_origin(twins["llama"]).config)}
    wrong.variant = replace(by_id["attention.causal"].variant, change=both)
    assert quick("llama").diagnoses == ()


def test_the_mask_and_positions_are_named(quick: Any, wrong: ports.Wrong) -> None:
    wrong.positions = lambda x: np.broadcast_to(np.arange(x.shape[1]), x.shape)
    found = quick("gpt2")
    assert not found.passed
    states = {g["name"]: g["state"] for g in found.document["guards"]}
    assert states["mask"] == "problem"


def test_padding_that_is_counted_is_named(quick: Any, wrong: ports.Wrong) -> None:
    wrong.positions = lambda x: np.where(x < 0, -1, np.arange(x.shape[1]) if len(x) > 1 else x)
    found = quick("gpt2")
    assert found.diagnoses == ("positions.padding",)


def test_positions_that_restart_are_named(quick: Any, wrong: ports.Wrong) -> None:
    wrong.positions = lambda x: (
        np.where(x < 0, -1, x - x.max(1, keepdims=True) + 15)[:, :]
        if (len(x) == 1 and x.min() > 0)
        else x
    )
    found = quick("gpt2")
    assert found.diagnoses == ("positions.restart",)
    states = {g["name"]: g["state"] for g in found.document["guards"]}
    assert states["positions"] == "problem"
