"""Encoders and decoders: feed-forward, recurrent and transformer stacks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

from lmkernel.config.check import frozen_options, one_of, positive, require
from lmkernel.config.norm import NormConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.config.attention import AttentionConfig

__all__ = [
    "ACTIVATIONS",
    "FeedForwardConfig",
    "MlpConfig",
    "RecurrentConfig",
    "StackConfig",
    "TransformerConfig",
]

ACTIVATIONS = ("relu", "silu", "gelu", "gelu_tanh", "tanh", "sigmoid", "softmax", "none")


@final
@dataclass(frozen=True, kw_only=True)
class MlpConfig:
    """The position-wise network of a transformer layer: down(act(up(x))), or gated.

    Args:
        hidden: intermediate size, between the two products.
        activation: one of `ACTIVATIONS`.
        gated: whether the network is down(act(gate(x)) · up(x)) (arXiv:2002.05202).
        bias: whether its products have biases.
    """

    hidden: int
    activation: str = "silu"
    gated: bool = True
    bias: bool = False

    def __post_init__(self) -> None:
        positive(self, "hidden")
        one_of(self, "activation", ACTIVATIONS)


@final
@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """A stack of transformer layers.

    Args:
        width: hidden size.
        layers: number of layers.
        attention: self-attention of each layer.
        mlp: feed-forward network of each layer.
        norm: normalisation inside the layers, placed as ``pre_norm`` says.
        pre_norm: whether each sublayer's input is normalised (pre-norm), or each sum (post-norm).
        final_norm: whether the stack ends in one more normalisation.
        causal: whether a position sees only itself and those before it.
        cross: cross-attention of each layer to the encoder's output, or None.
        dropout: rate of dropout of each sublayer's output, in training.
        remat: gradient checkpointing: whether a layer's inner values are computed again in the
            backward pass instead of being kept (arXiv:1604.06174).
        options: settings of a plugin's kind.
    """

    kind: str = "transformer"
    width: int
    layers: int
    attention: AttentionConfig
    mlp: MlpConfig
    norm: NormConfig = field(default_factory=NormConfig)
    pre_norm: bool = True
    final_norm: bool = True
    causal: bool = False
    cross: AttentionConfig | None = None
    dropout: float = 0.0
    remat: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        frozen_options(self)
        positive(self, "width", "layers")
        same = self.attention.width == self.width
        require(self, "width", f"attention.width={self.attention.width}", ok=same)
        cross = self.cross
        fits = cross is None or (cross.width == self.width and cross.memory_width > 0)
        require(self, "cross", f"width {self.width} and a memory_width", ok=fits)
        require(self, "dropout", "a rate in [0, 1)", ok=0 <= self.dropout < 1)


@final
@dataclass(frozen=True, kw_only=True)
class RecurrentConfig:
    """A stack of recurrent layers.

    Args:
        input_width: size of the input vectors.
        width: hidden size, that is of the state, for each direction.
        layers: number of layers.
        cell: ``"gru"`` or ``"lstm"``.
        bidirectional: whether both directions run, their outputs side by side; for encoders only.
        bias: whether both products have biases.
        options: settings of a plugin's kind.
    """

    kind: str = "recurrent"
    input_width: int
    width: int
    layers: int = 1
    cell: str = "gru"
    bidirectional: bool = False
    bias: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        frozen_options(self)
        positive(self, "input_width", "width", "layers")
        one_of(self, "cell", ("gru", "lstm"))


@final
@dataclass(frozen=True, kw_only=True)
class FeedForwardConfig:
    """Dense layers of the given widths.

    Args:
        widths: two sizes or more, the input's first, such as ``(3, 128, 64, 32, 16)``.
        activation: one of `ACTIVATIONS`, after every layer but the last.
        final_activation: one of `ACTIVATIONS`, after the last.
        bias: whether each layer has a bias.
        options: settings of a plugin's kind.
    """

    kind: str = "feed_forward"
    widths: tuple[int, ...]
    activation: str = "relu"
    final_activation: str = "relu"
    bias: bool = True
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        frozen_options(self)
        whole = all(w > 0 for w in self.widths)
        require(self, "widths", "two or more positive integers", ok=len(self.widths) > 1 and whole)
        one_of(self, "activation", ACTIVATIONS)
        one_of(self, "final_activation", ACTIVATIONS)


StackConfig = TransformerConfig | RecurrentConfig | FeedForwardConfig
"""The configuration of an encoder or a decoder; a plugin's kind reads one of these."""
