"""What breaks a model of transformers: each is given the model, and may return a patch to start."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    Break = Callable[[Any], AbstractContextManager[Any] | None]

__all__ = [
    "Broken",
    "attentions",
    "count_padding",
    "cut_layers",
    "disturb",
    "drop_bias",
    "drop_first",
    "exchange",
    "interleave",
    "late_cache",
    "leave_training",
    "no_segments",
    "norms",
    "not_causal",
    "one_plus",
    "other_head",
    "permute",
    "replace_modules",
    "rotate_in_bfloat16",
    "round_logits",
    "scale_embedding",
    "set_activation",
    "set_config",
    "set_eps",
    "set_scale",
    "set_theta",
    "shift_positions",
    "skip",
    "tile_heads",
    "without",
]


@dataclass(frozen=True)
class Broken:
    """A port with one defect: where it is first seen, and what it is ('' where unknown)."""

    id: str
    twin: str
    apply: Break
    place: str
    looks: str = ""


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

        if path not in dict(model.named_modules()):
            return  # one of the first layers alone
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
