"""Compiled operations give what eager ones give: all trials, group by group."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmkernel_conformance.cases.by_operation import trials_by_operation
from lmkernel_conformance.cases.case import Case

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lmkernel_conformance.cases.trial import Trial, TrialCases
    from lmkernel_conformance.subject import Subject

_ELEMENTWISE = ("relu", "silu", "gelu", "gelu_tanh", "swiglu", "softmax", "log_softmax")
_GROUPS = {
    "elementwise": _ELEMENTWISE,
    "norms": ("mean", "layer_norm", "rms_norm"),
    "linear": ("linear", "take_rows", "expert_linear"),
    "attention": ("attention", "rotate"),
    "cells": ("gru_cell", "lstm_cell"),
    "updates": ("adam_update", "global_norm"),
    "losses": ("cross_entropy", "soft_cross_entropy", "mse"),
}


def _case(group: str, names: Sequence[str]) -> Case:
    def run(s: Subject) -> None:
        table = trials_by_operation()
        chosen = [t for name in names for t in table[name]]
        _check(s, chosen)

    return Case(
        level="operations",
        name=f"compiled.{group}",
        run=run,
        rows=(28,),
        doc=f"Compiled together: {', '.join(names)}.",
    )


def _check(s: Subject, chosen: Sequence[TrialCases]) -> None:
    """Compile all trials as one function, and judge each result by its own trial's budget."""
    all_trials = [t.make() for t in chosen]
    f = s.ops.compile(_call_all(s, all_trials))
    outputs = f([s.arrays({**t.inputs, **t.fixed}) for t in all_trials])
    for entry, t, got in zip(chosen, all_trials, outputs, strict=True):
        name = entry.cases[0].name
        hosts = s.round({**t.inputs, **t.fixed})
        own = replace(s, case=name)
        own.agree("value", list(got), _formula(t, hosts))


def _formula(t: Trial, hosts: dict[str, Any]) -> Callable[[Any], Any]:
    def f(ar: Any) -> Any:
        return t.formula(
            ar, {n: ar.constant(x) if x.dtype.kind == "f" else x for n, x in hosts.items()}
        )

    return f


def _call_all(s: Subject, all_trials: Sequence[Trial]) -> Callable[[Any], Any]:
    def f(trees: Any) -> list[Any]:
        results = [t.native(s, tree) for t, tree in zip(all_trials, trees, strict=True)]
        return [list(r) if isinstance(r, (list, tuple)) else [r] for r in results]

    return f


COMPILED = tuple(_case(group, names) for group, names in _GROUPS.items())
