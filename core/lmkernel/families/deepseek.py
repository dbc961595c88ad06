"""DeepSeek V2 (arXiv:2405.04434) and V3 (arXiv:2412.19437): latent attention, groups of experts.

The first layers are dense. V3 chooses experts by a bias that no weight has.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, final

from lmkernel.config import ExpertsConfig, LatentConfig, NormConfig
from lmkernel.errors import CheckpointError
from lmkernel.families.deepseek_names import (
    FIELDS,
    LAYERS,
    MORE,
    QUERIES,
    SMALL_QUERIES,
    keys_of_gguf,
)
from lmkernel.families.gated import (
    GATED_KEYS,
    GatedFamily,
    Traits,
    decoder_of,
    gated_rules,
    read_gated,
    with_changes,
    write_gated,
)
from lmkernel.families.gguf_architecture import GgufArchitecture
from lmkernel.families.hf_config import HfConfig
from lmkernel.families.mixtures import experts_of, with_experts
from lmkernel.families.names import Rule, with_optional_prefix

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig
    from lmkernel.families.config_keys import ConfigKeys
    from lmkernel.families.sizes import Sizes

__all__ = ["DeepseekV2", "DeepseekV3"]

_SIGMOID = 2
"""The number of sigmoid scores in GGUF."""
_KEYS = GATED_KEYS.but(
    attention_bias=False,
    kv_lora_rank=512,
    q_lora_rank=1536,
    n_group=None,
    topk_group=None,
    qk_nope_head_dim=128,
    qk_rope_head_dim=64,
    v_head_dim=128,
    num_experts_per_tok=None,
    nullable=("q_lora_rank",),
    # what older files say, and transformers passes over
    inert=(
        *(
            "head_dim",
            "qk_head_dim",
            "num_key_value_heads",
            "output_router_logits",
            "moe_layer_freq",
        ),
        *("aux_loss_alpha", "seq_aux", "ep_size", "scoring_func", "router_aux_loss_coef"),
    ),
)


class _Deepseek(GatedFamily):
    """What both share.

    Attributes:
        routing: how experts are chosen, but for the numbers.
    """

    keys: ClassVar[ConfigKeys]
    routing: ClassVar[dict[str, Any]]

    @abstractmethod
    def _has_groups(self, config: HfConfig) -> bool:
        """Whether experts are chosen by groups."""

    def read(self, config: HfConfig) -> ModelConfig:
        config = self.keys.complete(config)
        turned, heads = config.whole("qk_rope_head_dim"), config.whole("num_attention_heads")
        own = {"head_dim": turned, "num_key_value_heads": heads}
        bias = config.flag("attention_bias", default=False)
        model = read_gated(
            HfConfig({**config.values, **own}, config.where),
            Traits(bias=bias, out_bias=bias, context=2048),
        )
        head_dim = config.whole("qk_nope_head_dim") + turned
        latent = LatentConfig(
            rank=config.whole("kv_lora_rank"),
            turned=turned,
            value_dim=config.whole("v_head_dim"),
            query_rank=config.whole("q_lora_rank", 0, least=0) if config.has("q_lora_rank") else 0,
            norm=NormConfig(kind="rms", eps=1e-6),
        )
        paired = config.flag("rope_interleave", default=True)
        model = with_changes(
            model,
            attention={
                "kind": "latent",
                "head_dim": head_dim,
                "latent": latent,
                "scale": head_dim**-0.5 * _growth(config) ** 2,
                "interleaved": turned if paired else 0,
            },
        )
        first = config.whole("first_k_dense_replace", 0, least=0)
        sparse = [layer >= first for layer in range(config.listed_layers())]
        return with_experts(model, self._experts(config), sparse)

    def _experts(self, config: HfConfig) -> ExpertsConfig:
        hidden, groups = config.whole("moe_intermediate_size"), dict[str, Any]()
        if self._has_groups(config):
            groups["groups"] = config.whole("n_group", 1)
            groups["chosen_groups"] = config.whole("topk_group", 1)
        return ExpertsConfig(
            count=config.whole("n_routed_experts"),
            chosen=config.whole("num_experts_per_tok"),
            hidden=hidden,
            renormalize=config.flag("norm_topk_prob", default=False),
            scale=config.number("routed_scaling_factor"),
            shared=hidden * config.whole("n_shared_experts"),
            **groups,
            **self.routing,
        )

    def _write(self, config: ModelConfig, model_type: str, architecture: str) -> dict[str, Any]:
        (experts, dense), c = experts_of(config), decoder_of(config).attention
        d, first = c.latent, len(dense)
        if d is None or dense != [*range(first)] or experts.shared % experts.hidden:
            raise CheckpointError("expected latent attention, and dense layers before all others")
        plain = replace(config, decoder=replace(decoder_of(config), different=()))
        written = write_gated(plain, model_type, architecture)
        if (growth := math.sqrt(c.scale * math.sqrt(c.head_dim))) > 1 + 1e-9:
            table = written["rope_scaling"]
            whole = (growth - 1) / (0.1 * math.log(table["factor"]))
            written["rope_scaling"] = {**table, "mscale_all_dim": round(whole, 10)}
        return {
            **written,
            "head_dim": d.turned,
            "attention_bias": c.bias,
            "kv_lora_rank": d.rank,
            "q_lora_rank": d.query_rank or None,
            "qk_nope_head_dim": c.head_dim - d.turned,
            "qk_rope_head_dim": d.turned,
            "v_head_dim": d.value_dim,
            "first_k_dense_replace": first,
            "n_group": experts.groups,
            "topk_group": experts.chosen_groups,
            "n_routed_experts": experts.count,
            "num_experts_per_tok": experts.chosen,
            "moe_intermediate_size": experts.hidden,
            "n_shared_experts": experts.shared // experts.hidden,
            "norm_topk_prob": experts.renormalize,
            "routed_scaling_factor": experts.scale,
        }

    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        latent = decoder_of(config).attention.latent
        queries = SMALL_QUERIES if latent and latent.query_rank else QUERIES
        return with_optional_prefix("model.", (*gated_rules({**LAYERS, **queries}), *MORE))

    def new(self, sizes: Sizes) -> dict[str, Any]:
        head = max(2, sizes.width // sizes.heads)
        turned = 2 * (head // 4 + 1)
        return {
            **super().new(sizes),
            "head_dim": turned,
            "kv_lora_rank": 2 * head,
            "q_lora_rank": None,
            "qk_nope_head_dim": head,
            "qk_rope_head_dim": turned,
            "v_head_dim": head,
            "first_k_dense_replace": 1,
            "moe_intermediate_size": max(1, sizes.inner // 4),
            "n_routed_experts": 8,
            "num_experts_per_tok": 2,
            "n_group": 1,
            "topk_group": 1,
        }


def _growth(config: HfConfig) -> float:
    """YaRN's factor of queries and of keys, in the scale of their products."""
    table = config.part("rope_scaling", "rope_parameters")
    if table is None or not table.has("mscale_all_dim") or not table.has("factor"):
        return 1.0
    factor, whole = table.number("factor"), table.number("mscale_all_dim", 0.0)
    return 1.0 if factor <= 1 else 0.1 * whole * math.log(factor) + 1


@final
class DeepseekV2(_Deepseek):
    """``model_type`` ``"deepseek_v2"``; a group of experts is as good as its best."""

    routing: ClassVar[dict[str, Any]] = {"group_score": "max"}
    layout = GgufArchitecture(
        class_name="DeepseekV2ForCausalLM",
        name="deepseek2",
        partial=True,
        latent=True,
        fields=FIELDS,
        values={"partial_rotary_factor": None},
        complete=lambda names, so_far: {
            **keys_of_gguf(names, so_far),
            "topk_method": "group_limited_greedy" if so_far.get("n_group", 1) > 1 else "greedy",
        },
    )
    keys = _KEYS.but(
        vocab_size=102400,
        first_k_dense_replace=0,
        n_routed_experts=64,
        n_shared_experts=2,
        routed_scaling_factor=1.0,
        topk_method="greedy",
        moe_intermediate_size=1407,
        nullable=("topk_method",),
        refused={"mlp_bias": False, "norm_topk_prob": False},
        aliases={"num_experts": "n_routed_experts"},
    )

    def _has_groups(self, config: HfConfig) -> bool:
        ways = {"greedy": False, "group_limited_greedy": True}
        return bool(config.choice("topk_method", ways, "greedy"))

    def write(self, config: ModelConfig) -> dict[str, Any]:
        written = self._write(config, "deepseek_v2", "DeepseekV2ForCausalLM")
        grouped = written["n_group"] > 1
        return {**written, "topk_method": "group_limited_greedy" if grouped else "greedy"}


@final
class DeepseekV3(_Deepseek):
    """``model_type`` ``"deepseek_v3"``; a group of experts is as good as its two best together."""

    routing: ClassVar[dict[str, Any]] = {
        "group_score": "top_two",
        "scoring": "sigmoid",
        "choice_bias": True,
    }
    layout = GgufArchitecture(
        class_name="DeepseekV3ForCausalLM",
        name="deepseek2",
        fits=lambda metadata: metadata.get("expert_gating_func") == _SIGMOID,
        biases=True,
        partial=True,
        latent=True,
        fields=FIELDS,
        values={"partial_rotary_factor": None},
        complete=keys_of_gguf,
    )
    keys = _KEYS.but(
        vocab_size=129280,
        hidden_size=7168,
        intermediate_size=18432,
        num_hidden_layers=61,
        num_attention_heads=128,
        max_position_embeddings=4096,
        first_k_dense_replace=3,
        n_group=8,
        topk_group=4,
        n_routed_experts=256,
        n_shared_experts=1,
        num_experts_per_tok=8,
        routed_scaling_factor=2.5,
        norm_topk_prob=True,
        moe_intermediate_size=2048,
        rope_interleave=True,
        head_dim=None,
        num_nextn_predict_layers=None,
        nullable=(
            *("v_head_dim", "n_group", "topk_group", "num_experts_per_tok"),
            *("first_k_dense_replace", "norm_topk_prob", "rope_interleave"),
        ),
        inert=("topk_method",),
        aliases={
            "num_local_experts": "n_routed_experts",
            "num_mtp_layers": "num_nextn_predict_layers",
        },
    )

    def read(self, config: HfConfig) -> ModelConfig:
        described = self.keys.complete(config)
        turned = described.whole("qk_rope_head_dim")
        if described.whole("head_dim", turned) != turned:  # of which its angles are made
            raise config.error("head_dim", f"qk_rope_head_dim={turned}", config.values["head_dim"])
        return super().read(config)

    def _has_groups(self, config: HfConfig) -> bool:
        return config.has("n_group")

    def write(self, config: ModelConfig) -> dict[str, Any]:
        interleaved = bool(decoder_of(config).attention.interleaved)
        written = self._write(config, "deepseek_v3", "DeepseekV3ForCausalLM")
        # a file may have either name
        further = {"num_nextn_predict_layers": 0, "num_mtp_layers": 0}
        return {**written, "rope_interleave": interleaved, **further}
