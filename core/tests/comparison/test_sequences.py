"""Encoder-decoders are compared as they are run: the source encoded, the decoder fed tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from sequence_models import sequence_model

import lmkernel as lk
from lmkernel.comparison.greedy import decode_greedily
from lmkernel.comparison.layers import trace

if TYPE_CHECKING:
    from pathlib import Path


def test_greedy_answers_read_the_source(tmp_path: Path) -> None:
    model = lk.load(sequence_model(tmp_path / "m", "bart"))
    prompts = ([3, 4, 5], [9, 8])
    answers = [decode_greedily(model, prompt, 5) for prompt in prompts]
    for prompt, answer in zip(prompts, answers, strict=True):
        whole = list(model.generate_tokens([prompt], max_new_tokens=5))
        assert answer.tokens == tuple(token for [token] in whole if token is not None)
    assert not np.allclose(answers[0].logits[0], answers[1].logits[0])


@pytest.mark.parametrize("name", ["t5", "umt5", "marian apart"])
def test_a_trace_ends_in_the_logits_of_the_whole_model(name: str, tmp_path: Path) -> None:
    model = lk.load(sequence_model(tmp_path / "m", name))
    ids = [3, 44, 5, 7]
    found = trace(model.model, model.params, ids)
    assert "decoder embedding" in found
    assert "decoder layer 2 (cross-attention)" in found
    ops = model.backend.ops
    with model.backend:
        inputs = ops.asarray([ids], "int32")
        whole = model.model.forward(model.params, inputs, target=inputs)
        np.testing.assert_array_equal(found["logits"], ops.to_numpy(whole))
