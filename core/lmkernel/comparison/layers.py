"""Where backends part: the first activation of a model at which one leaves its budget.

For each activation the reference is the default backend in float64. An honest error is the largest,
for each element, that the default backend makes in float32 over 16 runs: one plain, and 15 in which
every element of what the next activation is computed from is moved by -1, 0 or 1 unit in the last
place, as another order of rounding would move it. An element may be off by four times its honest
error and four of its units in the last place: each by its own, so that one that is large does not
hide what happens in the others. Errors grow from layer to layer, and the budget with them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.errors import InputError
from lmkernel.inspection.inputs import check_ids
from lmkernel.inspection.run import activations
from lmkernel.numerics import FACTOR, float32_ulps
from lmkernel.random import raw_words

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from numpy.typing import NDArray

    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.model import Model

__all__ = [
    "HONEST_RUNS",
    "Deviation",
    "Limit",
    "deviations",
    "limits",
    "move_by_ulps",
    "parting_sentences",
    "trace",
]

HONEST_RUNS = 16

Host = Any


@final
@dataclass(frozen=True)
class Limit:
    """How far a backend may be off at one activation.

    Args:
        activation: the activation's name.
        honest: the largest honest error of each element of all prompts, ``(elements,)``.
        floor: a unit in the last place of each, ``(elements,)``.
    """

    activation: str
    honest: NDArray[np.float64]
    floor: NDArray[np.float64]

    def allowed(self, dtype: str) -> NDArray[np.float64]:
        """How far each element, ``(elements,)``, may be off in a dtype."""
        return float32_ulps(dtype) * FACTOR * (self.honest + self.floor)

    def judge(self, errors: NDArray[np.float64], dtype: str) -> Deviation:
        """What the errors of all elements, ``(elements,)``, come to in a dtype."""
        allowed = self.allowed(dtype)
        worst, honest = float(errors.max()), float(self.honest.max())
        times = worst / honest if honest else float(np.inf if worst else 0.0)
        return Deviation(self.activation, worst, times, float((errors / allowed).max()))


@final
@dataclass(frozen=True)
class Deviation:
    """How far a backend is off at one activation.

    Args:
        activation: the activation's name.
        error: the largest absolute difference from the reference.
        honest: the error as a multiple of the largest honest error in float32.
        share: the share of its budget that the worst element uses; above 1 the backend parts.
    """

    activation: str
    error: float
    honest: float
    share: float


def trace(
    model: Model,
    params: Tree,
    prompt: Sequence[int],
    *,
    order: int = 0,
) -> dict[str, NDArray[np.float64]]:
    """Every activation of one prompt on the host, by name.

    Each is ``(1, time, width)``, or ``(1, size)`` if the head pools.

    Args:
        model: a model of tokens, on its backend.
        params: its parameters.
        prompt: token ids.
        order: 0 for a plain run; else what the next activation is computed from is moved by a unit
            in the last place at most, differently for each order.

    Raises:
        InputError: a prompt that is empty or longer than the context, or a stack without layers.
    """
    ids = check_ids(model.config, prompt).ids
    own = model.config.target_embedding or model.config.embedding
    # a decoder beside an encoder is fed the prompt, too, as far as it has those tokens
    fed = ids % own.vocab if model.encoder is not None and model.decoder is not None else None
    backend, ops = model.backend, model.backend.ops

    def perturb(name: str, x: Array) -> Array:
        if not order:
            return x
        return ops.asarray(move_by_ulps(ops.to_numpy(x), order, name), ops.dtype(x))

    with backend.scope(), backend.inference():
        target = None if fed is None else ops.asarray(fed, "int32")
        inputs = ops.asarray(ids, "int32")
        run = activations(model, params, inputs, target=target, perturb=perturb)
        return {a.name: np.asarray(ops.to_numpy(a.value), np.float64) for a in run}


def limits(
    reference: Sequence[Mapping[str, Host]], honest: Iterable[Iterable[Mapping[str, Host]]]
) -> list[Limit]:
    """The budget of every activation, in the order of the run.

    Args:
        reference: the traces of all prompts in float64.
        honest: those of the default backend in float32, run by run.
    """
    worst: dict[str, NDArray[np.float64]] = {}
    for traces in honest:
        for name, errors in _errors(traces, reference).items():
            worst[name] = np.maximum(worst.get(name, 0.0), errors)
    return [Limit(name, errors, _units(name, reference)) for name, errors in worst.items()]


def deviations(
    traces: Iterable[Mapping[str, Host]],
    reference: Sequence[Mapping[str, Host]],
    budgets: Sequence[Limit],
    dtype: str,
) -> list[Deviation]:
    """A backend's traces at every activation."""
    errors = _errors(traces, reference)
    return [limit.judge(errors[limit.activation], dtype) for limit in budgets]


def parting_sentences(found: Mapping[str, Sequence[Deviation]]) -> list[str]:
    """Who parts from whom, and where first: a sentence for each backend that leaves its budget.

    Args:
        found: the deviations of each backend, by its name, all in the order of the run.
    """
    first = {name: i for name, rows in found.items() if (i := _first(rows)) is not None}
    if not first:
        name, row = max(
            ((name, row) for name, rows in found.items() for row in rows),
            key=lambda one: one[1].share,
        )
        share = f"{row.share:.0%} ({name} at {row.activation})"
        return [f"no layer parts; the largest share of the budget is {share}"]
    return [
        _sentence(name, found[name][at], [o for o in found if first.get(o, at + 1) > at])
        for name, at in sorted(first.items(), key=lambda one: one[1])
    ]


def _first(rows: Sequence[Deviation]) -> int | None:
    """The first activation at which a backend is outside its budget."""
    return next((i for i, row in enumerate(rows) if not row.share <= 1), None)


def _sentence(name: str, row: Deviation, others: Sequence[str]) -> str:
    sides = f"{', '.join(others) or 'the reference'} and {name}"
    times = f"{row.share:.3g} times its budget, {row.honest:.3g} times an honest error"
    return f"{sides} part at {row.activation}: {name} is off by {row.error:.2e} there, {times}"


def _errors(
    traces: Iterable[Mapping[str, Host]], reference: Sequence[Mapping[str, Host]]
) -> dict[str, NDArray[np.float64]]:
    """The error of each element of all prompts, by activation; NaN counts as infinite."""
    found: dict[str, list[NDArray[np.float64]]] = {}
    for got, expected in zip(traces, reference, strict=True):
        for name, want in expected.items():
            if got[name].shape != want.shape:
                shapes = f"{want.shape}, got {got[name].shape}"
                raise InputError(f"{name}: expected the shape {shapes}")
            gap = np.abs(got[name] - want).ravel()
            found.setdefault(name, []).append(np.where(np.isnan(gap), np.inf, gap))
    return {name: np.concatenate(gaps) for name, gaps in found.items()}


def _units(name: str, reference: Sequence[Mapping[str, Host]]) -> NDArray[np.float64]:
    """A unit in float32's last place of each element, or the smallest normal number."""
    flat = np.concatenate([np.abs(x[name]).ravel() for x in reference]).astype(np.float32)
    return np.maximum(np.spacing(flat), np.finfo(np.float32).tiny).astype(np.float64)


def move_by_ulps(x: Host, order: int, name: str) -> Host:
    """An array with each element moved by -1, 0 or 1 unit in the last place.

    Args:
        x: floating, of any shape.
        order: the number of the run; another one moves other elements.
        name: the activation's name.
    """
    words = raw_words(order, f"compare.{name}", x.size).reshape(x.shape)
    return x + np.spacing(x) * ((words % np.uint64(3)).astype(x.dtype) - 1)
