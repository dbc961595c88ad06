"""Parts computed in 16 bits where float32 is asked for."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.components.rotary import frequencies
from lmkernel.config import RotaryConfig
from lmkernel.verification.defects.common import Candidate, rewritten
from lmkernel.verification.one_run import Variant
from lmkernel.verification.rounding import SHORT, round_to
from lmkernel.verification.structure import change_every

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmkernel.config import ModelConfig
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["precision_defects"]

_NORMS, _TURNS, _MIXES = ("rms_norm", "layer_norm"), ("rotate",), ("attention",)


def precision_defects(config: ModelConfig) -> Iterator[Candidate]:
    """Weights, norms, RoPE's angles and attention, each rounded to 16 bits."""
    for dtype in SHORT:
        narrow = partial(round_to, dtype=dtype)
        words = f"the weights were rounded to {dtype}"
        yield Candidate("dtype.weights", words, Variant(change=rewritten(narrow, "")))
        words = f"the table of the embedding were rounded to {dtype}"
        table = Variant(change=rewritten(narrow, "embedding.tokens.weight"))
        yield Candidate("dtype.embedding", words, table)
        parts: list[tuple[str, str, tuple[str, ...], Callable[..., Array]]] = [
            ("dtype.norm", "the outputs of norms", _NORMS, _narrow_output),
        ]
        parts.append(("dtype.attention", "attention's inputs and output", _MIXES, _narrow_all))
        if config.embedding.rotaries:
            parts.append(("dtype.angles", "RoPE's cosines and sines", _TURNS, _narrow_angles))
        for name, what, operations, how in parts:
            own = {one: partial(how, narrow=narrow, name=one) for one in operations}
            words = f"{what} were rounded to {dtype}"
            yield Candidate(name, words, Variant(operations=own))
        if config.embedding.rotaries:
            words = f"RoPE's frequencies were rounded to {dtype}"
            changed = change_every(config, RotaryConfig, partial(_with_frequencies, narrow=narrow))
            yield Candidate("dtype.frequencies", words, Variant(config=changed))


def _narrow_output(ops: Ops, *given: Any, narrow: Any, name: str, **options: Any) -> Array:
    return _short(ops, getattr(ops, name)(*given, **options), narrow)


def _narrow_angles(ops: Ops, x: Array, *angles: Array, narrow: Any, name: str) -> Array:
    made: Array = getattr(ops, name)(x, *(_short(ops, a, narrow) for a in angles))
    return made


def _narrow_all(ops: Ops, *given: Any, narrow: Any, name: str, **options: Any) -> Array:
    *parts, mask = given
    made = getattr(ops, name)(*(_short(ops, x, narrow) for x in parts), mask, **options)
    return _short(ops, made, narrow)


def _short(ops: Ops, x: Array, narrow: Callable[[Any], Any]) -> Array:
    return ops.asarray(narrow(np.asarray(ops.to_numpy(x))), ops.dtype(x))


def _with_frequencies(own: RotaryConfig, narrow: Callable[[Any], Any]) -> RotaryConfig:
    """A RoPE whose every frequency is rounded, by a divisor of its own."""
    if own.depends_on_length or own.still:
        return own
    plain = frequencies(replace(own, scaling="none"))
    divisors = tuple(float(x) for x in plain / narrow(frequencies(own)))
    return replace(own, scaling="longrope", short_factors=divisors, long_factors=divisors)
