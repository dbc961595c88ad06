"""Broken components, and random numbers that are not the core's."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.contract.capabilities import WIDE
from lmkernel.interfaces import Decoder, Embedded, Embedding, Encoder, Loss, Memory
from lmkernel_proofs.mutants.mutant import Mutant, Patch, component, narrow
from lmkernel_proofs.mutants.wrappers import with_call, with_config

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MUTANTS"]


def _plain_theta(config: Any) -> Any:
    """The base of RoPE is 10,000, whatever the configuration says."""
    return replace(config, rotary=config.rotary and replace(config.rotary, theta=1e4))


def _no_scaling(config: Any) -> Any:
    """RoPE's scaling for long contexts is ignored."""
    return replace(config, rotary=config.rotary and replace(config.rotary, scaling="none"))


def _wider_window(config: Any) -> Any:
    """A window of n sees n positions before its own, so n + 1 in all."""
    window = config.attention.window
    wide = window and window + 1
    return replace(config, attention=replace(config.attention, window=wide))


def _shifted_positions(ops: Any, config: Any) -> Callable[..., Any]:
    """Positions are counted from the left end, padding included."""
    del config

    def call(inner: Any, params: Any, inputs: Any, positions: Any, **options: Any) -> Embedded:
        batch, time = positions.shape
        slots = ops.broadcast_to(
            ops.reshape(ops.arange(0, time, "int32"), (1, time)), (batch, time)
        )
        wrong = inner(params, inputs, slots, **options)
        return Embedded(wrong.hidden, positions, wrong.rotation)

    return call


def _round_scale(ops: Any, config: Any) -> Callable[..., Any]:
    """The embedding's scale is rounded to 16 bits before it multiplies."""

    def call(inner: Any, params: Any, inputs: Any, positions: Any, **options: Any) -> Embedded:
        table = inner.weight(params)
        if config.scale == 1 or ops.dtype(table) not in WIDE:
            right: Embedded = inner(params, inputs, positions, **options)
            return right
        rows = ops.take_rows(table, inputs)
        return Embedded(rows * ops.full((), config.scale, ops.dtype(rows)), positions)

    return call


def _show_padding(ops: Any, config: Any) -> Callable[..., Any]:
    """Cross-attention sees the padding of the encoder's output."""
    del config

    def call(inner: Any, params: Any, inputs: Any, **options: Any) -> Memory:
        memory = inner(params, inputs, **options)
        shown = ops.maximum(memory.positions, ops.full((), 0, "int32"))
        return Memory(memory.hidden, shown, memory.state)

    return call


def _shift_labels(ops: Any, config: Any) -> Callable[..., Any]:
    """The loss shifts labels that are shifted already."""
    del ops, config

    def call(inner: Any, outputs: Any, targets: Any) -> Any:
        return inner(outputs[..., :-1, :], targets[..., 1:])

    return call


def _count_all(ops: Any, config: Any) -> Callable[..., Any]:
    """Ignored targets are counted."""
    del config

    def call(inner: Any, outputs: Any, targets: Any) -> Any:
        total, count = inner(outputs, targets)
        return total, ops.full((), float(np.prod(targets.shape)), ops.dtype(count))

    return call


def _read_padding(ops: Any, config: Any) -> Callable[..., Any]:
    """A recurrent encoder reads padding as if it were tokens."""
    del config

    def call(inner: Any, params: Any, inputs: Any, **options: Any) -> Memory:
        shown = ops.maximum(inputs.positions, ops.full((), 0, "int32"))
        memory = inner(params, Embedded(inputs.hidden, shown), **options)
        return Memory(memory.hidden, inputs.positions, memory.state)

    return call


def _other_uniforms(seed: int, purpose: str, count: int) -> Any:
    """NumPy's own generator: right moments, other bits."""
    del purpose
    return np.random.default_rng(seed).random(count)


def _other_normals(seed: int, purpose: str, count: int) -> Any:
    """NumPy's own normals: right moments, other bits."""
    del purpose
    return np.random.default_rng(seed).standard_normal(count)


def _draw_without_row(seed: int, row: int, step: int) -> float:
    """All rows of a batch share one draw."""
    del row
    return float(np.random.default_rng((seed, step)).random())


_TOKEN = "embedding:token"  # noqa: S105 - a kind of embedding, no secret

MUTANTS = (
    Mutant(
        id="rotary.theta_ignored",
        level="components",
        make=component(_TOKEN, with_config(Embedding, "embedding", "token", _plain_theta)),
        row=10,
        seen="candle#3746",
    ),
    Mutant(
        id="rotary.theta_ignored.in_a_model",
        level="models",
        make=component(_TOKEN, with_config(Embedding, "embedding", "token", _plain_theta)),
        row=10,
        seen="candle#3746",
        higher="the defect of rotary.theta_ignored, which a whole model must show too",
    ),
    Mutant(
        id="rotary.scaling_ignored",
        level="components",
        make=component(_TOKEN, with_config(Embedding, "embedding", "token", _no_scaling)),
        row=10,
    ),
    Mutant(
        id="rotary.scaling_ignored.in_a_checkpoint",
        level="checkpoints",
        make=component(_TOKEN, with_config(Embedding, "embedding", "token", _no_scaling)),
        row=10,
        higher="the defect of rotary.scaling_ignored, which a checkpoint's model must show too",
    ),
    Mutant(
        id="positions.shifted_by_padding",
        level="components",
        make=component(_TOKEN, with_call(Embedding, "embedding", "token", _shifted_positions)),
        row=11,
        seen="nnsight#673",
    ),
    Mutant(
        id="positions.shifted_in_a_batch",
        level="generation",
        make=component(_TOKEN, with_call(Embedding, "embedding", "token", _shifted_positions)),
        row=11,
        seen="nnsight#673",
        higher="the defect of positions.shifted_by_padding, which a batch of prompts must show too",
    ),
    Mutant(
        id="window.too_wide",
        level="components",
        make=component(
            "decoder:transformer", with_config(Decoder, "decoder", "transformer", _wider_window)
        ),
    ),
    Mutant(
        id="memory.padding_seen",
        level="models",
        make=component(
            "encoder:transformer", with_call(Encoder, "encoder", "transformer", _show_padding)
        ),
        row=8,
        seen="transformers#36293",
    ),
    Mutant(
        id="memory.padding_seen.in_generation",
        level="generation",
        make=component(
            "encoder:transformer", with_call(Encoder, "encoder", "transformer", _show_padding)
        ),
        row=8,
        seen="transformers#36293",
        higher="the defect of memory.padding_seen, which generated tokens must show too",
    ),
    Mutant(
        id="recurrent.padding_read",
        level="components",
        make=component(
            "encoder:recurrent", with_call(Encoder, "encoder", "recurrent", _read_padding)
        ),
        row=11,
    ),
    Mutant(
        id="embedding.scale_rounded",
        level="components",
        make=component(_TOKEN, with_call(Embedding, "embedding", "token", _round_scale)),
        row=26,
        seen="transformers#29402",
        base=narrow(),
    ),
    Mutant(
        id="loss.labels_shifted",
        level="components",
        make=component(
            "loss:cross_entropy", with_call(Loss, "loss", "cross_entropy", _shift_labels)
        ),
        row=20,
        seen="transformers#47394",
    ),
    Mutant(
        id="loss.counts_ignored",
        level="components",
        make=component("loss:cross_entropy", with_call(Loss, "loss", "cross_entropy", _count_all)),
        row=19,
        seen="pytorch#73205",
    ),
    Mutant(
        id="initial.uniforms",
        level="document",
        row=30,
        seen="keras#18426",
        patch=Patch("lmkernel.parameters.initial.uniforms", _other_uniforms),
    ),
    Mutant(
        id="random.normals",
        level="document",
        row=30,
        seen="keras#18426",
        patch=Patch("lmkernel_conformance.cases.seeds.normals", _other_normals),
    ),
    Mutant(
        id="sampling.draws_shared",
        level="generation",
        row=30,
        patch=Patch("lmkernel.generation.sampling.draw", _draw_without_row),
    ),
)
