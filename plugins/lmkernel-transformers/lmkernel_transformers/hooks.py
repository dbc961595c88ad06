"""Activations of a model of transformers, by forward hooks on its modules.

A layer's end is what its module returns; after attention is what its second norm is given (before
the MLP), or what its attention module returns where that adds the residual itself, as in BERT.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["record"]

_BEFORE_MLP = ("pre_feedforward_layernorm", "post_attention_layernorm", "ln_2", "mlp_norm")
_ALONE = ("ln_2", "mlp_norm")
_FINAL_NORM = ("norm", "ln_f", "final_layernorm", "final_layer_norm")


@contextmanager
def record(model: Any) -> Iterator[dict[str, Any]]:
    """What the modules compute inside the block, by activation."""
    kept: dict[str, Any] = {}
    body, layers = model.base_model, _layers(model)
    with ExitStack() as hooks:
        if layers is not None:
            hooks.callback(
                layers[0]
                .register_forward_pre_hook(_given(kept, "embedding"), with_kwargs=True)
                .remove
            )
            for i, layer in enumerate(layers):
                _hook_layer(hooks, kept, layer, f"layer {i}")
            for name in _FINAL_NORM:
                norm = getattr(body, name, None)
                if norm is not None:
                    hooks.callback(norm.register_forward_hook(_made(kept, "final norm")).remove)
        yield kept


def _layers(model: Any) -> Any:
    """The list of layers: the one as long as the configuration says."""
    from torch.nn import ModuleList

    count = getattr(model.config, "num_hidden_layers", 0)
    lists = [m for m in model.modules() if isinstance(m, ModuleList) and len(m) == count]
    return lists[0] if lists else None


def _hook_layer(hooks: ExitStack, kept: dict[str, Any], layer: Any, name: str) -> None:
    made = layer.register_forward_hook(_made(kept, f"{name} (feed-forward)"))
    hooks.callback(made.remove)
    if getattr(layer, "use_parallel_residual", False):
        return  # attention and the MLP are added together, so nothing is between them
    if hasattr(layer, "post_feedforward_layernorm") and not hasattr(layer, "input_layernorm"):
        # all norms stand after their sublayers, as in OLMo 2: the MLP reads the sum itself
        given = _given(kept, f"{name} (attention)")
        hooks.callback(layer.mlp.register_forward_pre_hook(given, with_kwargs=True).remove)
        return
    for part in _BEFORE_MLP:
        norm = getattr(layer, part, None)
        # without a norm before attention the others stand after their sublayers, as in OLMo 2
        if norm is not None and (hasattr(layer, "input_layernorm") or part in _ALONE):
            given = _given(kept, f"{name} (attention)")
            hooks.callback(norm.register_forward_pre_hook(given, with_kwargs=True).remove)
            return
    attention = getattr(layer, "attention", None)
    after_norm = getattr(layer, "sa_layer_norm", None)
    if after_norm is None and hasattr(attention, "output"):
        after_norm = attention
    if after_norm is not None:
        after = after_norm.register_forward_hook(_made(kept, f"{name} (attention)"))
        hooks.callback(after.remove)


def _made(kept: dict[str, Any], name: str) -> Any:
    def hook(_module: Any, _inputs: Any, output: Any) -> None:
        kept[name] = output[0] if isinstance(output, tuple) else output

    return hook


def _given(kept: dict[str, Any], name: str) -> Any:
    def hook(_module: Any, inputs: Any, named: Any) -> None:
        kept[name] = inputs[0] if inputs else named["hidden_states"]

    return hook
