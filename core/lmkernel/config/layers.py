"""Encoders and decoders: feed-forward, recurrent and transformer stacks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, final

from lmkernel.config.check import frozen_options, one_of, positive, require
from lmkernel.config.norm import NormConfig

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lmkernel.config.attention import AttentionConfig
    from lmkernel.config.experts import ExpertsConfig

__all__ = [
    "ACTIVATIONS",
    "FeedForwardConfig",
    "LayerConfig",
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
        limit: bound of a gated network's products before they are multiplied: of the gate from
            above, of the other both ways; 0 for none.
        slope: factor inside the sigmoid of ``"silu"``, x · sigmoid(slope · x) (1.702: CLIP).
        shift: number added to what the gate is multiplied with.
        experts: the networks that positions choose from, in place of one of ``hidden``; or None.
    """

    hidden: int
    activation: str = "silu"
    gated: bool = True
    bias: bool = False
    limit: float = 0.0
    slope: float = 1.0
    shift: float = 0.0
    experts: ExpertsConfig | None = None

    def __post_init__(self) -> None:
        positive(self, "hidden")
        one_of(self, "activation", ACTIVATIONS)
        for name, usual in (("limit", 0.0), ("slope", 1.0), ("shift", 0.0)):
            value = getattr(self, name)
            fits = self.activation == "silu" if name == "slope" else self.gated
            needed = "silu" if name == "slope" else "a gate"
            require(self, name, f"{usual} without {needed}", ok=value == usual or fits)
        require(self, "limit", "0 or more", ok=self.limit >= 0)

    @property
    def plain(self) -> bool:
        """Whether a gate is the activation of its product, and nothing else."""
        return not self.limit and self.slope == 1 and not self.shift


@final
@dataclass(frozen=True, kw_only=True)
class LayerConfig:
    """What one layer of a stack has of its own; None is what the stack says.

    Args:
        attention: its self-attention.
        mlp: its feed-forward network.
    """

    attention: AttentionConfig | None = None
    mlp: MlpConfig | None = None


@final
@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """A stack of transformer layers.

    Where the normalisations stand follows from ``pre_norm`` and ``output_norm``: of a sublayer's
    input alone (pre-norm), of both (Gemma 2), of its output alone (OLMo 2), or, with neither, of
    the sum with the residual (post-norm).

    Args:
        width: hidden size.
        layers: number of layers.
        attention: self-attention of each layer.
        mlp: feed-forward network of each layer.
        different: what each layer has of its own, one for each; or none, where all are alike.
        sets: number of sets of weights, each of which as many layers in a row share
            (arXiv:1909.11942, §3.1); 0 for a set of each layer's own.
        norm: normalisation inside the layers.
        pre_norm: whether each sublayer's input is normalised.
        first_norm: whether, in pre-norm, the first layer's attention normalises its input too; not
            where an embedding has a normalisation of its own (ModernBERT).
        output_norm: whether each sublayer's output is normalised before it is added.
        parallel: whether attention and the feed-forward network read the same input, and both
            outputs are added to it; for pre-norm without cross-attention.
        shared_norm: whether, in parallel, both read it through one normalisation.
        layer_scale: what the learned factors of each sublayer's output begin with, one for each
            channel (arXiv:2103.17239, §3); 0 where there are none.
        residual_scale: factor of each sublayer's output before it is added.
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
    different: tuple[LayerConfig, ...] = ()
    sets: int = 0
    norm: NormConfig = field(default_factory=NormConfig)
    pre_norm: bool = True
    first_norm: bool = True
    output_norm: bool = False
    parallel: bool = False
    shared_norm: bool = False
    layer_scale: float = 0.0
    residual_scale: float = 1.0
    final_norm: bool = True
    causal: bool = False
    cross: AttentionConfig | None = None
    dropout: float = 0.0
    remat: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        frozen_options(self)
        positive(self, "width", "layers")
        each = len(self.different) in (0, self.layers)
        require(self, "different", f"none, or one of {self.layers} layers", ok=each)
        shared = not self.sets or (self.layers % self.sets == 0 and not self.different)
        require(self, "sets", f"0, or a divisor of layers={self.layers}, all alike", ok=shared)
        own = (layer.attention for layer in self.different if layer.attention is not None)
        for attention in (self.attention, *own):
            same = attention.width == self.width
            require(self, "width", f"attention.width={attention.width}", ok=same)
            sees = self.causal or attention.delta is None
            require(self, "causal", "True, as a matrix holds what was before", ok=sees)
        alone = self.pre_norm and not self.output_norm and self.cross is None
        require(self, "parallel", "pre-norm and no cross-attention", ok=alone or not self.parallel)
        usual = self.pre_norm and not self.shared_norm
        require(self, "first_norm", "pre-norm of its own", ok=self.first_norm or usual)
        require(self, "shared_norm", "parallel", ok=self.parallel or not self.shared_norm)
        cross = self.cross
        fits = cross is None or (cross.width == self.width and cross.memory_width > 0)
        require(self, "cross", f"width {self.width} and a memory_width", ok=fits)
        require(self, "dropout", "a rate in [0, 1)", ok=0 <= self.dropout < 1)
        self._check_balance()

    def _check_balance(self) -> None:
        """The balance of experts counts all layers together, as the stack's ``mlp`` says."""
        networks = (self.mlp, *(own.mlp for own in self.different if own.mlp))
        mixtures = [mlp.experts for mlp in networks if mlp.experts]
        told = {(e.count, e.chosen, e.balance) for e in mixtures}
        alike = len(told) == 1 and self.mlp.experts is not None
        expected = "as many experts in each layer as in mlp, chosen and balanced alike"
        without = not any(e.balance for e in mixtures)
        require(self, "different", expected, ok=alike or without)

    def layer(self, index: int) -> TransformerConfig:
        """The layer of that number, as a stack of one."""
        own = self.different[index] if self.different else LayerConfig()
        attention, mlp = own.attention or self.attention, own.mlp or self.mlp
        first = self.first_norm or index > 0
        return replace(
            self, layers=1, sets=0, different=(), attention=attention, mlp=mlp, first_norm=first
        )

    def own(self, sets: Sequence[Any]) -> list[Any]:
        """What each layer has of its own or shares, of as many as there are sets of weights."""
        if not self.sets:
            return [*sets]
        return [sets[i * self.sets // self.layers] for i in range(self.layers)]


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
