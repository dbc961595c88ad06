"""Whole models against the oracle: values, gradients, and decoding with the KV cache."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.errors import CacheError
from lmkernel.parameters import nest
from lmkernel_conformance.cases.case import Case, case
from lmkernel_conformance.cases.trial import Trial, check_gradients, check_values
from lmkernel_conformance.cases.zoo import ZOO, build_model, values
from lmkernel_conformance.cases.zoo_layers import LAYERED
from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_conformance.inputs import normal, tokens
from lmkernel_conformance.oracle import model as oracle

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel_conformance.budget import Budget
    from lmkernel_conformance.subject import Subject

Host = Any

SOURCE = np.array([[-1, 0, 1, 2, 3], [0, 1, 2, 3, 4], [-1, -1, -1, 0, 1]])
"""Three rows of five; two are padded on the left."""
TARGET = np.array([[0, 1, 2, 3, 4, 5], [-1, -1, 0, 1, 2, 3], [-1, 0, 1, 2, 3, 4]])
"""Three rows of six."""
DECODERS = ("llama", "gpt2", "gemma", "qwen3", *LAYERED)
_ENCODERS = ("bert", "bert_masked", "bert_classes")
_PAIRS = ("t5", "gru", "lstm")


@final
@dataclass(frozen=True)
class Batch:
    """The input of a model, as arguments of `lmkernel.model.Model.forward`.

    Args:
        inputs: the tokens or vectors.
        options: the other arguments, by name.
    """

    inputs: Host
    options: Mapping[str, Host]

    def native(self, s: Subject) -> dict[str, Any]:
        """The options on the backend."""
        return {name: s.array(x) for name, x in self.options.items()}


def batch(name: str) -> Batch:
    """The batch for a model of the zoo, padded where the model takes positions."""
    if name == "document":
        return Batch(normal("document", 1, 4, 3), {})
    if name in DECODERS:
        return Batch(tokens(name, 3, 6, vocab=31), {"positions": TARGET})
    if name in _ENCODERS:
        segments = np.array([[0, 0, 0, 1, 1], [0, 1, 1, 1, 1], [0, 0, 0, 0, 1]])
        return Batch(tokens(name, 3, 5, vocab=31), {"positions": SOURCE, "segments": segments})
    options = {
        "positions": SOURCE,
        "target": tokens(f"{name}.target", 3, 6, vocab=31),
        "target_positions": TARGET,
    }
    return Batch(tokens(name, 3, 5, vocab=17), options)


def _real_outputs(name: str) -> Host:
    """A mask of the outputs that are judged; those of padding are unspecified."""
    head = ZOO[name].head
    if head is None:
        return np.ones((1, 4), bool)
    real = (SOURCE if name in _ENCODERS else TARGET) >= 0
    return np.ones(len(real), bool) if head.pooling == "first" else real


def model_trial(s: Subject, name: str) -> Trial:
    """A trial of the model's forward pass over its batch; outputs of padding are set to zero."""
    fed, shown, declared = batch(name), _real_outputs(name), build_model(s, name).declare()

    def native(x: Subject, t: dict[str, Any]) -> Any:
        y = build_model(x, name).forward(nest(declared, t), x.array(fed.inputs), **fed.native(x))
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
    "qwen3": (9, 10),
    "bert": (2, 14, 17),
    "bert_masked": (14, 17),
    "bert_classes": (11,),
    "t5": (1, 8),
    "gru": (27,),
    "lstm": (27,),
    "document": (),
    **dict.fromkeys(LAYERED, (9, 10, 11)),
}


def _forward_cases(name: str) -> tuple[Case, Case]:
    plain = Case(
        level="models",
        name=f"{name}.forward",
        run=lambda s: check_values(s, model_trial(s, name)),
        rows=_ROWS[name],
        doc="Every real position of a padded batch.",
    )
    gradient = Case(
        level="models",
        name=f"{name}.gradient",
        run=lambda s: check_gradients(s, model_trial(s, name)),
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
        f"outputs of {name}",
        lambda ar: oracle.forward(
            ar, ZOO[name], {n: ar.constant(x) for n, x in hosts.items()}, fed.inputs, **fed.options
        ),
    )[0]


def _at(limit: Budget, positions: Host, step: int) -> tuple[Budget, Host]:
    """The budget of one position of the rows for which it is real, and which rows these are."""
    rows = positions[:, step] >= 0
    return limit.at((rows, step)), rows


def _check_decoding(s: Subject, name: str, pieces: tuple[int, ...], capacity: int) -> None:
    """Decode a batch in pieces with the KV cache, and judge the last output of each piece."""
    model, fed, limit = build_model(s, name), batch(name), outputs(s, name)
    params = model.pack(values(s, name))
    fed_tokens = fed.options.get("target", fed.inputs).astype(np.int32)
    where = TARGET.astype(np.int32)
    memory = None
    if "target" in fed.options:
        memory = model.encode(params, fed.inputs, fed.options["positions"])
    state, begin = model.begin(params, len(where), capacity, memory=memory), 0
    for size in pieces:
        end = begin + size
        got, state = model.step(params, fed_tokens[:, begin:end], where[:, begin:end], state)
        at, rows = _at(limit, where, end - 1)
        s.judge(f"output of position {end - 1}", got[rows], at)
        begin = end


def _cached_case(name: str) -> Case:
    def run(s: Subject) -> None:
        _check_decoding(s, name, (3, 1, 1, 1), 6)

    return Case(
        level="models",
        name=f"{name}.cached",
        run=run,
        rows=(25, 11),
        doc="A padded prompt, then one by one, packed: the outputs are those without the KV cache.",
    )


CACHED = tuple(_cached_case(name) for name in (*DECODERS, *_PAIRS))


@case(level="models", id="llama.cache_grows", rows=(25,))
def grows(s: Subject) -> None:
    """The KV cache is too small at first, and grows during decoding."""
    _check_decoding(s, "llama", (1, 1, 3, 1), 2)


@case(level="models", id="state.consumed", rows=(25,))
def used_state(s: Subject) -> None:
    """A decoding state can be used once; its fork can too, and gives the same output."""
    model, fed = build_model(s, "gpt2"), batch("gpt2")
    params, where = model.pack(values(s, "gpt2")), TARGET.astype(np.int32)
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
