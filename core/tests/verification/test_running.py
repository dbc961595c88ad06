"""The reference: the model's own numbers in float64, and no more than a layer in memory."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING

import numpy as np
import pytest

import lmkernel as lk
from lmkernel.comparison.layers import limits, trace
from lmkernel.origin import open_origin
from lmkernel.verification.one_run import Input, Variant
from lmkernel.verification.part import part_of
from lmkernel.verification.prompts import choose_prompts
from lmkernel.verification.running import reference_places, variant_logits

if TYPE_CHECKING:
    from pathlib import Path

IDS = (7, 3, 9, 2, 11, 30, 5)


def given(*ids: int, start: int = 0) -> Input:
    rows = np.array([ids], np.int32)
    return Input(rows, np.arange(start, start + len(ids), dtype=np.int32)[None])


PADDED = (7, 1, 3, 1, 9, 2)
"""With the padding of RoBERTa, which takes no position."""


@pytest.mark.parametrize(
    ("twin", "ids"),
    [
        *((name, IDS) for name in ("llama", "mistral", "qwen2", "qwen3", "gpt2", "bert")),
        *(("roberta", ids) for ids in (IDS, PADDED)),
    ],
)
def test_it_is_what_compare_measures(
    twin: str, ids: tuple[int, ...], twins: dict[str, Path]
) -> None:
    places = list(reference_places(part_of(open_origin(twins[twin])), [given(*ids)], runs=2))
    exact = lk.load(twins[twin], dtype="float64")
    rough = lk.load(twins[twin])
    reference = trace(exact.model, exact.params, ids)
    honest = [[trace(rough.model, rough.params, ids, order=order)] for order in range(2)]
    assert [p.name for p in places] == list(reference)
    for place, want in zip(places, limits([reference], honest), strict=True):
        assert np.allclose(place.reference[0], reference[place.name], rtol=1e-12, atol=1e-13)
        assert place.limits[0].activation == want.activation
        assert place.limits[0].honest.max() == pytest.approx(want.honest.max(), rel=0.5)


def test_no_row_holds_what_takes_no_position(twins: dict[str, Path]) -> None:
    """Whoever is told positions may look them up as they are."""
    found = [
        choose_prompts(open_origin(twins[name]).config, None, "quick", ids=[[4, 1, 5]]).rows
        for name in ("roberta", "bert")
    ]
    held = [{token for row in rows for token in row.ids} for rows in found]
    assert [1 in ids for ids in held] == [False, True]


def test_padding_and_positions_are_those_of_the_model(twins: dict[str, Path]) -> None:
    part = part_of(open_origin(twins["gpt2"]))
    [alone] = variant_logits(part, [given(*IDS, start=9)], Variant())
    ids = np.array([[0, 0, *IDS]], np.int32)
    where = np.array([[-1, -1, *range(9, 9 + len(IDS))]], np.int32)
    [padded] = variant_logits(part, [Input(ids, where)], Variant())
    assert np.allclose(padded[:, 2:], alone, rtol=1e-12)


def test_honest_runs_have_the_angles_of_others(twins: dict[str, Path]) -> None:
    """A float32 product is off at position 90,000, and whoever forms it is not accused."""
    place = "layer 0 (attention)"
    worst = {}
    for start in (0, 90_000):
        places = reference_places(
            part_of(open_origin(twins["qwen3"])), [given(*IDS, start=start)], runs=3
        )
        worst[start] = next(p.limits[0].honest.max() for p in places if p.name == place)
    assert worst[90_000] > 20 * worst[0]


def test_its_memory_is_a_layers_and_not_the_models(tmp_path: Path) -> None:
    """A model of twelve layers is seen with little more memory than one of three."""
    values = {
        "model_type": "llama",
        "hidden_size": 192,
        "intermediate_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 6,
        "num_key_value_heads": 2,
        "vocab_size": 2000,
        "max_position_embeddings": 128,
    }
    (tmp_path / "config.json").write_text(json.dumps(values))
    peaks = {}
    for layers in (3, 12):
        made = lk.twin(tmp_path / "config.json", tmp_path / str(layers), like=True, layers=layers)
        origin = open_origin(made.path)
        tracemalloc.start()
        for _ in reference_places(part_of(origin), [given(*IDS)], runs=2):
            pass
        peaks[layers] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # a layer is 5.9e5 parameters, 7 MB in float64 and float32; nine more would be 64 MB
    assert peaks[12] < 1.1 * peaks[3] + 1e6
