"""A sound's samples before an encoder (wav2vec 2.0, arXiv:2006.11477, §2)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, final

from lmkernel.components.configured import Configured
from lmkernel.components.convolution import convolve, convolve_groups
from lmkernel.components.primitives import (
    activate,
    apply_dropout,
    declare_linear,
    declare_norm,
    normalize,
)
from lmkernel.composed.precision import accumulated, constant
from lmkernel.config import EmbeddingConfig, NormConfig, WaveConfig
from lmkernel.errors import ConfigError, InputError
from lmkernel.interfaces import Embedded, Embedding, Init, Param, ParamTree, project

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["WaveEmbedding"]

_NORM = NormConfig(kind="layer", eps=1e-5)
"""Of all convolutions, whatever the rest of a model has."""
_AXES = 3
_PROJECTED = 1 << 14
"""Its second dropout site, before those of a causal stack."""


@final
class WaveEmbedding(Configured[EmbeddingConfig], Embedding):
    """Samples ``(batch, time, 1)`` become a vector for each so many of them.

    Convolutions without edges, a product, and the convolution of the vectors around each, which
    tells positions apart. A vector is padding where the last sample that it sees is; it is 0 then.
    """

    @property
    def _waves(self) -> WaveConfig:
        if self._config.waves is None:
            raise ConfigError("EmbeddingConfig.waves: expected a WaveConfig, got None")
        return self._config.waves

    def declare(self) -> ParamTree:
        c, w = self._config, self._waves
        before = (1, *w.widths[:-1])
        tree: dict[str, Any] = {
            "layers": [
                self._declare_layer(i, *sizes)
                for i, sizes in enumerate(zip(w.widths, before, w.kernels, strict=True))
            ],
            "project": declare_linear(c.width, w.widths[-1], ("embed", "frame"), bias=True),
            "positions": self._declare_positions(),
        }
        if w.projected_norm is not None:
            tree["projected_norm"] = declare_norm(w.widths[-1], w.projected_norm)
        if c.norm is not None:
            tree["norm"] = declare_norm(c.width, c.norm)
        return tree

    def _declare_layer(self, number: int, out: int, into: int, kernel: int) -> ParamTree:
        # He et al. 2015 (arXiv:1502.01852, eq. 10), as the published models begin
        init = Init("normal", math.sqrt(2 / (into * kernel)))
        tree = {"weight": Param((out, into, kernel), init, ("embed", "frame", "kernel"))}
        if self._waves.bias:
            tree["bias"] = Param((out,), Init("zeros"), ("embed",))
        if self._waves.norm == "layer" or number == 0:
            tree["norm"] = declare_norm(out, _NORM)
        return tree

    def _declare_positions(self) -> ParamTree:
        width, w = self._config.width, self._waves
        share, spread = width // w.position_groups, 2 * math.sqrt(1 / (w.position_kernel * width))
        # a kernel's length is what the drawn one has on the average
        length = Init("ones", spread * math.sqrt(width * share))
        shape = (width, share, w.position_kernel)
        axes = ("embed", "frame", "kernel")
        return {
            "direction": {"weight": Param(shape, Init("normal", spread), axes)},
            "length": {"weight": Param((w.position_kernel,), length, axes[2:])},
            "bias": Param((width,), Init("zeros"), axes[:1]),
        }

    def __call__(
        self,
        params: dict[str, Any],
        inputs: Array,
        positions: Array,
        *,
        segments: Array | None = None,
        key: Array | None = None,
    ) -> Embedded:
        del segments
        ops, c, w = self._ops, self._config, self._waves
        self._check(tuple(inputs.shape))
        hidden = self._convolved(params["layers"], inputs)
        if w.projected_norm is not None:
            hidden = normalize(ops, hidden, params["projected_norm"], w.projected_norm)
        hidden = project(ops, hidden, params["project"])
        hidden = apply_dropout(ops, hidden, w.dropout, key, _PROJECTED)
        own = self._own_positions(positions, hidden.shape[1])
        real = own >= ops.full((), 0, "int32")
        hidden = ops.where(ops.reshape(real, (*own.shape, 1)), hidden, constant(ops, 0.0, hidden))
        hidden = hidden + self._around(params["positions"], hidden)
        if c.norm is not None:
            hidden = normalize(ops, hidden, params["norm"], c.norm)
        return Embedded(apply_dropout(ops, hidden, c.dropout, key, 0), own)

    def weight(self, params: dict[str, Any]) -> Array:
        del params
        raise TypeError("expected an embedding with a table, got one of samples")

    def _check(self, shape: tuple[int, ...]) -> None:
        if len(shape) != _AXES or shape[2] != 1:
            raise InputError(f"expected samples of shape (batch, time, 1), got {shape}")
        if shape[1] < self._waves.seen:
            raise InputError(
                f"expected at least {self._waves.seen} samples, which a vector is made of, "
                f"got {shape[1]}"
            )

    def _convolved(self, layers: list[dict[str, Any]], hidden: Array) -> Array:
        """``(batch, time, 1) -> (batch, vectors, width)`` by all convolutions."""
        ops, w = self._ops, self._waves
        for params, stride in zip(layers, w.strides, strict=True):
            hidden = convolve(ops, hidden, params, stride)
            if "norm" in params and w.norm == "layer":
                hidden = normalize(ops, hidden, params["norm"], _NORM)
            elif "norm" in params:
                hidden = _normalized_over_time(ops, hidden, params["norm"])
            hidden = activate(ops, hidden, w.activation)
        return hidden

    def _own_positions(self, positions: Array, count: int) -> Array:
        """Those of the vectors, -1 where the last sample that one sees is padding."""
        ops, w = self._ops, self._waves
        number = ops.arange(0, count, "int32")
        last = number * ops.full((), w.stride, "int32") + ops.full((), w.seen - 1, "int32")
        padding = ops.full((), -1, "int32")
        return ops.where(ops.take(positions, last, 1) > padding, number, padding)

    def _around(self, params: dict[str, Any], hidden: Array) -> Array:
        """What the vectors around each tell of its position."""
        ops, w = self._ops, self._waves
        kernel = _with_lengths(ops, params["direction"]["weight"], params["length"]["weight"])
        own = {"weight": kernel, "bias": params["bias"]}
        found = convolve_groups(ops, hidden, own, w.position_groups, w.position_kernel // 2)
        # an even kernel has one vector more, at the end
        return activate(ops, found[:, : hidden.shape[1]], w.activation)


@accumulated
def _normalized_over_time(ops: Ops, x: Array, params: dict[str, Any]) -> Array:
    """Each element of ``x (batch, time, width)`` with the mean 0 and the variance 1 over time."""
    centred = x - ops.mean(x, 1, keepdims=True)
    variance = ops.mean(centred * centred, 1, keepdims=True)
    normal = centred / ops.sqrt(variance + constant(ops, _NORM.eps, x))
    weight, bias = (ops.astype(params[name], ops.dtype(x)) for name in ("weight", "bias"))
    return normal * weight + bias


@accumulated
def _with_lengths(ops: Ops, direction: Array, length: Array) -> Array:
    """A kernel ``(out, in, kernel)``, each step of it as long as is said (arXiv:1602.07868)."""
    squares = ops.sum(ops.sum(direction * direction, 0, keepdims=True), 1, keepdims=True)
    wanted = ops.reshape(ops.astype(length, ops.dtype(direction)), (1, 1, -1))
    return direction * (wanted / ops.sqrt(squares))
