"""Broken components, and seeds that are not the core's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any
from unittest import mock

import numpy as np

from lmkernel.contract.capabilities import WIDE
from lmkernel.interfaces import Decoder, Embedded, Embedding, Encoder, Loss, Memory
from lmkernel_proofs.mutants.around import around, rebuilt
from lmkernel_proofs.mutants.mutant import Mutant, component, narrow

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

__all__ = ["MUTANTS"]


def _plain_theta(config: Any) -> Any:
    """The base theta is 10,000, whatever the configuration says."""
    return replace(config, rotary=config.rotary and replace(config.rotary, theta=1e4))


def _no_scaling(config: Any) -> Any:
    """Scaling for long contexts is ignored."""
    return replace(config, rotary=config.rotary and replace(config.rotary, scaling="none"))


def _wider_window(config: Any) -> Any:
    """A window of n sees n before itself, so n + 1 in all."""
    window = config.attention.window
    wide = window and window + 1
    return replace(config, attention=replace(config.attention, window=wide))


def _shifted_positions(ops: Any, config: Any) -> Callable[..., Any]:
    """Positions count from the left end of the padding."""
    del config

    def call(inner: Any, params: Any, inputs: Any, positions: Any, **options: Any) -> Embedded:
        batch, time = positions.shape
        slots = ops.broadcast_to(
            ops.reshape(ops.arange(0, time, "int32"), (1, time)), (batch, time)
        )
        wrong = inner(params, inputs, slots, **options)
        return Embedded(wrong.hidden, positions, wrong.rotation)

    return call


def _scale_rounded(ops: Any, config: Any) -> Callable[..., Any]:
    """The factor is rounded to 16 bits before it multiplies."""

    def call(inner: Any, params: Any, inputs: Any, positions: Any, **options: Any) -> Embedded:
        table = inner.weight(params)
        if config.scale == 1 or ops.dtype(table) not in WIDE:
            right: Embedded = inner(params, inputs, positions, **options)
            return right
        rows = ops.take_rows(table, inputs)
        return Embedded(rows * ops.full((), config.scale, ops.dtype(rows)), positions)

    return call


def _padding_seen(ops: Any, config: Any) -> Callable[..., Any]:
    """Whoever looks at the encoder's output sees its padding too."""
    del config

    def call(inner: Any, params: Any, inputs: Any, **options: Any) -> Memory:
        memory = inner(params, inputs, **options)
        shown = ops.maximum(memory.positions, ops.full((), 0, "int32"))
        return Memory(memory.hidden, shown, memory.state)

    return call


def _labels_shifted(ops: Any, config: Any) -> Callable[..., Any]:
    """The loss shifts labels that are in place already."""
    del ops, config

    def call(inner: Any, outputs: Any, targets: Any) -> Any:
        return inner(outputs[..., :-1, :], targets[..., 1:])

    return call


def _all_counted(ops: Any, config: Any) -> Callable[..., Any]:
    """Ignored targets are counted."""
    del config

    def call(inner: Any, outputs: Any, targets: Any) -> Any:
        total, count = inner(outputs, targets)
        return total, ops.full((), float(np.prod(targets.shape)), ops.dtype(count))

    return call


def _padding_read(ops: Any, config: Any) -> Callable[..., Any]:
    """A recurrent encoder reads padding as if it were there."""
    del config

    def call(inner: Any, params: Any, inputs: Any, **options: Any) -> Memory:
        shown = ops.maximum(inputs.positions, ops.full((), 0, "int32"))
        memory = inner(params, Embedded(inputs.hidden, shown), **options)
        return Memory(memory.hidden, inputs.positions, memory.state)

    return call


def _patched(where: str, broken: Callable[..., Any]) -> Callable[[], AbstractContextManager[Any]]:
    return lambda: mock.patch(where, broken)


def _other_uniforms(seed: int, purpose: str, count: int) -> Any:
    """NumPy's own generator: right moments, other bits."""
    del purpose
    return np.random.default_rng(seed).random(count)


def _other_normals(seed: int, purpose: str, count: int) -> Any:
    """NumPy's own normals: right moments, other bits."""
    del purpose
    return np.random.default_rng(seed).standard_normal(count)


def _unshared(seed: int, row: int, step: int) -> float:
    """Draws that do not know the row."""
    del row
    return float(np.random.default_rng((seed, step)).random())


_TOKEN = "embedding:token"  # noqa: S105 - a kind of embedding, no secret

MUTANTS = (
    Mutant(
        id="rotary.theta_ignored",
        level="components",
        make=component(_TOKEN, rebuilt(Embedding, "embedding", "token", _plain_theta)),
        row=10,
        seen="candle#3746",
    ),
    Mutant(
        id="rotary.theta_ignored.in_a_model",
        level="models",
        make=component(_TOKEN, rebuilt(Embedding, "embedding", "token", _plain_theta)),
        row=10,
        seen="candle#3746",
        higher="the defect of rotary.theta_ignored, which a whole model must show too",
    ),
    Mutant(
        id="rotary.scaling_ignored",
        level="components",
        make=component(_TOKEN, rebuilt(Embedding, "embedding", "token", _no_scaling)),
        row=10,
    ),
    Mutant(
        id="rotary.scaling_ignored.in_a_checkpoint",
        level="checkpoints",
        make=component(_TOKEN, rebuilt(Embedding, "embedding", "token", _no_scaling)),
        row=10,
        higher="the defect of rotary.scaling_ignored, which a checkpoint's model must show too",
    ),
    Mutant(
        id="positions.shifted_by_padding",
        level="components",
        make=component(_TOKEN, around(Embedding, "embedding", "token", _shifted_positions)),
        row=11,
        seen="nnsight#673",
    ),
    Mutant(
        id="positions.shifted_in_a_batch",
        level="generation",
        make=component(_TOKEN, around(Embedding, "embedding", "token", _shifted_positions)),
        row=11,
        seen="nnsight#673",
        higher="the defect of positions.shifted_by_padding, which a batch of prompts must show too",
    ),
    Mutant(
        id="window.too_wide",
        level="components",
        make=component(
            "decoder:transformer", rebuilt(Decoder, "decoder", "transformer", _wider_window)
        ),
    ),
    Mutant(
        id="memory.padding_seen",
        level="models",
        make=component(
            "encoder:transformer", around(Encoder, "encoder", "transformer", _padding_seen)
        ),
        row=8,
        seen="transformers#36293",
    ),
    Mutant(
        id="memory.padding_seen.in_generation",
        level="generation",
        make=component(
            "encoder:transformer", around(Encoder, "encoder", "transformer", _padding_seen)
        ),
        row=8,
        seen="transformers#36293",
        higher="the defect of memory.padding_seen, which generated tokens must show too",
    ),
    Mutant(
        id="recurrent.padding_read",
        level="components",
        make=component("encoder:recurrent", around(Encoder, "encoder", "recurrent", _padding_read)),
        row=11,
    ),
    Mutant(
        id="embedding.scale_rounded",
        level="components",
        make=component(_TOKEN, around(Embedding, "embedding", "token", _scale_rounded)),
        row=26,
        seen="transformers#29402",
        base=narrow(),
    ),
    Mutant(
        id="loss.labels_shifted",
        level="components",
        make=component(
            "loss:cross_entropy", around(Loss, "loss", "cross_entropy", _labels_shifted)
        ),
        row=20,
        seen="transformers#47394",
    ),
    Mutant(
        id="loss.counts_ignored",
        level="components",
        make=component("loss:cross_entropy", around(Loss, "loss", "cross_entropy", _all_counted)),
        row=19,
        seen="pytorch#73205",
    ),
    Mutant(
        id="initial.uniforms",
        level="document",
        make=lambda backend: backend,
        row=30,
        seen="keras#18426",
        patch=_patched("lmkernel.parameters.initial.uniforms", _other_uniforms),
    ),
    Mutant(
        id="random.normals",
        level="document",
        make=lambda backend: backend,
        row=30,
        seen="keras#18426",
        patch=_patched("lmkernel_conformance.cases.seeds.normals", _other_normals),
    ),
    Mutant(
        id="sampling.draws_shared",
        level="generation",
        make=lambda backend: backend,
        row=30,
        patch=_patched("lmkernel.generation.sampling.draw", _unshared),
    ),
)
