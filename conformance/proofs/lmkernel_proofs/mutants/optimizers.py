"""Broken optimizers, clipping and schedules."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmkernel.composed import COMPOSED
from lmkernel.composed.precision import constant
from lmkernel.training.step.gradients import clip_factor
from lmkernel.training.step.optimizers.muon import is_hidden_matrix
from lmkernel.training.step.schedules import learning_rate
from lmkernel_proofs.mutants.mutant import Mutant, Patch, optional

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MUTANTS"]


def _by_rule(rule: Callable[..., Any]) -> Callable[..., Any]:
    """An `adam_update` that subtracts ``rule(ops, m, v, scalars, eps)`` from each parameter."""

    def adam_update(
        ops: Any, params: Any, grads: Any, first: Any, second: Any, scalars: Any, **o: Any
    ) -> Any:
        old = [p + constant(ops, 0.0, p) for p in params]
        _, m, v = ops.adam_update(params, grads, first, second, scalars, **o)
        moved = [
            p * (constant(ops, 1.0, p) - scalars["rate"] * constant(ops, decay, p))
            - scalars["rate"] * rule(ops, mean, square, scalars, constant(ops, o["eps"], p))
            for p, mean, square, decay in zip(old, m, v, o["decays"], strict=True)
        ]
        return moved, m, v

    return adam_update


def eps_inside(ops: Any, m: Any, v: Any, scalars: Any, eps: Any) -> Any:
    """ε is added to the second moment, inside the root."""
    root = ops.sqrt(v * scalars["second_scale"] + eps)
    return m * scalars["first_scale"] / root


def eps_squared_inside_root(ops: Any, m: Any, v: Any, scalars: Any, eps: Any) -> Any:
    """ε² is added inside the root: of the right magnitude, and still another formula."""
    root = ops.sqrt(v * scalars["second_scale"] + eps * eps)
    return m * scalars["first_scale"] / root


def eps_before_correction(ops: Any, m: Any, v: Any, scalars: Any, eps: Any) -> Any:
    """ε is added before the bias correction, as in the paper's note on efficiency."""
    root = ops.sqrt(scalars["second_scale"]) * (ops.sqrt(v) + eps)
    return m * scalars["first_scale"] / root


def no_correction(ops: Any, m: Any, v: Any, scalars: Any, eps: Any) -> Any:
    """The first moment is not corrected for its bias."""
    return m / (ops.sqrt(v * scalars["second_scale"]) + eps)


def _with_arguments(change: Callable[..., Any]) -> Callable[..., Any]:
    """An `adam_update` of what ``change(ops, params, grads, scalars, decays)`` returns."""

    def adam_update(
        ops: Any, params: Any, grads: Any, first: Any, second: Any, scalars: Any, **o: Any
    ) -> Any:
        grads, scalars, decays = change(ops, params, grads, scalars, o["decays"])
        return ops.adam_update(
            params, grads, first, second, scalars, **{**o, "decays": list(decays)}
        )

    return adam_update


def decay_all(ops: Any, params: Any, grads: Any, scalars: Any, decays: Any) -> Any:
    """Weight decay reaches norms and biases too."""
    del ops
    return grads, scalars, [max(decays)] * len(params)


def couple_decay(ops: Any, params: Any, grads: Any, scalars: Any, decays: Any) -> Any:
    """Weight decay is added to the gradient, and so goes through the moments (L2, not AdamW)."""
    both = [g + p * constant(ops, d, p) for p, g, d in zip(params, grads, decays, strict=True)]
    return both, scalars, [0.0] * len(params)


def no_grad_scale(ops: Any, params: Any, grads: Any, scalars: Any, decays: Any) -> Any:
    """The factor of the gradients is ignored: no count, no clipping."""
    del params
    return grads, {**scalars, "grad_scale": ops.full((), 1.0, ops.dtype(grads[0]))}, decays


def separate_norms(ops: Any, arrays: Any) -> Any:
    """The largest norm of one gradient stands for the global norm."""
    largest = COMPOSED["global_norm"](ops, [arrays[0]])
    for x in arrays[1:]:
        largest = ops.maximum(largest, COMPOSED["global_norm"](ops, [x]))
    return largest


def clip_upwards(ops: Any, norm: Any, limit: float) -> Any:
    """Small gradients are scaled up to the limit of clipping."""
    return constant(ops, limit, norm) / ops.maximum(norm, constant(ops, 1e-30, norm))


def soften_limit(ops: Any, norm: Any, limit: float) -> Any:
    """1e-6 is added to the norm, so that one at the limit is clipped."""
    return clip_factor(ops, norm + constant(ops, 1e-6, norm), limit)


def from_zero(config: Any, step: int, steps: int) -> float:
    """Steps count from 0, so the first step of a warm-up has the learning rate 0."""
    return learning_rate(config, step - 1, steps)


def past_warmup(config: Any, step: int, steps: int) -> float:
    """The learning rate falls over all steps, as if there were no warm-up."""
    rise = min(1.0, step / config.warmup) if config.warmup else 1.0
    return rise * learning_rate(replace(config, warmup=0), step, steps)


def never_down(config: Any, step: int, steps: int) -> float:
    """The learning rate never reaches its floor."""
    return learning_rate(config, step, steps + 1)


def swapped_betas(self: Any, m: Any, g: Any, beta: float) -> Any:
    """Lion's β1 and β2 are exchanged."""
    c, ops = self._config, self._ops
    other = c.beta1 + c.beta2 - beta
    return constant(ops, other, m) * m + constant(ops, 1 - other, m) * g


def momentum_as_mean(self: Any, g: Any, buffer: Any) -> Any:
    """SGD's momentum buffer is an exponential mean instead of a sum."""
    mu = constant(self._ops, self._config.momentum, g)
    buffer = mu * buffer + (constant(self._ops, 1.0, g) - mu) * g
    return (g + mu * buffer if self._config.nesterov else buffer), buffer


def nesterov_late(self: Any, g: Any, buffer: Any) -> Any:
    """Nesterov's step uses the buffer from before the gradient."""
    mu = constant(self._ops, self._config.momentum, g)
    ahead = g + mu * buffer if self._config.nesterov else mu * buffer + g
    return ahead, mu * buffer + g


def no_normalizer(self: Any, own: Any) -> Any:
    """Adafactor's product of rows and columns is not divided by the mean of the rows."""
    del self
    return own["v"] if "v" in own else own["row"] * own["column"]


def norm_for_rms(self: Any, x: Any) -> Any:
    """The norm stands for the root mean square."""
    return self._ops.global_norm([x])


def transposed_size(self: Any, shape: Any) -> float:
    """Muon scales a step as if the matrix were transposed."""
    n, k = shape
    return math.sqrt(max(1, k / n)) if self._original else 0.2 * math.sqrt(min(n, k))


def every_matrix(param: Any) -> bool:
    """Muon orthogonalises embedding tables too."""
    return len(param.shape) == 2 or is_hidden_matrix(param)  # noqa: PLR2004 - a matrix


def _adam(name: str, broken: Any, row: int = 0, seen: str = "") -> Mutant:
    make = optional("adam_update", broken)
    return Mutant(
        id=f"adam.{name}", level="training", make=make, row=row, seen=seen, higher=_COMPILED
    )


def _core(name: str, where: str, broken: Any, row: int = 0, seen: str = "") -> Mutant:
    """A mutant of the core itself, by patching one of its names."""
    return Mutant(
        id=name,
        level="training",
        row=row,
        seen=seen,
        patch=Patch(f"lmkernel.training.step.{where}", broken),
    )


_COMPILED = (
    "the case that compiles updates, as operations, sees it too; what they give is training's"
)
_DECAY, _EPS = "transformers#35927", "tensorflow#35102, optax#571"

MUTANTS = (
    _adam("eps_inside", _by_rule(eps_inside), 22, _EPS),
    _adam("eps_squared_inside", _by_rule(eps_squared_inside_root), 22, _EPS),
    _adam("eps_before_correction", _by_rule(eps_before_correction), 22, _EPS),
    _adam("uncorrected", _by_rule(no_correction)),
    _adam("decays_all", _with_arguments(decay_all), 23, _DECAY),
    _adam("decay_coupled", _with_arguments(couple_decay), 23, _DECAY),
    _adam("gradients_unscaled", _with_arguments(no_grad_scale)),
    _core("decay.of_all", "optimizers.decay.decayed", lambda *_: True, 23, _DECAY),
    _core("sgd.dampened", "optimizers.momentum.SGD._accumulate", momentum_as_mean),
    _core("sgd.nesterov_late", "optimizers.momentum.SGD._accumulate", nesterov_late),
    _core("lion.betas_swapped", "optimizers.momentum.Lion._mix", swapped_betas),
    _core("adafactor.unnormalized", "optimizers.adafactor.Adafactor._variance", no_normalizer),
    _core("adafactor.norm_for_rms", "optimizers.adafactor.Adafactor._rms", norm_for_rms),
    _core("muon.four_rounds", "optimizers.muon._ROUNDS", 4),
    _core("muon.size_transposed", "optimizers.muon.Muon._scale", transposed_size),
    _core("muon.tables", "optimizers.muon.is_hidden_matrix", every_matrix),
    Mutant(
        id="global_norm.of_each",
        level="training",
        make=optional("global_norm", separate_norms),
        higher=_COMPILED,
    ),
    _core("clipping.upwards", "gradients.clip_factor", clip_upwards),
    _core("clipping.softened", "gradients.clip_factor", soften_limit),
    _core("schedule.from_zero", "schedules.learning_rate", from_zero),
    _core("schedule.over_warmup", "schedules.learning_rate", past_warmup),
    _core("schedule.floor_missed", "schedules.learning_rate", never_down),
)
