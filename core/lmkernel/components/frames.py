"""Frames of a sound before an encoder: two convolutions in time (arXiv:2212.04356, §2.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.components.configured import Configured
from lmkernel.components.convolution import convolve
from lmkernel.components.primitives import apply_dropout
from lmkernel.config import EmbeddingConfig
from lmkernel.errors import ConfigError, InputError
from lmkernel.interfaces import Embedded, Embedding, Init, Param, ParamTree

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = ["FrameEmbedding"]

_KERNEL, _STRIDE = 3, 2
_NORMAL = Init("normal", 0.02)


@final
class FrameEmbedding(Configured[EmbeddingConfig], Embedding):
    """Frames ``(batch, time, bins)`` become half as many vectors with learned positions.

    The option ``bins`` is the size of a frame.
    """

    def __init__(self, ops: Ops, config: EmbeddingConfig) -> None:
        super().__init__(ops, config)
        bins = config.options.get("bins")
        if type(bins) is not int or bins < 1 or not config.context:
            raise ConfigError(
                "EmbeddingConfig: expected a context and options with bins, a whole number above 0,"
                f" got {config.context} and {bins!r:.40}"
            )
        self._bins: int = bins

    def declare(self) -> ParamTree:
        c = self._config
        return {
            "first": _convolution(c.width, self._bins),
            "second": _convolution(c.width, c.width),
            "positions": {"weight": Param((c.context, c.width), _NORMAL, ("position", "embed"))},
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
        ops, c = self._ops, self._config
        if len(inputs.shape) != 3 or inputs.shape[2] != self._bins:  # noqa: PLR2004 - batch, time and bins
            raise InputError(
                f"expected frames of shape (batch, time, {self._bins}), got {tuple(inputs.shape)}"
            )
        # as many zeros at both ends as keep each frame in a middle
        hidden = ops.gelu(convolve(ops, inputs, params["first"], edge=_KERNEL // 2))
        hidden = ops.gelu(convolve(ops, hidden, params["second"], _STRIDE, _KERNEL // 2))
        time = hidden.shape[1]
        if time > c.context:
            raise InputError(
                f"expected at most {_STRIDE * c.context} frames, got {inputs.shape[1]}"
            )
        hidden = hidden + params["positions"]["weight"][:time]
        kept = _every(ops, positions, time)
        padding = ops.full((), -1, "int32")
        own = ops.where(kept > padding, ops.arange(0, time, "int32"), padding)
        return Embedded(apply_dropout(ops, hidden, c.dropout, key, 0), own)

    def weight(self, params: dict[str, Any]) -> Array:
        del params
        raise TypeError("expected an embedding with a table, got one of frames")


def _every(ops: Ops, positions: Array, time: int) -> Array:
    """The positions of the frames in the middle of what each output sees."""
    which = ops.arange(0, time, "int32") * ops.full((), _STRIDE, "int32")
    return ops.take(positions, which, 1)


def _convolution(out: int, into: int) -> ParamTree:
    return {
        "weight": Param((out, into, _KERNEL), _NORMAL, ("embed", "frame", "kernel")),
        "bias": Param((out,), Init("zeros"), ("embed",)),
    }
