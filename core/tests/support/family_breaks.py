"""More that breaks a model of transformers: by its configuration, its modules and its dtypes."""

from __future__ import annotations

import copy
import functools
from typing import TYPE_CHECKING, Any
from unittest import mock

from port_breaks import attentions

if TYPE_CHECKING:
    from collections.abc import Callable

    from port_breaks import Break

__all__ = [
    "activate",
    "answer_in",
    "change",
    "change_rope",
    "change_weights",
    "each",
    "forget_positions",
    "in_float64",
    "in_halves",
    "in_tf32",
    "late_norm",
    "mean_pooled",
    "no_alibi",
    "one_by_one",
    "quick_gelu",
    "reconfigure",
    "rotate_one",
    "round_outputs",
    "sigmoid_scores",
    "squared_relu",
    "tie",
    "transpose",
]


def reconfigure(**values: Any) -> Break:
    """The same weights in a model of another configuration; a value may be made of the old one."""

    def apply(model: Any) -> None:
        config = copy.deepcopy(model.config)
        for name, value in values.items():
            setattr(config, name, value(config) if callable(value) else value)
        made = type(model)(config)
        made.load_state_dict(model.state_dict(), strict=False)
        vars(model).update(vars(made.to(model.dtype).eval()))

    return apply


def change_rope(kind: str = "", **values: Any) -> Break:
    """Other parameters of RoPE; of one kind of layers where they are kept by kinds."""

    def changed(config: Any) -> dict[str, Any]:
        own = copy.deepcopy(dict(config.rope_parameters))
        inner = own[kind] if kind else own
        inner.update({n: v(own) if callable(v) else v for n, v in values.items()})
        return own

    return reconfigure(rope_parameters=changed)


def each(ending: str, do: Callable[[Any], None]) -> Break:
    """Something done to each module whose name ends so; the first layers may have none."""

    def apply(model: Any) -> None:
        for module in [m for n, m in model.named_modules() if n.endswith(ending)]:
            do(module)

    return apply


def change(ending: str, **values: Any) -> Break:
    """Attributes of each module whose name ends so."""

    def do(module: Any) -> None:
        for name, value in values.items():
            assert hasattr(module, name), name
            setattr(module, name, value(module) if callable(value) else value)

    return each(ending, do)


def change_weights(ending: str, do: Callable[[Any], Any]) -> Break:
    """Each parameter or buffer whose name ends so; the first layers may have none."""

    def apply(model: Any) -> None:
        values = {**dict(model.named_parameters()), **dict(model.named_buffers())}
        for x in [x for n, x in values.items() if n.endswith(ending)]:
            x.data[...] = do(x.data.clone())

    return apply


def transpose(ending: str) -> Break:
    """A square weight the wrong way round."""
    return change_weights(ending, lambda x: x.T)


def tie(model: Any) -> None:
    """The head is the embedding, though it has a weight of its own."""
    model.lm_head.weight = model.get_input_embeddings().weight


def activate(formula: Callable[[Any], Any]) -> Break:
    """Another activation of the MLP."""

    def apply(model: Any) -> None:
        from torch import nn

        class Other(nn.Module):
            def forward(self, x: Any) -> Any:
                return formula(x)

        for module in model.modules():
            for name in ("act", "act_fn", "intermediate_act_fn", "activation_fn"):
                if isinstance(getattr(module, name, None), nn.Module):
                    setattr(module, name, Other())

    return apply


def quick_gelu(x: Any) -> Any:
    return x * (1.702 * x).sigmoid()


def squared_relu(x: Any) -> Any:
    return x.relu() ** 2


def no_alibi(model: Any) -> Any:
    kind = model.config.model_type
    place = f"transformers.models.{kind}.modeling_{kind}.build_alibi_tensor"
    import torch

    def wrong(mask: Any, heads: int, dtype: Any) -> Any:
        return torch.zeros(mask.shape[0] * heads, 1, mask.shape[1], dtype=dtype)

    return mock.patch(place, wrong)


def mean_pooled(model: Any) -> None:
    """The classifier reads the mean of a row, padding too."""
    model.classifier.register_forward_pre_hook(
        lambda _m, given: (given[0].mean(1, keepdim=True).expand_as(given[0]),)
    )


def round_outputs(ending: str, dtype: str = "bfloat16") -> Break:
    """What each module gives is rounded to a dtype of 16 bits."""

    def do(module: Any) -> None:
        import torch

        module.register_forward_hook(lambda _m, _i, out: out.to(getattr(torch, dtype)).float())

    return each(ending, do)


def answer_in(dtype: str) -> Break:
    """Everything is computed in a dtype of 16 bits, and said to be float32."""

    def apply(model: Any) -> None:
        import torch

        model.to(getattr(torch, dtype))

    return apply


def rotate_one(part: int) -> Break:
    """RoPE turns queries alone (0), or keys alone (1)."""

    def apply(model: Any) -> Any:
        kind = model.config.model_type
        place = f"transformers.models.{kind}.modeling_{kind}.apply_rotary_pos_emb"
        import importlib

        module, name = place.rsplit(".", 1)
        own = getattr(importlib.import_module(module), name)

        def wrong(q: Any, k: Any, *rest: Any, **more: Any) -> Any:
            turned = own(q, k, *rest, **more)
            return (turned[0], k) if part == 0 else (q, turned[1])

        return mock.patch(place, wrong)

    return apply


def late_norm(model: Any) -> Any:
    """Queries and keys are turned first and normalised then."""
    from torch.nn import Identity

    kind = model.config.model_type
    place = f"transformers.models.{kind}.modeling_{kind}"
    import importlib

    own = importlib.import_module(place).apply_rotary_pos_emb
    pairs = iter([])
    norms = [(a.q_norm, a.k_norm) for a in attentions(model)]
    for attention in attentions(model):
        attention.q_norm = attention.k_norm = Identity()

    def wrong(q: Any, k: Any, cos: Any, sin: Any, **more: Any) -> Any:
        nonlocal pairs
        pair = next(pairs, None)
        if pair is None:
            pairs = iter(norms)
            pair = next(pairs)
        q, k = own(q, k, cos, sin, **more)
        return pair[0](q), pair[1](k)

    return mock.patch(f"{place}.apply_rotary_pos_emb", wrong)


def sigmoid_scores(model: Any) -> Any:
    """Experts are scored by sigmoids for softmax."""
    import torch

    own, kind = torch.nn.functional.softmax, model.config.model_type
    experts = getattr(model.config, "num_local_experts", None) or model.config.num_experts

    def wrong(x: Any, *given: Any, **more: Any) -> Any:
        return (
            torch.sigmoid(x) if x.shape[-1] == experts and x.ndim == 2 else own(x, *given, **more)
        )

    return mock.patch(f"transformers.models.{kind}.modeling_{kind}.F.softmax", wrong)


def forget_positions(model: Any) -> None:
    """Tokens that are fed one by one all stand at position 0."""
    own = model.forward

    @functools.wraps(own)
    def forward(**given: Any) -> Any:
        if given["input_ids"].shape[1] == 1:
            given["position_ids"] = given["position_ids"] * 0
        return own(**given)

    model.forward = forward


def one_by_one(change_them: Callable[[Any], Any]) -> Break:
    """Keys and values of the cache are changed before each token that is fed by itself."""

    def apply(model: Any) -> None:
        own = model.forward

        @functools.wraps(own)
        def forward(**given: Any) -> Any:
            cache = given.get("past_key_values") or given.get("cache")
            if given["input_ids"].shape[1] == 1 and cache is not None:
                for layer in cache.layers:
                    layer.keys, layer.values = change_them((layer.keys, layer.values))
            return own(**given)

        model.forward = forward

    return apply


def in_halves(model: Any) -> None:
    """Honest: each product is the sum of those of its two halves."""
    _multiply(model, lambda x, w: x[..., ::2] @ w[:, ::2].T + x[..., 1::2] @ w[:, 1::2].T)


def in_float64(model: Any) -> None:
    """Honest: each product is summed in float64 and rounded once."""
    _multiply(model, lambda x, w: (x.double() @ w.double().T).to(x.dtype))


def in_tf32(model: Any) -> Any:
    """Honest where TF32 is said: of what is multiplied all but 11 binary digits are cut off."""
    import torch

    def cut(x: Any) -> Any:
        return (x.contiguous().view(torch.int32) & -(1 << 13)).view(torch.float32)

    own = torch.nn.functional.scaled_dot_product_attention
    _multiply(model, lambda x, w: cut(x) @ cut(w).T)
    return mock.patch(
        "torch.nn.functional.scaled_dot_product_attention",
        lambda q, k, v, **options: own(cut(q), cut(k), cut(v), **options),
    )


def _multiply(model: Any, product: Callable[[Any, Any], Any]) -> None:
    from torch import nn

    def forward(module: Any, x: Any) -> Any:
        made = product(x, module.weight)
        return made if module.bias is None else made + module.bias

    for module in model.modules():
        if isinstance(module, nn.Linear):
            module.forward = functools.partial(forward, module)
