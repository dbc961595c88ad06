"""Properties of random numbers, dropout, and optimizers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.interfaces import Init, Param
from lmkernel.training.config import OptimizerConfig
from lmkernel.training.step.optimizers import build_optimizer
from lmkernel_conformance.cases.trial import Trial
from lmkernel_conformance.exploration.draw import host
from lmkernel_conformance.exploration.property import BOTH, NARROW, Property, trial_property
from lmkernel_conformance.oracle import optimizers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel_conformance.exploration.draw import Draw, Example
    from lmkernel_conformance.subject import Subject

__all__ = ["PROPERTIES"]

Host = Any

_LARGEST_KEY = 2**31 - 1


def _draw_random(d: Draw) -> Example:
    return {
        "shape": d.shape(0, 4),
        "key": [d.integer(0, _LARGEST_KEY), d.integer(0, _LARGEST_KEY)],
        "rate": d.pick((0.0, 0.1, 0.5, 0.9)),
    }


def _check_random(s: Subject, drawn: Example) -> None:
    """Draws are in [0, 1), equal for equal keys, and different for different keys."""
    ops, shape, key = s.ops, tuple(drawn["shape"]), drawn["key"]
    draws = [_uniform(s, key, shape) for _ in range(2)]
    s.equal("the same key", draws[1], draws[0])
    inside = bool((draws[0] >= 0).all() and (draws[0] < 1).all())
    s.demand("in [0, 1)", expected=True, got=inside)
    s.demand("shape", expected=shape, got=draws[0].shape)
    dtype = ops.dtype(ops.random_uniform(ops.asarray(key, "int32"), shape, s.dtype))  # type: ignore[arg-type]  # declared by the backend
    s.demand("dtype", expected=s.dtype, got=dtype)
    for other in ([key[0] ^ 1, key[1]], [key[0], key[1] ^ 1]):
        shared = np.mean(_uniform(s, key, (64,)) == _uniform(s, other, (64,)))
        s.demand(f"{key} and {other} share draws", expected=False, got=bool(shared > 0.5))  # noqa: PLR2004 - even bfloat16 shares few


def _uniform(s: Subject, key: Sequence[int], shape: tuple[int, ...]) -> Host:
    return s.host(s.ops.random_uniform(s.ops.asarray(key, "int32"), shape, s.dtype))  # type: ignore[arg-type]  # declared by the backend


def _check_dropout(s: Subject, drawn: Example) -> None:
    """Each element is dropped or divided by 1 - rate; a dropout rate of 0 changes nothing."""
    ops, rate = s.ops, drawn["rate"]
    x = s.round(5 + np.arange(np.prod(drawn["shape"], dtype=int), dtype=float))
    x = x.reshape(drawn["shape"])
    key = ops.asarray(drawn["key"], "int32")
    got = [s.host(ops.dropout(s.array(x), key, rate)) for _ in range(2)]
    s.equal("the same key", got[1], got[0])
    kept = got[0] != 0
    if rate == 0:
        s.demand("zeros at rate 0", expected=0, got=int((~kept).sum()))
    limit = s.budgets("kept", lambda ar: ar.constant(x) / (1 - rate))[0]
    s.judge("kept", np.where(kept, got[0], limit.reference), limit)


_ADAM = ("p", "g", "m", "v")


def _draw_adam(d: Draw) -> Example:
    shapes = [d.shape(0, 3) for _ in range(d.integer(1, 3))]
    small = (1.0, 1e-7, 1e3)
    return {
        "arrays": [
            {
                "p": d.array(shape, (1.0, 1e3), (0.0,)),
                "g": d.array(shape, small, (0.0,)),
                "m": d.array(shape, small, (0.0,)),
                "v": d.array(shape, (1.0, 1e-3), (0.0,)),
            }
            for shape in shapes
        ],
        "decays": [d.pick((0.0, 0.1)) for _ in shapes],
        "step": d.pick((1, 2, 1000)),
        "rate": d.pick((1e-3, 0.1)),
        "grad_scale": d.pick((1.0, 0.37)),
        "betas": [d.pick((0.9, 0.0)), d.pick((0.999, 0.95))],
        "eps": d.pick((1e-8, 1e-2)),
    }


def _adam_inputs(drawn: Example) -> dict[str, Host]:
    found = {}
    for i, one in enumerate(drawn["arrays"]):
        for name in _ADAM:
            x = host(f"{name}{i}", one[name])
            found[f"{name}{i}"] = np.square(x) if name == "v" else x
    return found


def _adam(drawn: Example) -> Trial:
    count, step, (beta1, beta2) = len(drawn["arrays"]), drawn["step"], drawn["betas"]
    known = {"rate": drawn["rate"], "grad_scale": drawn["grad_scale"], "step": float(step)}
    known |= {"first_scale": 1 / (1 - beta1**step), "second_scale": 1 / (1 - beta2**step)}
    options = {"beta1": beta1, "beta2": beta2, "eps": drawn["eps"]}

    def native(s: Subject, t: dict[str, Any]) -> list[Any]:
        ops: Any = s.ops
        lists = [[t[f"{name}{i}"] for i in range(count)] for name in _ADAM]
        scalars = {name: t[name] for name in known}
        found = ops.adam_update(*lists, scalars, **options, decays=drawn["decays"])
        return [x for part in found for x in part]

    def formula(ar: Any, t: dict[str, Any]) -> list[Any]:
        found = []
        for i, decay in enumerate(drawn["decays"]):
            p, g, m, v = (t[f"{name}{i}"] for name in _ADAM)
            how = {**options, "step": step, "rate": drawn["rate"], "decay": decay}
            found.append(optimizers.adam_step(ar, p, g * drawn["grad_scale"], m, v, **how))
        return [one[k] for k in range(3) for one in found]

    inputs = _adam_inputs(drawn)
    return Trial(
        inputs=inputs,
        fixed={name: np.asarray(value) for name, value in known.items()},
        native=native,
        formula=formula,
        consumed=tuple(inputs),
    )


def _draw_norm(d: Draw) -> Example:
    return {"arrays": [d.array(d.shape(0, 3)) for _ in range(d.integer(1, 4))]}


def _global_norm(drawn: Example) -> Trial:
    names = [f"x{i}" for i in range(len(drawn["arrays"]))]
    return Trial(
        inputs={n: host(n, x) for n, x in zip(names, drawn["arrays"], strict=True)},
        native=lambda s, t: s.ops.global_norm([t[n] for n in names]),
        formula=lambda ar, t: optimizers.norm(ar, [t[n] for n in names]),
    )


def _draw_optimizer(d: Draw) -> Example:
    shape = [d.integer(1, 5), d.integer(1, 5)]
    steps = d.integer(1, 4)
    return {
        "kind": d.pick(("sgd", "adamw", "lion", "adafactor")),
        "p": d.calm(shape),
        "grads": [d.array(shape, (1.0, 1e-6), (0.0,)) for _ in range(steps)],
        "rates": [d.pick((0.05, 1e-3)) for _ in range(steps)],
        "betas": [d.pick((0.9, 0.0)), d.pick((0.99, 0.5))],
        "momentum": d.pick((0.0, 0.9)),
        "nesterov": d.flag(),
        "decay": d.pick((0.0, 0.3)),
    }


def _config(drawn: Example) -> OptimizerConfig:
    beta1, beta2 = drawn["betas"]
    return OptimizerConfig(
        kind=drawn["kind"],
        beta1=beta1,
        beta2=beta2,
        momentum=drawn["momentum"],
        nesterov=drawn["nesterov"] and drawn["momentum"] > 0,
        weight_decay=drawn["decay"],
    )


def _check_optimizer(s: Subject, drawn: Example) -> None:
    """A matrix after some steps with different gradients and learning rates."""
    c, shape = _config(drawn), tuple(drawn["p"]["shape"])
    optimizer: Any = build_optimizer(s.factory, c, {"w": Param(shape, Init("ones"), ("a", "b"))})
    p, grads = host("p", drawn["p"]), [host(f"g{i}", g) for i, g in enumerate(drawn["grads"])]
    params = {"w": s.array(p)}
    state = optimizer.init(params)
    for i, (g, rate) in enumerate(zip(grads, drawn["rates"], strict=True)):
        known = {**optimizer.scalars(i + 1, rate), "grad_scale": 1.0}
        scalars = {name: s.array(np.asarray(float(x))) for name, x in known.items()}
        params, state = optimizer.update(params, {"w": s.array(g)}, state, scalars)
    hosts = s.round([p, *grads])
    s.agree("weight", params["w"], lambda ar: _by_definition(ar, c, hosts, drawn["rates"]))


def _by_definition(
    ar: Any, c: OptimizerConfig, hosts: Sequence[Host], rates: Sequence[float]
) -> Host:
    first, *rest = [ar.constant(x) for x in hosts]
    run = {"ar": ar, "p": first, "grads": rest, "rates": rates, "decay": c.weight_decay}
    if c.kind == "sgd":
        return optimizers.sgd(**run, momentum=c.momentum, nesterov=c.nesterov)[0]
    if c.kind == "lion":
        return optimizers.lion(**run, beta1=c.beta1, beta2=c.beta2)[0]
    if c.kind == "adafactor":
        return optimizers.adafactor(**run, eps=c.eps)[0]
    return optimizers.adamw(**run, beta1=c.beta1, beta2=c.beta2, eps=c.eps)[0]


PROPERTIES = (
    Property(name="random_uniform", draw=_draw_random, check=_check_random, dtypes=NARROW),
    Property(name="dropout", draw=_draw_random, check=_check_dropout, dtypes=BOTH),
    trial_property("adam_update", _draw_adam, _adam, gradients=False),
    trial_property("global_norm", _draw_norm, _global_norm, gradients=False),
    Property(name="optimizers", draw=_draw_optimizer, check=_check_optimizer),
)
