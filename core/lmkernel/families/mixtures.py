"""Families whose feed-forward networks are mixtures of experts (arXiv:2101.03961).

The loss that balances the experts counts in training where a configuration asks for the routers'
logits, as in transformers.
"""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.config import ExpertsConfig, LayerConfig
from lmkernel.errors import CheckpointError
from lmkernel.families.gated import decoder_of
from lmkernel.families.names import Rule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lmkernel.config import ModelConfig
    from lmkernel.families.hf_config import HfConfig

__all__ = [
    "BALANCE_KEYS",
    "INERT",
    "PRODUCTS",
    "SPARSE_KEYS",
    "balance_keys",
    "balance_of",
    "expert_rules",
    "experts_of",
    "sparse_layers",
    "with_experts",
]

INERT = ("router_jitter_noise",)
"""Noise before the router, which Mixtral's code once had in training."""
BALANCE_KEYS: Mapping[str, Any] = MappingProxyType(
    {"output_router_logits": False, "router_aux_loss_coef": 0.001}
)
"""Keys of the loss that balances experts, with what they are where a file does not have them."""
PRODUCTS = MappingProxyType({"gate": "gate_proj", "up": "up_proj", "down": "down_proj"})
"""Our names of an expert's products, each with the usual one."""
SPARSE_KEYS: Mapping[str, Any] = MappingProxyType(
    {"decoder_sparse_step": 1, "mlp_only_layers": None, "norm_topk_prob": False}
)
"""Keys of Qwen's mixtures, with what they are where a file does not have them."""


def expert_rules(router: str, experts: Mapping[str, str]) -> tuple[Rule, ...]:
    """Rules for the router, and for each of the products of the experts by its name of ours."""
    layer, ours = "model.layers.{i}", "decoder.layers.{i}.mlp"
    return (
        Rule(f"{layer}.{router}.weight", f"{ours}.router.weight"),
        *(
            Rule(f"{layer}.{theirs}.weight", f"{ours}.experts.{name}.weight")
            for name, theirs in experts.items()
        ),
    )


def with_experts(
    model: ModelConfig, experts: ExpertsConfig, sparse: Sequence[bool] | None = None
) -> ModelConfig:
    """A model with experts in its layers, or in those that are marked."""
    stack = decoder_of(model)
    dense, mixed = stack.mlp, replace(stack.mlp, experts=experts)
    different = stack.different
    if sparse is not None and not all(sparse):
        own = different or (LayerConfig(),) * stack.layers
        pairs = zip(own, sparse, strict=True)
        different = tuple(replace(one, mlp=None if mark else dense) for one, mark in pairs)
    return replace(model, decoder=replace(stack, mlp=mixed, different=different))


def balance_of(config: HfConfig) -> float:
    """The weight of the loss that balances experts; 0 where the routers' logits aren't asked for.

    Raises:
        CheckpointError: a weight below 0.
    """
    weight = config.number("router_aux_loss_coef")
    if weight < 0:
        raise config.error("router_aux_loss_coef", "0 or more", weight)
    return weight if config.flag("output_router_logits", default=False) else 0.0


def balance_keys(experts: ExpertsConfig) -> dict[str, Any]:
    """The keys that `balance_of` reads; of a loss that does not count its weight is left out."""
    asked = experts.balance > 0
    weight = {"router_aux_loss_coef": experts.balance} if asked else {}
    return {"output_router_logits": asked, **weight}


def sparse_layers(config: HfConfig) -> list[bool]:
    """Which layers have experts, by ``decoder_sparse_step`` and ``mlp_only_layers``."""
    layers, every = config.listed_layers(), config.whole("decoder_sparse_step")
    dense = config.values.get("mlp_only_layers") or []
    if not isinstance(dense, list) or not all(isinstance(n, int) for n in dense):
        raise config.error("mlp_only_layers", "a list of numbers of layers", dense)
    without = frozenset(dense)
    return [layer not in without and (layer + 1) % every == 0 for layer in range(layers)]


def experts_of(model: ModelConfig) -> tuple[ExpertsConfig, list[int]]:
    """The experts of a model, and the numbers of the layers without any.

    Raises:
        CheckpointError: there are none.
    """
    stack = decoder_of(model)
    if stack.mlp.experts is None:
        raise CheckpointError("expected a mixture of experts")
    dense = [n for n in range(stack.layers) if stack.layer(n).mlp.experts is None]
    return stack.mlp.experts, dense
