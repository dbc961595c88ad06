"""What a device holds and sends, beside a trainer's state and rings counted by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest
from training_samples import made_trainer, small_gpt2

from lmkernel.contract.distribution import Mesh
from lmkernel.parameters import flatten
from lmkernel.training.config import OptimizerConfig
from lmkernel.training.planning.costs import Work, held, sent

CONFIG = small_gpt2(vocab_size=64, n_head=4)
"""Of width 24, which 2 and 4 divide."""


def work(mesh: str = "", **changes: Any) -> Work:
    declared = flatten(made_trainer(CONFIG).declare())
    usual: dict[str, Any] = {"batch": 8, "context": 6, "accumulate": 1, "moments": 2, "size": 4}
    return Work(
        declared=declared,
        stack=CONFIG.decoder,  # type: ignore[arg-type]  # there is one
        vocab=64,
        mesh=Mesh.parse(mesh),
        **{**usual, **changes},
    )


def size_of(axis: str = "") -> int:
    """Bytes of all parameters, or of those that have a logical axis."""
    declared = flatten(made_trainer(CONFIG).declare()).values()
    return sum(4 * math.prod(p.shape) for p in declared if not axis or axis in p.axes)


def test_one_device_holds_what_a_trainer_holds() -> None:
    trainer = made_trainer(CONFIG, optimizer=OptimizerConfig(kind="adamw"))
    state = trainer.start(trainer.model.initial(7))
    kept = held(work())
    assert kept.parameters == sum(x.nbytes for x in state.trainable.values())
    assert kept.moments == sum(x.nbytes for x in flatten(state.optimizer).values())
    assert kept.joined == 0
    assert sent(work()).total == 0


def test_rows_alone_send_gradients_around_a_ring() -> None:
    away = sent(work("data=4", accumulate=3))
    assert away.gradients == 2 * 3 / 4 * size_of()  # once a step, whatever it accumulates
    assert away.weights == away.activations == 0
    assert held(work("data=4")).parameters == size_of()


def test_parts_are_joined_and_added_up_for_every_micro_batch() -> None:
    divided = size_of("embed")
    away, kept = sent(work("fsdp=2", accumulate=3)), held(work("fsdp=2"))
    assert away.weights == 3 * 2 * 1 / 2 * divided
    assert away.gradients == 2 * 1 / 2 * (size_of() - divided)
    assert kept.parameters == divided / 2 + size_of() - divided
    assert kept.joined == divided / 2


def test_a_product_of_meshes_adds_up_over_the_axis_that_is_left() -> None:
    divided = size_of("embed")
    away = sent(work("data=2,fsdp=2"))
    rest = size_of() - divided
    assert away.gradients == 2 * 1 / 2 * (divided / 2 + 2 * rest)


def test_layers_that_are_divided_send_what_flows_between_them() -> None:
    assert CONFIG.decoder is not None
    crossings = 4 * 2 + 2  # two layers
    away = sent(work("model=2"))
    assert away.activations == crossings * 2 * 1 / 2 * (8 * 6) * 24 * 4
    assert held(work("model=2")).parameters < 0.7 * size_of()


def test_what_rows_need_is_divided_with_them() -> None:
    one, several = held(work()), held(work("data=2"))
    assert several.activations == one.activations / 2
    assert several.cache == one.cache / 2
    assert held(replace(work(), size=2)).cache == one.cache / 2
    # keys and values of two layers, of the model's width
    assert one.cache == 2 * 2 * 24 * (8 * 6) * 4


def test_a_width_that_does_not_divide_is_named() -> None:
    with pytest.raises(Exception, match="mesh fsdp=5: expected sizes that divide by fsdp=5"):
        sent(work("fsdp=5"))
