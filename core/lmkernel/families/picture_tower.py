"""The tower of pictures of CLIP, of SigLIP and of models that talk about pictures."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    MlpConfig,
    ModelConfig,
    PatchConfig,
    TransformerConfig,
)
from lmkernel.errors import CheckpointError
from lmkernel.families.config_keys import ConfigKeys
from lmkernel.families.encoder_heads import leaf_rules, norm_of
from lmkernel.families.family import ACTIVATIONS, name_of_activation
from lmkernel.families.names import Rule, layer_rules
from lmkernel.families.vision import patches_of, pixels_of, write_pixels

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lmkernel.families.hf_config import HfConfig

__all__ = [
    "LAYER",
    "QUICK",
    "TOWER_KEYS",
    "network_of",
    "picture_tower",
    "stack_of",
    "tower_rules",
    "write_stack",
    "write_tower",
]

_QUICK, _SLOPE = "quick_gelu", 1.702
TOWER_KEYS = ConfigKeys(
    read={
        "hidden_size": 768,
        "intermediate_size": 3072,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "num_channels": 3,
        "image_size": 224,
        "patch_size": 16,
        "hidden_act": "gelu_pytorch_tanh",
        "layer_norm_eps": 1e-6,
    },
    # training
    inert=frozenset({"initializer_range", "initializer_factor", "is_causal"}),
)
"""The keys of a tower of pictures, with SigLIP's defaults."""
QUICK: Mapping[str, Any] = MappingProxyType({"hidden_act": _QUICK, "layer_norm_eps": 1e-5})
"""What CLIP's towers do by default in place of that."""
LAYER = MappingProxyType(
    {
        "layer_norm1": "attention_norm",
        "self_attn.q_proj": "attention.q",
        "self_attn.k_proj": "attention.k",
        "self_attn.v_proj": "attention.v",
        "self_attn.out_proj": "attention.o",
        "layer_norm2": "mlp_norm",
        "mlp.fc1": "mlp.up",
        "mlp.fc2": "mlp.down",
    }
)
"""The names of the parts of a tower's layer, each with ours."""


def picture_tower(
    config: HfConfig, *, token: bool, layers: int | None = None, final_norm: bool = True
) -> ModelConfig:
    """A tower, of a complete configuration, without a head.

    Args:
        config: with `TOWER_KEYS`.
        token: whether a vector stands before the patches, as in CLIP, whose vectors are then
            normalised before the first layer, and whose patches have no bias.
        layers: how many of its layers there are, from the first; by default all.
        final_norm: whether its last vectors are normalised.

    Raises:
        CheckpointError: a key asks for what makes no sense.
    """
    height, width = pixels_of(config, "image_size")
    down, along = pixels_of(config, "patch_size")
    if height != width or down != along or height < down:
        expected = "squares, of which a picture holds a patch at least"
        raise config.error("image_size", expected, config.values["image_size"])
    patches = PatchConfig(
        height=height,
        width=width,
        patch_height=down,
        patch_width=along,
        channels=config.whole("num_channels"),
        bias=not token,
        token=token,
    )
    stack = stack_of(config, causal=False, layers=layers, final_norm=final_norm)
    embedding = EmbeddingConfig(
        kind="patches",
        width=stack.width,
        positions="learned",
        context=patches.count,
        patches=patches,
        norm=stack.norm if token else None,
    )
    return ModelConfig(embedding=embedding, encoder=stack, context=patches.count)


def stack_of(
    config: HfConfig, *, causal: bool, layers: int | None = None, final_norm: bool = True
) -> TransformerConfig:
    """The layers of a tower, of pictures or of texts."""
    width, heads = config.whole("hidden_size"), config.whole("num_attention_heads")
    return TransformerConfig(
        width=width,
        layers=config.whole("num_hidden_layers") if layers is None else layers,
        attention=AttentionConfig(width=width, heads=heads, bias=True, out_bias=True),
        mlp=network_of(config),
        norm=norm_of(config),
        final_norm=final_norm,
        causal=causal,
    )


def network_of(config: HfConfig) -> MlpConfig:
    """The network of a layer; CLIP's GELU is x · sigmoid(1.702 · x)."""
    act = config.choice("hidden_act", {**ACTIVATIONS, _QUICK: _QUICK}, _QUICK)
    quick = act == _QUICK
    return MlpConfig(
        hidden=config.whole("intermediate_size"),
        activation="silu" if quick else act,
        slope=_SLOPE if quick else 1.0,
        gated=False,
        bias=True,
    )


def write_tower(tower: ModelConfig) -> dict[str, Any]:
    """The keys of a tower of pictures."""
    patches = patches_of(tower.embedding)
    return {
        "image_size": write_pixels(patches.height, patches.width),
        "patch_size": write_pixels(patches.patch_height, patches.patch_width),
        "num_channels": patches.channels,
        **write_stack(tower),
    }


def write_stack(config: ModelConfig) -> dict[str, Any]:
    """The keys of a tower's layers."""
    stack = config.encoder
    if not isinstance(stack, TransformerConfig):
        raise CheckpointError("expected towers of transformer layers")
    quick = stack.mlp.activation == "silu" and stack.mlp.slope == _SLOPE
    return {
        "hidden_size": stack.width,
        "intermediate_size": stack.mlp.hidden,
        "num_hidden_layers": stack.layers,
        "num_attention_heads": stack.attention.heads,
        "hidden_act": _QUICK if quick else name_of_activation(stack.mlp.activation),
        "layer_norm_eps": stack.norm.eps,
    }


def tower_rules(prefix: str, tower: ModelConfig) -> Iterator[Rule]:
    """The names of a tower's tensors, which stands in a model as its pictures.

    Args:
        prefix: what they begin with.
        tower: of pictures.
    """
    patches, ours = patches_of(tower.embedding), "pictures.embedding"
    width, before = tower.embedding.width, f"{prefix}embeddings."
    shape = (width, patches.channels, patches.patch_height, patches.patch_width)
    yield Rule(f"{before}class_embedding", f"{ours}.token.weight", stored=(width,))
    yield Rule(f"{before}patch_embedding.weight", f"{ours}.patches.weight", stored=shape)
    yield Rule(f"{before}patch_embedding.bias", f"{ours}.patches.bias")
    yield Rule(f"{before}position_embedding.weight", f"{ours}.positions.weight")
    yield from leaf_rules(f"{prefix}pre_layrnorm", f"{ours}.norm")  # its name in the files
    yield from layer_rules(f"{prefix}encoder.layers.{{i}}", LAYER, "pictures.encoder")
    yield from leaf_rules(f"{prefix}post_layernorm", "pictures.encoder.norm")
