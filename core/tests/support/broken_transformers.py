"""Ports with one defect each: a twin opened in transformers, with something in it exchanged."""

from __future__ import annotations

import functools
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    Break = Callable[[Any], AbstractContextManager[Any] | None]

BASE: dict[str, Any] = {
    "hidden_size": 512,
    "intermediate_size": 1400,
    "num_hidden_layers": 8,
    "num_attention_heads": 8,
    "num_key_value_heads": 4,
    "vocab_size": 5000,
    "max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500000.0,
}
LLAMA3 = {
    "rope_type": "llama3",
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 1024,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "llama": {**BASE, "model_type": "llama", "rope_scaling": LLAMA3},
    "tied": {**BASE, "model_type": "llama", "tie_word_embeddings": True},
    "mistral": {**BASE, "model_type": "mistral", "sliding_window": 1024},
    "qwen2": {**BASE, "model_type": "qwen2"},
    "qwen3": {**BASE, "model_type": "qwen3", "head_dim": 64},
    "gpt2": {
        "model_type": "gpt2",
        "n_embd": 256,
        "n_layer": 6,
        "n_head": 8,
        "n_positions": 512,
        "vocab_size": 3000,
        "layer_norm_epsilon": 1e-5,
    },
    "bert": {
        "model_type": "bert",
        "architectures": ["BertForMaskedLM"],
        "hidden_size": 256,
        "num_hidden_layers": 6,
        "num_attention_heads": 8,
        "intermediate_size": 700,
        "vocab_size": 3000,
        "max_position_embeddings": 256,
        "layer_norm_eps": 1e-12,
    },
}


def norms(model: Any) -> list[Any]:
    return [m for m in model.modules() if "Norm" in type(m).__name__]


def attentions(model: Any) -> list[Any]:
    return [m for m in model.modules() if type(m).__name__.endswith("Attention")]


def set_theta(theta: float) -> Break:
    def apply(model: Any) -> None:
        import torch

        rotary = model.model.rotary_emb
        half = torch.arange(0, 2 * len(rotary.inv_freq), 2).float() / (2 * len(rotary.inv_freq))
        rotary.inv_freq = theta**-half

    return apply


def set_eps(eps: float) -> Break:
    def apply(model: Any) -> None:
        for norm in norms(model):
            setattr(norm, "eps" if hasattr(norm, "eps") else "variance_epsilon", eps)

    return apply


def one_plus(model: Any) -> None:
    for norm in norms(model):
        norm.weight.data += 1


def set_scale(scale: Callable[[Any], float]) -> Break:
    def apply(model: Any) -> None:
        for attention in attentions(model):
            attention.scaling = scale(model.config)

    return apply


def not_causal(model: Any) -> Any:
    model.config._attn_implementation = "eager"
    name = f"transformers.models.{model.config.model_type}.modeling_{model.config.model_type}"
    return mock.patch(f"{name}.create_causal_mask", return_value=None)


def set_config(**values: Any) -> Break:
    def apply(model: Any) -> None:
        for name, value in values.items():
            setattr(model.config, name, value)

    return apply


def tile_heads(model: Any) -> Any:
    model.config._attn_implementation = "eager"
    place = "transformers.models.llama.modeling_llama.repeat_kv"
    return mock.patch(place, lambda x, n: x.repeat(1, n, 1, 1))


def interleave(model: Any) -> Any:
    def wrong(q: Any, k: Any, cos: Any, sin: Any, **_: Any) -> Any:
        import torch

        half = cos.shape[-1] // 2
        c, s = cos[:, None, :, :half], sin[:, None, :, :half]

        def turn(x: Any) -> Any:
            a, b = x[..., 0::2], x[..., 1::2]
            return torch.stack([a * c - b * s, b * c + a * s], -1).flatten(-2)

        return turn(q), turn(k)

    del model
    return mock.patch("transformers.models.llama.modeling_llama.apply_rotary_pos_emb", wrong)


def set_activation(name: str) -> Break:
    def apply(model: Any) -> None:
        from transformers.activations import ACT2FN

        for module in model.modules():
            for attribute in ("act_fn", "act", "intermediate_act_fn"):
                inner = type(module).__name__.endswith(("MLP", "Intermediate"))
                if inner and hasattr(module, attribute):
                    setattr(module, attribute, ACT2FN[name])

    return apply


def exchange(one: str, other: str) -> Break:
    def apply(model: Any) -> None:
        for module in model.modules():
            if hasattr(module, one) and hasattr(module, other):
                a, b = getattr(module, one), getattr(module, other)
                setattr(module, one, b)
                setattr(module, other, a)

    return apply


def drop_bias(*names: str) -> Break:
    def apply(model: Any) -> None:
        for path, module in model.named_modules():
            if path.rsplit(".", 1)[-1] in names:
                module.bias.data.zero_()

    return apply


def replace_modules(*names: str) -> Break:
    def apply(model: Any) -> None:
        from torch.nn import Identity

        for module in list(model.modules()):
            for name in names:
                if hasattr(module, name):
                    setattr(module, name, Identity())

    return apply


def cut_layers(model: Any) -> None:
    del model.model.layers[-1]
    model.config.num_hidden_layers -= 1


def drop_first(model: Any) -> None:
    del model.model.layers[0]
    model.config.num_hidden_layers -= 1
    for number, layer in enumerate(model.model.layers):
        layer.self_attn.layer_idx = number


def scale_embedding(model: Any) -> None:
    table = model.model.embed_tokens
    table.register_forward_hook(lambda _m, _i, out: out * model.config.hidden_size**0.5)


def disturb(path: str) -> Break:
    def apply(model: Any) -> None:
        import torch

        torch.manual_seed(3)
        if path not in dict(model.named_modules()):
            return  # one of the first layers alone
        weight = model.get_submodule(path).weight.data
        weight += torch.randn_like(weight) * 1e-3

    return apply


def skip(path: str) -> Break:
    def apply(model: Any) -> None:
        import torch

        module = model.get_submodule(path)
        module.forward = lambda x, *_a, **_k: torch.zeros_like(x)

    return apply


def without(argument: str) -> Break:
    """What is given is not passed on."""

    def apply(model: Any) -> None:
        own = model.forward

        @functools.wraps(own)
        def forward(**given: Any) -> Any:
            given.pop(argument)
            return own(**given)

        model.forward = forward

    return apply


def count_padding(model: Any) -> None:
    import torch

    own = model.forward

    @functools.wraps(own)
    def forward(**given: Any) -> Any:
        if given["input_ids"].shape[0] > 1:
            time = given["input_ids"].shape[1]
            given["position_ids"] = torch.arange(time)[None].expand_as(given["input_ids"])
        return own(**given)

    model.forward = forward


def late_cache(model: Any) -> None:
    own = model.forward

    @functools.wraps(own)
    def forward(**given: Any) -> Any:
        if given["input_ids"].shape[1] == 1:
            given["position_ids"] = given["position_ids"] + 1
        return own(**given)

    model.forward = forward


def shift_positions(model: Any) -> None:
    import torch

    table = model.transformer.wpe.weight.data
    table[:] = torch.roll(table, -1, 0)


def round_logits(model: Any) -> None:
    import torch

    model.lm_head.register_forward_hook(lambda _m, _i, out: out.to(torch.bfloat16).float())


def rotate_in_bfloat16(model: Any) -> None:
    import torch

    def hook(_m: Any, _i: Any, out: Any) -> Any:
        return tuple(x.to(torch.bfloat16).float() for x in out)

    model.model.rotary_emb.register_forward_hook(hook)


def other_head(model: Any) -> None:
    import torch

    torch.manual_seed(5)
    model.lm_head.weight = torch.nn.Parameter(torch.randn_like(model.lm_head.weight) * 0.1)


def permute(model: Any) -> None:
    for attention in attentions(model):
        for name in ("q_proj", "k_proj"):
            weight = getattr(attention, name).weight.data
            size = attention.head_dim
            view = weight.reshape(-1, 2, size // 2, weight.shape[1])
            weight[:] = view.transpose(1, 2).reshape(weight.shape).clone()


def no_segments(model: Any) -> None:
    model.bert.embeddings.token_type_embeddings.weight.data.zero_()


def leave_training(model: Any) -> None:
    import torch

    torch.manual_seed(1)
    model.eval = lambda: model
    model.train()


@dataclass(frozen=True)
class Broken:
    """A port with one defect: where it is first seen, and what it is ('' where unknown)."""

    id: str
    twin: str
    apply: Break
    place: str
    looks: str = ""
    options: dict[str, str] = field(default_factory=dict)


ATT, MLP = "layer 0 (attention)", "layer 0 (feed-forward)"
PORTS = [
    Broken("theta", "llama", set_theta(1e4), ATT, ""),
    Broken("theta_of_tied", "tied", set_theta(1e4), ATT, "rope.theta"),
    Broken("scaling", "llama", set_theta(5e5), ATT, "rope.scaling"),
    Broken("eps", "llama", set_eps(1e-6), ATT, "norm.eps"),
    Broken("eps_gpt2", "gpt2", set_eps(1e-12), ATT, "norm.eps"),
    Broken("eps_bert", "bert", set_eps(1e-5), "embedding", "norm.eps"),
    Broken("one_plus", "qwen2", one_plus, ATT, "norm.offset"),
    Broken("scale_1", "llama", set_scale(lambda _: 1.0), ATT, "attention.scale"),
    Broken(
        "scale_width", "qwen3", set_scale(lambda c: c.hidden_size**-0.5), ATT, "attention.scale"
    ),
    Broken("not_causal", "llama", not_causal, ATT, "attention.causal"),
    Broken("window", "mistral", set_config(sliding_window=None), ATT, "attention.window"),
    Broken("window_25", "mistral", set_config(sliding_window=25), ATT, "attention.window"),
    Broken("groups", "llama", tile_heads, ATT, "attention.groups"),
    Broken("interleaved", "llama", interleave, ATT, "rope.interleaved"),
    Broken("permuted", "tied", permute, ATT, "attention.permuted"),
    Broken("gelu", "llama", set_activation("gelu"), MLP, "mlp.activation"),
    Broken("erf", "gpt2", set_activation("gelu"), MLP, "mlp.activation"),
    Broken("tanh", "bert", set_activation("gelu_new"), MLP, "mlp.activation"),
    Broken("gate", "llama", exchange("gate_proj", "up_proj"), MLP, "mlp.exchanged"),
    Broken("values", "tied", exchange("k_proj", "v_proj"), ATT, "attention.exchanged"),
    Broken(
        "norms",
        "qwen2",
        exchange("input_layernorm", "post_attention_layernorm"),
        ATT,
        "norm.exchanged",
    ),
    Broken("bias", "qwen2", drop_bias("q_proj", "k_proj", "v_proj"), ATT, "attention.bias"),
    Broken("mlp_bias", "gpt2", drop_bias("c_fc"), MLP, ""),
    Broken("qk_norm", "qwen3", replace_modules("q_norm", "k_norm"), ATT, "norm.qk"),
    Broken("last_layer", "llama", cut_layers, "final norm", "layers.last"),
    Broken("first_layer", "llama", drop_first, ATT, "layers.first"),
    Broken(
        "final_norm",
        "llama",
        lambda m: replace_modules("norm")(m.model),
        "final norm",
        "norm.final",
    ),
    Broken("embedding_scale", "tied", scale_embedding, "embedding", "embedding.scale"),
    Broken("positions", "gpt2", shift_positions, "embedding", "embedding.positions"),
    Broken("segments", "bert", no_segments, "embedding", "embedding.segments"),
    Broken("one_layer", "llama", disturb("model.layers.2.self_attn.o_proj"), "layer 2 (attention)"),
    Broken("one_mlp", "qwen2", disturb("model.layers.1.mlp.down_proj"), "layer 1 (feed-forward)"),
    Broken("no_mlp", "gpt2", skip("transformer.h.3.mlp"), "layer 3 (feed-forward)"),
    Broken("other_head", "tied", other_head, "logits"),
    Broken("rounded", "llama", round_logits, "logits"),
    Broken("angles", "llama", rotate_in_bfloat16, ATT),
    Broken("mask", "llama", without("attention_mask"), ATT, "mask.ignored"),
    Broken("mask_bert", "bert", without("attention_mask"), ATT, "mask.ignored"),
    Broken("padding_counted", "gpt2", count_padding, "embedding", "positions.padding"),
    Broken("position_ids", "gpt2", without("position_ids"), "embedding", ""),
    Broken("cache", "llama", late_cache, "logits", "cache.positions"),
    Broken("dropout", "bert", leave_training, "embedding"),
]


__all__ = ["CONFIGS", "PORTS", "Broken"]
