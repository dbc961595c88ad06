"""Laws of whole models: causality, padding, order, compilation, packing, parameters."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.config import TransformerConfig
from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.models import DECODERS, TARGET, batch, model_trial, outputs
from lmkernel_conformance.cases.trial import check_gradients
from lmkernel_conformance.cases.zoo import ZOO, build_model, values
from lmkernel_conformance.oracle import model as oracle
from lmkernel_conformance.oracle.arithmetic import Arithmetic

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel_conformance.budget import Budget
    from lmkernel_conformance.cases.models import Batch
    from lmkernel_conformance.subject import Subject

Host = Any


def _forward(s: Subject, name: str, params: Any, inputs: Host, **options: Host) -> Host:
    native = {key: s.array(x) for key, x in options.items()}
    return s.host(build_model(s, name).forward(params, s.array(inputs), **native))


def _has_experts(name: str) -> bool:
    """Whether a model of the zoo is a mixture of experts, in some of its layers or in all."""
    stack = ZOO[name].decoder
    return isinstance(stack, TransformerConfig) and any(
        stack.layer(i).mlp.experts is not None for i in range(stack.layers)
    )


def _rounding(s: Subject, name: str, inputs: Host, outputs: Host) -> Budget:
    """What honest rounding may move of a model's outputs, around those that came."""
    hosts = values(s, name)
    [limit] = s.budgets(
        f"logits of {name}",
        lambda ar: oracle.forward(
            ar, ZOO[name], {n: ar.constant(x) for n, x in hosts.items()}, inputs
        ),
    )
    return replace(limit, reference=np.asarray(outputs, np.float64))


@case(level="models", id="law.causality", rows=(1,))
def causality(s: Subject) -> None:
    """Changing a token changes no earlier output, and does change its own.

    Rows that choose one expert are multiplied together, so that another choice further on may move
    the last bit of what comes before: in mixtures of experts it stays within its rounding.
    """
    for name in DECODERS:
        params = build_model(s, name).place(values(s, name))
        inputs = batch(name).inputs
        before = _forward(s, name, params, inputs)
        rounding = _rounding(s, name, inputs, before) if _has_experts(name) else None
        for i in (2, 5):
            changed = inputs.copy()
            changed[:, i] = (changed[:, i] + 7) % 31
            after, what = _forward(s, name, params, changed), f"{name}: outputs before {i}"
            if rounding is None:
                s.equal(what, after[:, :i], before[:, :i])
            else:
                s.judge(what, after[:, :i], rounding.at((slice(None), slice(i))))
            moved = bool((after[:, i] != before[:, i]).any())
            s.demand(f"{name}: output {i} moves", expected=True, got=moved)


@case(level="models", id="law.padding", rows=(8, 11))
def padding(s: Subject) -> None:
    """A padded row gives what the row gives alone, whatever tokens the padding holds."""
    for name in ("llama", "t5"):
        model, fed = build_model(s, name), batch(name)
        params = model.place(values(s, name))
        limit = outputs(s, name)
        padded = fed.inputs.copy()
        where = fed.options["positions"]
        padded[where < 0] = (padded[where < 0] + 5) % 17
        options = dict(fed.options)
        if "target" in options:
            options["target"] = np.where(options["target_positions"] < 0, 1, options["target"])
        got = _forward(s, name, params, padded, **options)
        for row in range(3):
            shown = TARGET[row] >= 0
            at = limit.at((row, shown))
            s.judge(f"{name}: row {row} with other padding", got[row, shown], at)
            alone = _alone(s, name, params, fed, row)
            s.judge(f"{name}: row {row} alone", alone, at)


def _alone(s: Subject, name: str, params: Any, fed: Batch, row: int) -> Host:
    """One row without its padding, with default positions."""
    real = fed.options["positions"][row] >= 0
    inputs = fed.inputs[row : row + 1, real]
    options = {}
    if "target" in fed.options:
        shown = TARGET[row] >= 0
        options["target"] = fed.options["target"][row : row + 1, shown]
    return _forward(s, name, params, inputs, **options)[0]


@case(level="models", id="law.batch_order")
def batch_order(s: Subject) -> None:
    """Reordering the rows of a batch reorders the outputs."""
    order = np.array([2, 0, 1])
    for name in ("llama", "t5", "lstm"):
        params, fed, limit = (
            build_model(s, name).place(values(s, name)),
            batch(name),
            outputs(s, name),
        )
        options = {key: x[order] for key, x in fed.options.items()}
        got = _forward(s, name, params, fed.inputs[order], **options)
        shown = TARGET >= 0
        s.judge(name, got[np.argsort(order)][shown], limit.at(shown))


@case(level="models", id="law.compiled", rows=(28,))
def compiled_forward(s: Subject) -> None:
    """A compiled model gives what the eager one gives, within the budget."""
    for name in ("llama", "t5", "lstm"):
        model, fed, limit = build_model(s, name), batch(name), outputs(s, name)
        params, options = model.place(values(s, name)), fed.native(s)
        f = s.ops.compile(lambda p, x, o, m=model: m.forward(p, x, **o))
        got = s.host(f(params, s.array(fed.inputs), options))
        shown = TARGET >= 0
        s.judge(name, got[shown], limit.at(shown))


@case(level="models", id="law.compiled_gradient", training=True, rows=(28,))
def compiled_gradient(s: Subject) -> None:
    """A compiled gradient of a whole model is within the budget of the eager one."""
    for name in ("llama", "gru"):
        own = replace(s, case=f"{s.case} {name}")
        check_gradients(own, model_trial(s, name), compiled=True)


@case(level="models", id="law.packed")
def packed_weights(s: Subject) -> None:
    """Fused and packed weights give what the plain ones give, all positions at once."""
    for name in ("llama", "gpt2", "gemma", "t5", "olmo2", "cohere2"):
        model, fed, limit = build_model(s, name), batch(name), outputs(s, name)
        with s.backend.inference():
            got = _forward(s, name, model.pack(values(s, name)), fed.inputs, **fed.options)
        shown = TARGET >= 0
        s.judge(name, got[shown], limit.at(shown))


@final
class _Noted(dict[str, Any]):
    """Parameters that note which of them were read."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__(parameters)
        self.read: set[str] = set()

    def __getitem__(self, name: str) -> Any:
        self.read.add(name)
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.read.update({name} & self.keys())
        return super().get(name, default)


@case(level="models", id="law.declared")
def declared_parameters(s: Subject) -> None:
    """A model declares the parameters that its definition reads, and no others."""
    for name in ZOO:
        ar, fed = Arithmetic(), batch(name)
        hosts = values(s, name)
        noted = _Noted({key: ar.constant(x) for key, x in hosts.items()})
        inputs = ar.constant(fed.inputs) if name == "document" else fed.inputs
        oracle.forward(ar, ZOO[name], noted, inputs, **fed.options)
        s.demand(f"parameters of {name}", expected=sorted(noted.read), got=sorted(hosts))
