"""A checkpoint's parameters, one layer at a time from the memory map.

Constraint: what is in memory is a layer, however large the model: the table of the embedding is
read for the rows that are used, a layer when a run comes to it, and the head's product in parts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.model.head import head
from lmkernel.parameters import flatten, pack
from lmkernel.verification.structure import transformers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lmkernel.config import HeadConfig
    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.interfaces import ParamTree
    from lmkernel.model import Model
    from lmkernel.verification.part import Part

    Values = dict[str, NDArray[Any]]

__all__ = ["ChangeValues", "LayerWeights"]

_TOKENS = "tokens.weight"
_TABLE = f"embedding.{_TOKENS}"
_PART = 1 << 23
"""So many elements of the head's weight are in memory at once in float64."""

ChangeValues = Callable[["Values"], "Values"]
"""Gives other host values for those of a group of parameters: of a layer, or of all the others."""


def _unchanged(values: Values) -> Values:
    return values


@final
class LayerWeights:
    """The parameters of one model, in its compute dtype.

    Args:
        part: where they come from.
        model: on its backend; its configuration may be another than the part's.
        used: the token ids that occur, sorted.
        change: what is done to host values before they are packed.
        layer_of: which layer of the files is a layer of the model, in the stack that the head
            reads.
    """

    def __init__(
        self,
        part: Part,
        model: Model,
        used: NDArray[np.int64],
        change: ChangeValues = _unchanged,
        layer_of: Callable[[int], int] = lambda i: i,
    ) -> None:
        self._part, self._model, self._used = part, model, used
        self._change, self._layer_of = change, layer_of
        self._stacks = transformers(model.config)
        self._declared: dict[str, ParamTree] = model.declare()

    def tree(self) -> Tree:
        """The parameters of all but the head, layers as a sequence that reads when it is asked."""
        made = {"embedding": self._embedding()}
        if "target_embedding" in self._declared:
            target = self._declared["target_embedding"]
            made["target_embedding"] = self._packed("target_embedding", target)
        return {**made, **{name: self._stack(name) for name in self._stacks}}

    def _stack(self, name: str) -> Tree:
        declared = self._declared[name]
        layers = _Layers(len(declared["layers"]), partial(self._layer, name))
        if "norm" not in declared:
            return {"layers": layers}
        return {"layers": layers, "norm": self._packed(f"{name}.norm", declared["norm"])}

    def logits(self, ends: Sequence[Sequence[Array]]) -> list[NDArray[Any]]:
        """The head's output for several inputs, each ``(batch, time, size)``.

        Args:
            ends: of each input, the last hidden vectors, positions and ids of tokens.
        """
        made: list[list[NDArray[Any]]] = [[] for _ in ends]
        for config, params, weight in self.head_parts():
            for out, end in zip(made, ends, strict=True):
                out.append(self.apply_head(config, params, weight, *end))
        return [np.concatenate(parts, -1) for parts in made]

    def apply_head(
        self,
        config: HeadConfig,
        params: Tree,
        weight: Array,
        hidden: Array,
        positions: Array,
        tokens: Array,
    ) -> NDArray[Any]:
        """One part's output on the host."""
        ops, where = self._model.backend.ops, {"positions": positions, "tokens": tokens}
        return np.asarray(ops.to_numpy(head(ops, hidden, params, config, weight, **where)))

    def head_parts(self, size: int = 0) -> Iterator[tuple[HeadConfig, Tree, Array]]:
        """The head as heads of some rows each; one without a product is whole, and has no weight.

        Args:
            size: the rows of a part; by default as many as `_PART` elements are.
        """
        config = self._model.config.head
        if config is None:
            raise AssertionError("expected a head, which the caller has looked for")
        ops, policy = self._model.backend.ops, self._model.policy
        values = self._values("head", self._declared["head"])
        if not config.product:
            whole = self._packed("head", self._declared["head"])
            yield replace(config, labels=()), whole, None
            return
        table = self._table() if config.tied else values.pop("head.weight")
        rest = {n: x for n, x in self._declared["head"].items() if n not in ("weight", "bias")}
        own = {n.removeprefix("head."): x for n, x in values.items()}
        bias, size = own.pop("bias", None), size or max(1, _PART // config.width)
        for begin in range(0, config.size, size):
            rows = slice(begin, min(begin + size, config.size))
            params = pack(ops, rest, own, policy.compute)
            if bias is not None:
                params["bias"] = ops.asarray(bias[rows], policy.compute)
            part = ops.asarray(table[rows], policy.compute, copy=False)
            weight = ops.pack_linear(part)
            yield replace(config, size=rows.stop - rows.start, labels=()), params, weight

    def _layer(self, name: str, index: int) -> Tree:
        # the files' own number is in the names, the model's in what is declared
        number = self._layer_of(index) if name == list(self._stacks)[-1] else index
        return self._packed(f"{name}.layers.{number}", self._declared[name]["layers"][index])

    def _embedding(self) -> Tree:
        """With the table's rows that are used alone, where it is a table."""
        declared = self._declared["embedding"]
        values = self._values("embedding", declared)
        if _TABLE in values:
            rows = values[_TABLE] = values[_TABLE][self._used]
            tokens = {"weight": replace(declared["tokens"]["weight"], shape=rows.shape)}
            declared = {**declared, "tokens": tokens}
        own = {n.removeprefix("embedding."): x for n, x in values.items()}
        return pack(self._model.backend.ops, declared, own, self._model.policy.compute)

    def _table(self) -> NDArray[Any]:
        """What a tied head multiplies with: the target's own table, or the source's."""
        own = self._model.config.target_embedding
        name = "embedding" if own is None or own.shared else "target_embedding"
        return self._values(name, self._declared[name])[f"{name}.{_TOKENS}"]

    def _packed(self, prefix: str, declared: ParamTree) -> Tree:
        values = self._values(prefix, declared)
        own = {name.removeprefix(f"{prefix}."): x for name, x in values.items()}
        return pack(self._model.backend.ops, declared, own, self._model.policy.compute)

    def _values(self, prefix: str, declared: ParamTree) -> Values:
        """Host values under their dotted names, changed as asked."""
        names = [f"{prefix}.{name}" for name in flatten(declared)]
        return self._change(self._part.weights(names))


@final
class _Layers(Sequence[Any]):
    """Layers that are read when they are asked for; only the last one is kept."""

    def __init__(self, count: int, read: Callable[[int], Tree]) -> None:
        self._count, self._read = count, read
        self._last: tuple[int, Tree] = (-1, None)

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Tree:
        if not 0 <= index < self._count:
            raise IndexError(index)
        if self._last[0] != index:
            self._last = (-1, None)  # so that the old one is gone before the new one is read
            self._last = (index, self._read(index))
        return self._last[1]
