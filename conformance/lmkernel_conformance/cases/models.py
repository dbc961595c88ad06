"""Whole models against the oracle: values, gradients, cached decoding, padding, causality."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.errors import CacheError
from lmkernel.parameters import nest
from lmkernel_conformance.budget import Budget
from lmkernel_conformance.cases.case import Case, case
from lmkernel_conformance.cases.trial import Trial, check_gradients, check_values
from lmkernel_conformance.cases.zoo import ZOO, made, values
from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_conformance.inputs import normal, tokens
from lmkernel_conformance.oracle import model as oracle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel_conformance.subject import Subject

Host = Any

_SOURCE = np.array([[-1, 0, 1, 2, 3], [0, 1, 2, 3, 4], [-1, -1, -1, 0, 1]])
"""Three rows of five; two are padded on the left."""
_TARGET = np.array([[0, 1, 2, 3, 4, 5], [-1, -1, 0, 1, 2, 3], [-1, 0, 1, 2, 3, 4]])
"""Three rows of six."""
_DECODERS = ("llama", "gpt2", "gemma")
_PAIRS = ("t5", "gru", "lstm")


@final
@dataclass(frozen=True)
class Batch:
    """What a model is fed, as arguments of `lmkernel.model.Model.forward`."""

    inputs: Host
    options: Mapping[str, Host]

    def native(self, s: Subject) -> dict[str, Any]:
        """The options on the backend."""
        return {name: s.array(x) for name, x in self.options.items()}


def batch(name: str) -> Batch:
    """The inputs of one of the zoo, padded where it takes positions."""
    if name == "document":
        return Batch(normal("document", 1, 4, 3), {})
    if name in _DECODERS:
        return Batch(tokens(name, 3, 6, vocab=31), {"positions": _TARGET})
    if name == "bert":
        segments = np.array([[0, 0, 0, 1, 1], [0, 1, 1, 1, 1], [0, 0, 0, 0, 1]])
        return Batch(tokens(name, 3, 5, vocab=31), {"positions": _SOURCE, "segments": segments})
    options = {
        "positions": _SOURCE,
        "target": tokens(f"{name}.target", 3, 6, vocab=31),
        "target_positions": _TARGET,
    }
    return Batch(tokens(name, 3, 5, vocab=17), options)


def _shown(name: str) -> Host:
    """Which output positions are real; what padding gives is nobody's business."""
    if name == "document":
        return np.ones((1, 4), bool)
    return (_SOURCE if name == "bert" else _TARGET) >= 0


def _trial(s: Subject, name: str) -> Trial:
    fed, shown, declared = batch(name), _shown(name), made(s, name).declare()

    def native(x: Subject, t: dict[str, Any]) -> Any:
        y = made(x, name).forward(nest(declared, t), x.array(fed.inputs), **fed.native(x))
        return x.ops.where(x.array(shown[..., None]), y, x.constant(0.0))

    def formula(ar: Any, t: dict[str, Host]) -> Host:
        inputs = ar.constant(fed.inputs) if name == "document" else fed.inputs
        y = oracle.forward(ar, ZOO[name], t, inputs, **fed.options)
        return ar.where(shown[..., None], y, 0.0)

    return Trial(inputs=values(s, name), native=native, formula=formula)


_ROWS: Mapping[str, tuple[int, ...]] = {
    "llama": (1, 7, 9, 10, 11),
    "gpt2": (1, 7, 11, 13, 17),
    "gemma": (16, 26),
    "bert": (2, 14, 17),
    "t5": (1, 8),
    "gru": (27,),
    "lstm": (27,),
    "document": (),
}


def _forward_cases(name: str) -> tuple[Case, Case]:
    plain = Case(
        level="models",
        name=f"{name}.forward",
        run=lambda s: check_values(s, _trial(s, name)),
        rows=_ROWS[name],
        doc="Every real position of a padded batch.",
    )
    gradient = Case(
        level="models",
        name=f"{name}.gradient",
        run=lambda s: check_gradients(s, _trial(s, name)),
        rows=_ROWS[name],
        training=True,
        doc="The gradient of every parameter.",
    )
    return plain, gradient


FORWARD = tuple(made_case for name in ZOO for made_case in _forward_cases(name))


def outputs(s: Subject, name: str) -> Budget:
    """The oracle's outputs for the batch, with their budget."""
    fed, hosts = batch(name), values(s, name)
    return s.budgets(
        "outputs",
        lambda ar: oracle.forward(
            ar, ZOO[name], {n: ar.constant(x) for n, x in hosts.items()}, fed.inputs, **fed.options
        ),
    )[0]


def _at(limit: Budget, positions: Host, step: int) -> tuple[Budget, Host]:
    """The budget of one position of the rows for which it is real, and which rows these are."""
    rows = positions[:, step] >= 0
    return Budget(limit.reference[rows, step], limit.honest, limit.precision, limit.floor), rows


def _decoded(s: Subject, name: str, pieces: tuple[int, ...], capacity: int) -> None:
    """Fed in pieces through the cache, every piece's last output against the uncached oracle."""
    model, fed, limit = made(s, name), batch(name), outputs(s, name)
    params = model.pack(values(s, name))
    fed_tokens = fed.options.get("target", fed.inputs).astype(np.int32)
    where = _TARGET.astype(np.int32)
    memory = None
    if "target" in fed.options:
        memory = model.encode(params, s.array(fed.inputs), s.array(fed.options["positions"]))
    state, begin = model.begin(params, len(where), capacity, memory=memory), 0
    for size in pieces:
        end = begin + size
        got, state = model.step(params, fed_tokens[:, begin:end], where[:, begin:end], state)
        at, rows = _at(limit, where, end - 1)
        s.judge(f"output of position {end - 1}", got[rows], at)
        begin = end


def _cached_case(name: str) -> Case:
    def run(s: Subject) -> None:
        _decoded(s, name, (3, 1, 1, 1), 6)

    return Case(
        level="models",
        name=f"{name}.cached",
        run=run,
        rows=(25, 11),
        doc="A padded prompt, then one by one, packed: the outputs are the uncached ones.",
    )


CACHED = tuple(_cached_case(name) for name in (*_DECODERS, *_PAIRS))


@case(level="models", id="llama.cache_grows", rows=(25,))
def grows(s: Subject) -> None:
    """The cache is too small at first, and grows while it is decoded."""
    _decoded(s, "llama", (1, 1, 3, 1), 2)


@case(level="models", id="state.consumed", rows=(25,))
def consumed(s: Subject) -> None:
    """A state serves once; a fork of it serves once more and gives the same."""
    model, fed = made(s, "gpt2"), batch("gpt2")
    params, where = model.pack(values(s, "gpt2")), _TARGET.astype(np.int32)
    old = model.begin(params, 3, 6)
    _, state = model.step(params, fed.inputs[:, :3], where[:, :3], old)
    twin = model.fork(state)
    got, _ = model.step(params, fed.inputs[:, 3:4], where[:, 3:4], state)
    again, _ = model.step(params, fed.inputs[:, 3:4], where[:, 3:4], twin)
    s.equal("the fork's output", again, got)
    for used in (old, state, twin):
        try:
            model.step(params, fed.inputs[:, 4:5], where[:, 4:5], used)
        except CacheError:
            continue
        raise Discrepancy(f"{s.label}: expected CacheError from a consumed state, got an output")


def _forward(s: Subject, name: str, params: Any, inputs: Host, **options: Host) -> Host:
    native = {key: s.array(x) for key, x in options.items()}
    return s.host(made(s, name).forward(params, s.array(inputs), **native))


@case(level="models", id="law.causality", rows=(1,))
def causality(s: Subject) -> None:
    """A change of a token moves no earlier output, and moves its own."""
    for name in _DECODERS:
        params = made(s, name).place(values(s, name))
        inputs = batch(name).inputs
        before = _forward(s, name, params, inputs)
        for i in (2, 5):
            changed = inputs.copy()
            changed[:, i] = (changed[:, i] + 7) % 31
            after = _forward(s, name, params, changed)
            s.equal(f"{name}: outputs before {i}", after[:, :i], before[:, :i])
            moved = bool((after[:, i] != before[:, i]).any())
            s.demand(f"{name}: output {i} moves", expected=True, got=moved)


@case(level="models", id="law.padding", rows=(8, 11))
def padding(s: Subject) -> None:
    """A padded row is the row by itself, whatever stands in the padding."""
    for name in ("llama", "gpt2", "gemma", "t5", "gru", "lstm"):
        model, fed = made(s, name), batch(name)
        params = model.place(values(s, name))
        limit = _outputs_of(s, name)
        padded = fed.inputs.copy()
        where = fed.options["positions"]
        padded[where < 0] = (padded[where < 0] + 5) % 17
        options = dict(fed.options)
        if "target" in options:
            options["target"] = np.where(options["target_positions"] < 0, 1, options["target"])
        got = _forward(s, name, params, padded, **options)
        for row in range(3):
            shown = _TARGET[row] >= 0
            at = Budget(limit.reference[row, shown], limit.honest, limit.precision)
            s.judge(f"{name}: row {row} with other padding", got[row, shown], at)
            alone = _alone(s, name, params, fed, row)
            s.judge(f"{name}: row {row} alone", alone, at)


def _outputs_of(s: Subject, name: str) -> Budget:
    fed, hosts = batch(name), values(s, name)
    return s.budgets(
        name,
        lambda ar: oracle.forward(
            ar, ZOO[name], {n: ar.constant(x) for n, x in hosts.items()}, fed.inputs, **fed.options
        ),
    )[0]


def _alone(s: Subject, name: str, params: Any, fed: Batch, row: int) -> Host:
    """One row without its padding, with default positions."""
    real = fed.options["positions"][row] >= 0
    inputs = fed.inputs[row : row + 1, real]
    options = {}
    if "target" in fed.options:
        shown = _TARGET[row] >= 0
        options["target"] = fed.options["target"][row : row + 1, shown]
    return _forward(s, name, params, inputs, **options)[0]


@case(level="models", id="law.batch_order")
def batch_order(s: Subject) -> None:
    """Rows in another order give outputs in that order."""
    order = np.array([2, 0, 1])
    for name in ("llama", "t5", "lstm"):
        params, fed, limit = made(s, name).place(values(s, name)), batch(name), _outputs_of(s, name)
        options = {key: x[order] for key, x in fed.options.items()}
        got = _forward(s, name, params, fed.inputs[order], **options)
        shown = _TARGET >= 0
        at = Budget(limit.reference[shown], limit.honest, limit.precision)
        s.judge(name, got[np.argsort(order)][shown], at)


@case(level="models", id="law.compiled", rows=(28,))
def compiled(s: Subject) -> None:
    """Compiled, a model gives what it gives eagerly, within the budget."""
    for name in ("llama", "t5", "lstm"):
        model, fed, limit = made(s, name), batch(name), _outputs_of(s, name)
        params, options = model.place(values(s, name)), fed.native(s)
        f = s.ops.compile(lambda p, x, o, m=model: m.forward(p, x, **o))
        got = s.host(f(params, s.array(fed.inputs), options))
        shown = _TARGET >= 0
        s.judge(name, got[shown], Budget(limit.reference[shown], limit.honest, limit.precision))


@case(level="models", id="law.compiled_gradient", training=True, rows=(28,))
def compiled_gradient(s: Subject) -> None:
    """A compiled gradient of a whole model is within the budget of the eager one."""
    for name in ("llama", "gru"):
        own = replace(s, case=f"{s.case} {name}")
        check_gradients(own, _trial(s, name), compiled=True)


@case(level="models", id="law.packed")
def packed(s: Subject) -> None:
    """Fused and packed weights serve as the plain ones, all positions at once."""
    for name in ("llama", "gpt2", "gemma", "t5"):
        model, fed, limit = made(s, name), batch(name), _outputs_of(s, name)
        with s.backend.inference():
            got = _forward(s, name, model.pack(values(s, name)), fed.inputs, **fed.options)
        shown = _TARGET >= 0
        s.judge(name, got[shown], Budget(limit.reference[shown], limit.honest, limit.precision))
