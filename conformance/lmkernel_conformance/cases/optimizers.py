"""Optimizers over several steps: values and states, tiny and zero gradients, compiled and not."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.contract.trees import tree_map
from lmkernel.interfaces import Init, Param
from lmkernel.training.config import OptimizerConfig
from lmkernel.training.step.optimizers import build_optimizer
from lmkernel_conformance.cases.case import Case, case
from lmkernel_conformance.inputs import normal
from lmkernel_conformance.oracle import optimizers as oracle
from lmkernel_conformance.oracle.arithmetic import Arithmetic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.contract.mandatory import Array
    from lmkernel_conformance.subject import Subject

Host = Any

_ONES = Init("ones")
DECLARED: Mapping[str, Param] = MappingProxyType(
    {
        "tokens.weight": Param((7, 4), _ONES, ("vocab", "embed")),
        "positions.weight": Param((5, 4), _ONES, ("position", "embed")),
        "up.weight": Param((6, 4), _ONES, ("hidden", "embed")),
        "up.bias": Param((6,), _ONES, ("hidden",)),
        "down.weight": Param((4, 6), _ONES, ("embed", "hidden")),
        "norm.weight": Param((4,), _ONES, ("embed",)),
        "groups.weight": Param((2, 3, 4), _ONES, ("group", "hidden", "embed")),
    }
)
"""A tall and a wide matrix, tables, a bias, a norm, and matrices in a stack."""
_RATES = (0.05, 0.02, 0.03)
_SCALES = (0.5, 1.0, 0.37)


@final
@dataclass(frozen=True, kw_only=True)
class Series:
    """A series of steps of one optimizer, each with its own gradients.

    Args:
        config: the configuration of the optimizer.
        gradient: the standard deviation of the gradients.
        start: the standard deviation of the parameters before the first step.
        rates: the learning rate of each step.
        compiled: whether the update is compiled, as a trainer's is.
    """

    config: OptimizerConfig
    gradient: float = 1.0
    start: float = 1.0
    rates: tuple[float, ...] = _RATES
    compiled: bool = True


def _start(series: Series) -> dict[str, Host]:
    """The parameters before the first step."""
    return {n: normal(f"optimizer.{n}", *p.shape, scale=series.start) for n, p in DECLARED.items()}


def _gradients(series: Series, step: int) -> dict[str, Host]:
    """The gradients of one step, counted from 0."""
    return {
        n: normal(f"optimizer.{n}.{step}", *p.shape, scale=series.gradient)
        for n, p in DECLARED.items()
    }


@final
class _Run:
    """One optimizer, built as a trainer builds it, with its update compiled once."""

    def __init__(self, s: Subject, series: Series) -> None:
        self._s, self._series = s, series
        self._optimizer = build_optimizer(s.factory, series.config, DECLARED)
        update = self._optimizer.update
        self._update = s.ops.compile(update, donate=(0, 2)) if series.compiled else update

    def start(self) -> tuple[dict[str, Array], Any]:
        """Parameters and state before the first step."""
        params = self._s.arrays(_start(self._series))
        return params, self._optimizer.init(params)

    def steps(self, params: Any, state: Any, numbers: range) -> tuple[dict[str, Array], Any]:
        """Parameters and state after some steps, counted from 0."""
        s = self._s
        for i in numbers:
            known = {
                **self._optimizer.scalars(i + 1, self._series.rates[i]),
                "grad_scale": _SCALES[i],
            }
            scalars = {name: s.array(np.asarray(value)) for name, value in known.items()}
            grads = s.arrays(_gradients(self._series, i))
            params, state = self._update(params, grads, state, scalars)
        return params, state


def _flat(params: Mapping[str, Any], state: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    kept = {f"{slot}.{name}": x for slot, own in state.items() for name, x in own.items()}
    return {**params, **kept}


def _oracle_values(s: Subject, series: Series, ar: Arithmetic) -> dict[str, Host]:
    """Parameters and state after the series, by the oracle."""
    steps = [s.round(_gradients(series, i)) for i in range(len(_RATES))]
    found: dict[str, Host] = {}
    for name, p in s.round(_start(series)).items():
        grads = [ar.constant(g[name]) * x for g, x in zip(steps, _SCALES, strict=True)]
        found[name], kept = _by_definition(ar, series, name, ar.constant(p), grads)
        found |= {f"{slot}.{name}": x for slot, x in kept.items()}
    return found


def _by_definition(
    ar: Arithmetic, series: Series, name: str, p: Host, grads: list[Host]
) -> tuple[Host, dict[str, Host]]:
    """One parameter by the oracle; only matrices and tables have weight decay."""
    c = series.config
    spared = name.endswith("bias") or name.startswith("norm")
    decay = 0.0 if spared else c.weight_decay
    run = {"ar": ar, "p": p, "grads": grads, "rates": series.rates, "decay": decay}
    if c.kind == "sgd":
        return oracle.sgd(**run, momentum=c.momentum, nesterov=c.nesterov)
    if c.kind == "lion":
        return oracle.lion(**run, beta1=c.beta1, beta2=c.beta2)
    if c.kind == "adafactor":
        return oracle.adafactor(**run, eps=c.eps, **c.options)
    if c.kind == "muon" and name in ("up.weight", "down.weight"):
        original = c.options.get("adjust") == "original"
        return oracle.muon(**run, momentum=c.momentum, nesterov=c.nesterov, original=original)
    return oracle.adamw(**run, beta1=c.beta1, beta2=c.beta2, eps=c.eps)


def _follow(s: Subject, series: Series) -> None:
    """Judge every parameter and all of the optimizer's state after a series of steps."""
    run = _Run(s, series)
    first = {name: tuple(x.shape) for name, x in _flat(*run.start()).items()}
    got = _flat(*run.steps(*run.start(), range(len(_RATES))))
    s.demand("shapes", expected={n: tuple(x.shape) for n, x in got.items()}, got=first)
    names = sorted(_oracle_values(s, series, Arithmetic()))
    s.demand("names of parameters and state", expected=names, got=sorted(got))

    def formula(ar: Arithmetic) -> list[Host]:
        found = _oracle_values(s, series, ar)
        return [found[name] for name in names]

    for name, limit in zip(names, s.budgets("steps", formula), strict=True):
        s.demand(f"{name}: dtype", expected=s.dtype, got=s.ops.dtype(got[name]))
        s.judge(name, s.host(got[name]), limit)


def _config(kind: str, **more: Any) -> OptimizerConfig:
    decay = {} if kind == "adam" else {"weight_decay": 0.3}
    return OptimizerConfig(kind=kind, **{"beta1": 0.8, "beta2": 0.95, **decay, **more})


_MUON = {"momentum": 0.9, "nesterov": True}
_SERIES: Mapping[str, Series] = MappingProxyType(
    {
        "sgd": Series(config=_config("sgd")),
        "sgd.momentum": Series(config=_config("sgd", momentum=0.9)),
        "sgd.nesterov": Series(config=_config("sgd", momentum=0.9, nesterov=True)),
        "adam": Series(config=_config("adam", eps=0.1)),
        "adamw": Series(config=_config("adamw")),
        "adamw.eager": Series(config=_config("adamw"), compiled=False),
        "adafactor": Series(config=_config("adafactor", eps=1e-7)),
        "adafactor.clipped": Series(
            config=_config("adafactor", options={"d": 0.5, "eps2": 2.0, "beta2_decay": -0.5})
        ),
        "adafactor.fast": Series(
            config=_config("adafactor", eps=1e-3), gradient=1e-2, rates=(2.0, 1.5, 0.9)
        ),
        "adafactor.small_parameters": Series(config=_config("adafactor", eps=1e-7), start=1e-4),
        "lion": Series(config=_config("lion")),
        "muon": Series(config=_config("muon", **_MUON)),
        "muon.original": Series(
            config=_config("muon", momentum=0.6, options={"adjust": "original"})
        ),
    }
)
_TINY: Mapping[str, Series] = MappingProxyType(
    {
        "adam": Series(config=_config("adam", eps=3e-8), gradient=1e-7),
        "adamw": Series(config=_config("adamw", eps=3e-8), gradient=1e-7),
        "muon": Series(config=_config("muon", **{**_MUON, "eps": 3e-8}), gradient=1e-6),
    }
)
_STILL: Mapping[str, Series] = MappingProxyType(
    {
        kind: Series(config=_config(kind, **more), gradient=0.0)
        for kind, more in {
            "sgd": {"momentum": 0.9},
            "adamw": {},
            "adafactor": {},
            "lion": {},
            "muon": _MUON,
        }.items()
    }
)


def _cases(
    table: Mapping[str, Series], doc: str, suffix: str = "", rows: tuple[int, ...] = ()
) -> tuple[Case, ...]:
    return tuple(
        Case(
            level="training",
            name=f"optimizer.{name}{suffix}",
            run=partial(_follow, series=series),
            rows=rows,
            training=True,
            doc=doc,
        )
        for name, series in table.items()
    )


STEPS = _cases(_SERIES, "Three steps of unlike gradients and rates: parameters and state.")
TINY = _cases(_TINY, "Gradients about 1e-7, where ε counts.", ".tiny_gradients", (22,))
STILL = _cases(_STILL, "No gradient: weights decay, biases and norms stay.", ".no_gradient", (23,))


@case(level="training", id="optimizer.goes_on", training=True)
def goes_on(s: Subject) -> None:
    """A state that went to the host and back continues with exactly the same numbers."""
    for kind, still in _STILL.items():
        run = _Run(s, Series(config=still.config))
        whole = _flat(*run.steps(*run.start(), range(3)))
        half = run.steps(*run.start(), range(2))
        params, state = (s.arrays(tree_map(s.host, tree)) for tree in half)
        rest = _flat(*run.steps(params, state, range(2, 3)))
        for name, x in whole.items():
            s.equal(f"{kind}: {name}", rest[name], s.host(x))
