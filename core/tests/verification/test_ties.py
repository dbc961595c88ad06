"""Mixtures of experts: a choice within rounding of a tie is no defect; what is wrong still is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

import lmkernel as lk
from lmkernel.backend import load_backend
from lmkernel.config import ExpertsConfig
from lmkernel.errors import SubjectError
from lmkernel.inspection.run import activations
from lmkernel.model import Model
from lmkernel.origin import open_origin
from lmkernel.verification.routing import hanging, undecided

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MIXTRAL = {
    "model_type": "mixtral",
    "hidden_size": 64,
    "intermediate_size": 100,
    "num_hidden_layers": 2,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "num_local_experts": 6,
    "vocab_size": 61,
    "max_position_embeddings": 128,
}
FEW = ExpertsConfig(count=4, chosen=2, hidden=8)


@pytest.fixture(scope="module")
def twin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("mixture")
    (folder / "config.json").write_text(json.dumps(MIXTRAL))
    return lk.twin(folder / "config.json", folder / "twin").path


def port(checkpoint: Path, change: Callable[[str, Any], Any]) -> Any:
    """A function with activations, of a model whose parameters are changed."""
    origin = open_origin(checkpoint)
    model = Model(load_backend("numpy"), origin.config)
    values = origin.weights(model.declare())
    params = model.pack({n: change(n, x) for n, x in values.items()})

    def run(ids: Any, positions: Any) -> dict[str, Any]:
        with model.backend:
            ops = model.backend.ops
            given, where = (ops.asarray(x.astype(np.int32), "int32") for x in (ids, positions))
            return {a.name: a.value for a in activations(model, params, given, positions=where)}

    return run


def nudged(name: str, x: Any) -> Any:
    """Routers whose weights are off by a 64th."""
    if not name.endswith("router.weight"):
        return x
    signs = np.sign(np.random.default_rng(0).standard_normal(x.shape))
    return (x * (1 + signs * 2.0**-6)).astype(np.float32)


def doubled(name: str, x: Any) -> Any:
    """The same, and experts of the second layer that write twice as much."""
    wrong = name.endswith("layers.1.mlp.experts.down.weight")
    return x * np.float32(2) if wrong else nudged(name, x)


def verify(twin: Path, subject: Any, **options: Any) -> Any:
    return lk.verify(twin, subject=subject, level="quick", progress=False, **options)


def test_a_choice_that_rounding_may_change_is_not_accused(twin: Path) -> None:
    found = verify(twin, port(twin, nudged), dtype="bfloat16")
    assert found.passed, found
    [guard] = [g for g in found.document["guards"] if g["name"] == "choices of experts"]
    assert guard["state"] == "note"
    assert "lie within rounding of a tie" in guard["text"]
    assert "each layer is judged on what the subject itself gave it" in guard["text"]


def test_what_is_wrong_beside_such_choices_is_found_in_its_layer(twin: Path) -> None:
    found = verify(twin, port(twin, doubled), dtype="bfloat16", diagnosing=False)
    assert (found.passed, found.parts_at) == (False, "layer 1 (feed-forward)"), found


def test_logits_that_all_hang_on_such_choices_cannot_be_judged(twin: Path) -> None:
    run = port(twin, nudged)
    with pytest.raises(SubjectError, match="every logit hangs on a choice of experts"):
        verify(twin, lambda ids, positions: run(ids, positions)["logits"], dtype="bfloat16")


def test_in_float32_the_same_router_is_wrong(twin: Path) -> None:
    found = verify(twin, port(twin, nudged), diagnosing=False)
    assert found.parts_at == "layer 0 (routing)", found


def test_scores_nearer_than_both_may_be_off_are_undecided() -> None:
    scores = np.array([[0.4, 0.3, 0.2, 0.1], [0.4, 0.3, 0.28, 0.02], [0.4, 0.39, 0.2, 0.01]])
    error = np.full(4, 0.02)
    # the order of the two that are chosen is of no account
    assert undecided(scores, error, FEW).tolist() == [False, True, False]
    every = ExpertsConfig(count=4, chosen=4, hidden=8)
    assert not undecided(scores, error, every).any()


@pytest.mark.parametrize(
    ("score", "expected"), [("max", [False, True]), ("top_two", [True, False])]
)
def test_groups_that_are_nearer_are_undecided(score: str, expected: list[bool]) -> None:
    grouped = ExpertsConfig(
        count=4, chosen=2, hidden=8, groups=2, chosen_groups=1, group_score=score
    )
    scores = np.array([[0.6, 0.1, 0.4, 0.3], [0.41, 0.1, 0.4, 0.35]])
    assert undecided(scores, np.full(4, 0.02), grouped).tolist() == expected


@pytest.mark.parametrize(
    ("causal", "expected"), [(True, [False, False, True, True, True]), (False, [True] * 5)]
)
def test_later_positions_hang_on_what_they_see(causal: bool, expected: list[bool]) -> None:
    first, last = np.zeros(5, np.bool_), np.zeros(5, np.bool_)
    first[2] = last[4] = True
    assert hanging([first, last], causal=causal).tolist() == expected


def test_what_the_last_layer_chooses_is_seen_by_nobody() -> None:
    last = np.array([True, False, False])
    assert hanging([np.zeros(3, np.bool_), last], causal=False).tolist() == [True, False, False]
