"""What heads, losses, adapters, first weights and metrics do where it is rare; each exact."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    HeadConfig,
    HeadTransformConfig,
    InitConfig,
    MlpConfig,
    ModelConfig,
    PrecisionPolicy,
    TransformerConfig,
)
from lmkernel.contract.trees import tree_map
from lmkernel.interfaces import LossConfig
from lmkernel.model import Model
from lmkernel.parameters import flatten, nest
from lmkernel.training.config import LoraConfig
from lmkernel.training.step.metrics import Metrics
from lmkernel.training.step.trainable import Adapters
from lmkernel_conformance.cases.beyond import whole_numbers
from lmkernel_conformance.cases.case import case

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

Host = Any

_POSITIONS = np.array([[-1, -1, 0, 1], [0, 1, 2, -1]])


def _headed(s: Subject, head: HeadConfig, width: int, vocab: int = 8) -> Model:
    """A model of a table and a head."""
    dtype: Any = s.dtype
    config = ModelConfig(embedding=EmbeddingConfig(width=width, vocab=vocab), head=head)
    return Model(s.backend, config, PrecisionPolicy(params=dtype, compute=dtype, output=dtype))


def _params(s: Subject, model: Model, values: dict[str, Host]) -> Any:
    return nest(model.declare(), s.arrays(values))


@case(level="models", id="farther.head.dropout", training=True)
def head_dropout(s: Subject) -> None:
    """A head drops what its product reads, in training alone, and draws by a key of its own."""
    head = HeadConfig(
        width=32, size=32, dropout=0.5, transform=HeadTransformConfig(activation="relu")
    )
    model = _headed(s, head, 32)
    identity = {"head.weight": np.eye(32), "head.transform.weight": np.eye(32)}
    given = {"embedding.tokens.weight": np.ones((8, 32)), "head.transform.bias": np.zeros(32)}
    params, ids = _params(s, model, {**identity, **given}), s.array(np.array([[1, 2, 3]]))
    s.equal("without a key", model.forward(params, ids), np.ones((1, 3, 32)), s.dtype)
    key = s.ops.asarray([3, 50], "int32")
    got = model.forward(params, ids, key=key)
    own = s.ops.asarray([3, 50 + 2**15 - 1], "int32")
    want = s.host(s.ops.dropout(s.array(np.ones((1, 3, 32))), own, 0.5))
    s.equal("with a key", got, want, s.dtype)
    s.demand("kept and dropped", expected=[0.0, 2.0], got=np.unique(want).tolist())


@case(level="models", id="farther.head.blank")
def head_blank(s: Subject) -> None:
    """Where a head spells, padding says its blank for certain; what is real keeps its scores."""
    model = _headed(s, HeadConfig(width=4, size=4, blank=2), 4)
    table = whole_numbers(8, 4)
    params = _params(s, model, {"embedding.tokens.weight": table, "head.weight": np.eye(4)})
    ids = np.array([[5, 6, 1, 2], [3, 4, 7, 0]])
    got = s.host(model.forward(params, s.array(ids), positions=s.array(_POSITIONS)))
    real = _POSITIONS >= 0
    s.equal("real", got[real], table[ids][real])
    s.equal("blanks", got[~real][:, 2], np.zeros(3))
    others = np.delete(got[~real], 2, axis=1)
    s.demand("others are next to impossible", expected=True, got=bool((others < -1e4).all()))  # noqa: PLR2004 - e to its power is zero
    s.demand("and finite", expected=True, got=bool(np.isfinite(others).all()))


@case(level="models", id="farther.head.ends")
def head_ends(s: Subject) -> None:
    """A head that pools the first or the last reads them behind padding, and before it."""
    table = whole_numbers(8, 4)
    ids = np.array([[5, 6, 1, 2], [3, 4, 7, 0]])
    for pooling, want in (("first", [1, 3]), ("last", [2, 7])):
        model = _headed(s, HeadConfig(width=4, size=4, pooling=pooling), 4)
        params = _params(s, model, {"embedding.tokens.weight": table, "head.weight": np.eye(4)})
        got = model.forward(params, s.array(ids), positions=s.array(_POSITIONS))
        s.equal(pooling, got, table[want], s.dtype)


@case(level="components", id="farther.loss.binary")
def binary(s: Subject) -> None:
    """Targets of a binary loss may be any share; far from zero a score costs by what it misses."""
    loss = s.factory.create("loss", LossConfig(kind="binary_cross_entropy"))
    scores = np.array([[256.0, -256.0, 256.0], [-256.0, 256.0, -256.0]])
    targets = np.array([[0.25, 0.25, 1.0], [0.0, -1.0, 0.75]])
    total, count = loss(s.array(scores), s.array(targets))
    s.equal("total", total, 256 * (0.75 + 0.25 + 0 + 0 + 0.75), s.dtype)
    s.equal("count", count, 5.0, s.dtype)
    half, _ = loss(s.array(np.zeros(64)), s.array(np.linspace(0, 1, 64)))
    undecided = np.asarray(s.host(half) / math.log(2))
    s.equal("undecided", np.asarray(np.round(undecided, 2)), 64.0)


def _small(init: InitConfig | None = None) -> ModelConfig:
    """A decoder of eight layers, so that the root of twice as many is 4."""
    return ModelConfig(
        embedding=EmbeddingConfig(width=4, vocab=7),
        decoder=TransformerConfig(
            width=4,
            layers=8,
            causal=True,
            attention=AttentionConfig(width=4, heads=2, bias=True),
            mlp=MlpConfig(hidden=6),
        ),
        head=HeadConfig(width=4, size=7),
        init=init,
    )


@case(level="models", id="farther.initial", dtypes=("float32",))
def initial(s: Subject) -> None:
    """What writes to the stream begins smaller by the root of the sums, where a family says so."""
    plain = Model(s.backend, _small(InitConfig(scale=0.5))).initial(3)
    deep = Model(s.backend, _small(InitConfig(scale=0.5, residual=True))).initial(3)
    for name, value in plain.items():
        writes = name.endswith(("attention.o.weight", "mlp.down.weight"))
        s.equal(name, deep[name] * (4 if writes else 1), value)
        want = 1.0 if "norm" in name else 0.0
        if name.endswith("bias") or "norm" in name:
            s.equal(f"{name} of the beginning", value, np.full(value.shape, want))
    drawn = np.concatenate([x.ravel() for n, x in plain.items() if "mlp" in n and "norm" not in n])
    s.demand("deviation", expected=0.5, got=round(float(drawn.std()), 1))


@case(level="training", id="farther.adapters", training=True)
def adapters(s: Subject) -> None:
    """Adapters beside a weight are what they are within it, scaled by alpha over rank."""
    model = Model(s.backend, _small())
    declared = model.declare()
    made = Adapters(declared, LoraConfig(rank=4, alpha=2.0, targets=("q", "down")))
    shapes = {name: p.shape for name, p in made.declare().items()}
    layers = [
        f"decoder.layers.{i}.{part}" for i in range(8) for part in ("attention.q", "mlp.down")
    ]
    want = sorted(f"{name}.lora_{end}" for name in layers for end in "ab")
    s.demand("names", expected=want, got=sorted(shapes))
    added = {n: np.asarray(whole_numbers(*shape), np.float32) for n, shape in shapes.items()}
    values = {
        n: np.asarray(whole_numbers(*p.shape), np.float32) for n, p in flatten(declared).items()
    }
    merged, params = made.merge(values, added), nest(declared, s.arrays(values))
    made.insert(s.ops, params, s.arrays(added))
    x = whole_numbers(2, 3, 6)
    for name in layers:
        down, up = added[f"{name}.lora_a"], added[f"{name}.lora_b"]
        whole = values[f"{name}.weight"] + up @ down / 2
        s.equal(f"{name} merged", merged[f"{name}.weight"], whole)
        layer: Any = params
        for part in name.split("."):
            layer = layer[int(part)] if isinstance(layer, list) else layer[part]
        rows = x[..., : whole.shape[1]]
        got = s.ops.linear(s.array(rows), layer["weight"], None, layer["delta"])
        s.equal(f"{name} beside it", got, rows @ whole.T, s.dtype)
    kept = set(values) - {f"{name}.weight" for name in layers}
    s.demand("others stay", expected=True, got=all(merged[n] is values[n] for n in kept))
    first = tree_map(np.abs, made.initial(5))
    s.demand(
        "B begins at zero", expected=0.0, got=max(first[n].max() for n in first if n[-1] == "b")
    )
    bound = {n: 1 / math.sqrt(shapes[n][1]) for n in first if n.endswith("_a")}
    s.demand("A is bounded", expected=True, got=all(first[n].max() <= b for n, b in bound.items()))
    # of 16 numbers or more one is beyond half of the bound, unless they are drawn from less
    s.demand("and drawn", expected=True, got=all(first[n].max() > b / 2 for n, b in bound.items()))


@case(level="training", id="farther.metrics", dtypes=("float64",), training=True)
def metrics(s: Subject) -> None:
    """Means are over targets, not over batches; ignored ones are left out; F1 is of all rows."""
    found = Metrics()
    batches = (
        ([0, 1, 2, -1], [0, 2, 2, 0], 6.0, 3.0),
        ([1, -1, -1, 1], [1, 1, 1, 3], 4.0, 2.0),
    )
    for targets, predicted, total, count in batches:
        sums = {"total": np.asarray(total), "count": np.asarray(count)}
        found.add({**sums, "predicted": np.array(predicted)}, np.array(targets))
    got = found.result()
    # classes 0 to 3: 1, 1/2 (of 1 hit, 3 there, 1 said), 2/3, and 0 of one that was only said
    want = {
        "loss": 2.0,
        "targets": 5.0,
        "perplexity": math.exp(2.0),
        "accuracy": 3 / 5,
        "f1": (1 + 1 / 2 + 2 / 3 + 0) / 4,
    }
    s.demand("names", expected=sorted(want), got=sorted(got))
    for name, value in want.items():
        s.demand(name, expected=round(value, 12), got=round(got[name], 12))
    over = Metrics()
    over.add({"total": np.asarray(0.0), "count": np.asarray(0.0)}, np.zeros(0, int))
    s.demand("of nothing", expected={"loss": 0.0, "targets": 0.0}, got=over.result())
