"""Recurrent stacks: GRU and LSTM, several layers, both directions for an encoder.

Constraints: weights are laid out as torch lays them out, (gates · width, in), gates r, z, n and
i, f, g, o. A padded position (-1) passes the state on and gives zeros, on whichever side it is.
"""

from __future__ import annotations

from abc import ABC
from typing import TYPE_CHECKING, Any, final

from lmkernel.components.configured import Configured
from lmkernel.components.primitives import declare_linear
from lmkernel.config import RecurrentConfig
from lmkernel.contract.trees import tree_map
from lmkernel.interfaces import Decoder, Encoder, Init, Memory, ParamTree, project

if TYPE_CHECKING:
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.interfaces import Embedded

__all__ = ["RecurrentDecoder", "RecurrentEncoder"]

_GATES = {"gru": 3, "lstm": 4}


def _declare_one(config: RecurrentConfig, into: int) -> ParamTree:
    rows, init = _GATES[config.cell] * config.width, Init("uniform", config.width**-0.5)
    return {
        "input": declare_linear(rows, into, ("gates", "embed"), bias=config.bias, init=init),
        "state": declare_linear(
            rows, config.width, ("gates", "state"), bias=config.bias, init=init
        ),
    }


class _Recurrent(Configured[RecurrentConfig], ABC):
    """The layers, and how they are run; each state of a layer has an entry for each direction."""

    @property
    def _ways(self) -> tuple[str, ...]:
        """The directions, in the order of their outputs."""
        return ("forward", "backward") if self._config.bidirectional else ("forward",)

    def declare(self) -> ParamTree:
        layers, into = [], self._config.input_width
        for _ in range(self._config.layers):
            layers.append({way: _declare_one(self._config, into) for way in self._ways})
            into = self._config.width * len(self._ways)
        return {"layers": layers}

    def _zeros(self, batch: int, dtype: DType) -> list[Tree]:
        """The states before anything was read."""
        ops, config = self._ops, self._config
        names = ("h", "c") if config.cell == "lstm" else ("h",)
        return [
            {way: {n: ops.full((batch, config.width), 0.0, dtype) for n in names} for way in ways}
            for ways in [self._ways] * config.layers
        ]

    def _scan(
        self, params: dict[str, Any], x: Array, positions: Array, state: Tree, *, reverse: bool
    ) -> tuple[Array, Tree]:
        """One direction of one layer: ``(batch, time, in) -> (batch, time, width)``, its state."""
        ops, is_lstm = self._ops, self._config.cell == "lstm"
        gates = ops.permute_dims(project(ops, x, params["input"]), (1, 0, 2))
        real = ops.permute_dims(positions, (1, 0)) >= ops.full((), 0, "int32")
        real = ops.reshape(real, (*real.shape, 1))
        weight, bias = params["state"]["weight"], params["state"].get("bias")

        def step(carry: Tree, now: Tree) -> tuple[Tree, Array]:
            if is_lstm:
                h, c = ops.lstm_cell(now["gates"], carry["h"], carry["c"], weight, bias)
                new = {"h": h, "c": c}
            else:
                new = {"h": ops.gru_cell(now["gates"], carry["h"], weight, bias)}
            new = tree_map(lambda n, old: ops.where(now["real"], n, old), new, carry)
            silent = ops.full((), 0.0, ops.dtype(new["h"]))
            return new, ops.where(now["real"], new["h"], silent)

        state, ys = ops.scan(step, state, {"gates": gates, "real": real}, reverse=reverse)
        return ops.permute_dims(ys, (1, 0, 2)), state

    def _run(
        self, params: dict[str, Any], inputs: Embedded, states: list[Tree]
    ) -> tuple[Array, list[Tree]]:
        """All layers, and their states at the end."""
        ops, positions, x, last = self._ops, inputs.positions, inputs.hidden, []
        for layer, state in zip(params["layers"], states, strict=True):
            outs, ends = [], {}
            for way in self._ways:
                back = way == "backward"
                out, ends[way] = self._scan(layer[way], x, positions, state[way], reverse=back)
                outs.append(out)
            x = outs[0] if len(outs) == 1 else ops.concat(outs, -1)
            last.append(ends)
        return x, last


@final
class RecurrentEncoder(_Recurrent, Encoder):
    """Reads the source in one direction, or in both with the outputs side by side."""

    def __call__(
        self,
        params: dict[str, Any],
        inputs: Embedded,
        *,
        key: Array | None = None,
        state: list[Tree] | None = None,
    ) -> Memory:
        """Encode; ``state`` gives each layer's ``{way: {"h", "c"?}}`` instead of zeros."""
        del key
        if state is None:
            state = self._zeros(inputs.hidden.shape[0], self._ops.dtype(inputs.hidden))
        hidden, last = self._run(params, inputs, state)
        return Memory(hidden, inputs.positions, [self._join_directions(ends) for ends in last])

    def _join_directions(self, ends: dict[str, Tree]) -> Tree:
        """A layer's last states, both directions side by side."""
        ways = list(ends.values())
        if len(ways) == 1:
            return ways[0]
        return tree_map(lambda *parts: self._ops.concat(parts, -1), *ways)


@final
class RecurrentDecoder(_Recurrent, Decoder):
    """Starts from the encoder's last state, layer by layer, and goes forward."""

    def __call__(
        self,
        params: dict[str, Any],
        inputs: Embedded,
        *,
        memory: Memory | None = None,
        key: Array | None = None,
    ) -> Array:
        del key
        batch, dtype = inputs.hidden.shape[0], self._ops.dtype(inputs.hidden)
        state = self._start(batch, dtype, memory)
        return self._run(params, inputs, state)[0]

    def start(
        self,
        params: dict[str, Any],
        batch: int,
        capacity: int,
        dtype: DType,
        *,
        memory: Memory | None = None,
    ) -> Tree:
        del params, capacity
        return {"layers": self._start(batch, dtype, memory)}

    def step(
        self, params: dict[str, Any], inputs: Embedded, state: Tree, start: Array, *, extent: int
    ) -> tuple[Array, Tree]:
        del start, extent
        hidden, last = self._run(params, inputs, state["layers"])
        return hidden, {"layers": last}

    def grow(self, state: Tree, capacity: int) -> Tree:
        del capacity
        return state

    def _start(self, batch: int, dtype: DType, memory: Memory | None) -> list[Tree]:
        if memory is None or memory.state is None:
            return self._zeros(batch, dtype)
        return [{"forward": state} for state in memory.state]
