"""Hidden states and logits: numbered as in transformers, the last what the head is given."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from inspected import bare, small_encoder, small_llama
from small import small_config
from small_bert import small_bert

from lmkernel.config import FeedForwardConfig
from lmkernel.errors import InputError
from lmkernel.inspection import activations, hidden_states, logits
from lmkernel_conformance.cases.zoo import ZOO

if TYPE_CHECKING:
    from pathlib import Path

ROWS = [[7, 3, 9, 2, 11], [5, 5, 1, 30, 8]]
CONFIGS = {
    "llama": small_config(num_hidden_layers=3),
    "bert": small_bert(num_hidden_layers=3),
    "classifier": small_bert("BertForSequenceClassification", num_labels=3),
    "gemma": ZOO["gemma"],
}


def by_name(model: Any) -> dict[str, np.ndarray]:
    ops = model.model.backend.ops
    run = activations(model.model, model.params, ops.asarray(ROWS, "int32"))
    return {a.name: ops.to_numpy(a.value) for a in run}


@pytest.mark.parametrize("name", sorted(CONFIGS))
def test_the_last_one_makes_the_logits(name: str) -> None:
    model = bare(CONFIGS[name])
    ops = model.model.backend.ops
    last = ops.asarray(hidden_states(model, ROWS)[-1], "float64")
    positions = ops.asarray([range(5)] * 2, "int32")
    output = ops.to_numpy(model.model.output(model.params, last, positions))
    np.testing.assert_array_equal(output, logits(model, ROWS))


def test_a_pre_norm_stack_ends_in_its_norm() -> None:
    model = bare(CONFIGS["llama"])
    states, found = hidden_states(model, ROWS), by_name(model)
    expected = ["embedding", "layer 0 (feed-forward)", "layer 1 (feed-forward)", "final norm"]
    np.testing.assert_array_equal(states, np.stack([found[name] for name in expected]))


def test_a_post_norm_stack_ends_in_its_last_layer() -> None:
    model = bare(CONFIGS["bert"])
    states, found = hidden_states(model, ROWS), by_name(model)
    expected = ["embedding", *(f"layer {i} (feed-forward)" for i in range(3))]
    np.testing.assert_array_equal(states, np.stack([found[name] for name in expected]))


def test_some_layers() -> None:
    model = bare(CONFIGS["llama"])
    every = hidden_states(model, ROWS)
    np.testing.assert_array_equal(hidden_states(model, ROWS, [-1, 0]), every[[3, 0]])
    with pytest.raises(InputError, match="expected numbers in -4 … 3, got"):
        hidden_states(model, ROWS, [4])


def test_shapes_follow_what_was_given(tmp_path: Path) -> None:
    model, encoder = small_llama(tmp_path / "llama"), small_encoder(tmp_path / "bert")
    assert hidden_states(model, "abc").shape == (3, 3, 24)
    assert hidden_states(model, [1, 2]).shape == (3, 2, 24)
    assert hidden_states(model, ROWS).shape == (3, 2, 5, 24)
    assert logits(model, "abc").shape == (3, 61)
    assert logits(model, ROWS).shape == (2, 5, 61)
    assert logits(encoder, "abc").shape == (24,)
    assert logits(encoder, ROWS).shape == (2, 24)


def test_recurrent_layers_have_hidden_states_too() -> None:
    gru = replace(ZOO["gru"], decoder=None, target_embedding=None, head=None)
    model = bare(gru)
    memory = model.model.encode(model.params, np.array([[3, 1, 2]]))
    np.testing.assert_array_equal(hidden_states(model, [[3, 1, 2]], [-1])[0], memory.hidden)


def test_layers_of_unequal_width_come_one_at_a_time() -> None:
    dense = FeedForwardConfig(widths=(24, 10, 6))
    model = bare(replace(small_config(), decoder=dense, head=None))
    assert hidden_states(model, ROWS, [-1]).shape == (1, 2, 5, 6)
    with pytest.raises(InputError, match=r"layers of one width, got \[6, 10, 24\]; ask for one"):
        hidden_states(model, ROWS)


@pytest.mark.parametrize("look", [hidden_states, logits])
def test_encoder_decoders_are_refused(look: Any) -> None:
    with pytest.raises(InputError, match="an encoder or a decoder, got one with both"):
        look(bare(ZOO["t5"]), ROWS)
