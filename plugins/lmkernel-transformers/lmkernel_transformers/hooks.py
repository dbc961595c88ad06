"""Activations of a model of transformers, by forward hooks on its modules.

A layer's end is what its module returns; after attention is what its second norm is given (before
the MLP), or what its attention module returns where that adds the residual itself, as in BERT.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from lmkernel_transformers.hooking import given, hook, made
from lmkernel_transformers.sequence_hooks import hook_sequences

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager

__all__ = ["record", "record_tower"]

_BEFORE_MLP = ("pre_feedforward_layernorm", "post_attention_layernorm")
_PICTURES = "pictures"
_ALONE = ("ln_2", "mlp_norm", "layer_norm2", "layernorm_after", "norm2")
_FINAL_NORM = (
    "norm",
    "ln_f",
    "final_layernorm",
    "final_layer_norm",
    "final_norm",
    "layernorm",
    "post_layernorm",
)


def record_tower(
    tower: Any, connector: Any, kept: dict[str, Any]
) -> AbstractContextManager[object]:
    """Adds what a tower of pictures computes inside the block, and what follows it.

    Args:
        tower: the module; None for none.
        connector: the module after it.
        kept: to which is added, under names that begin with the word.
    """
    return nullcontext() if tower is None else _record_tower(tower, connector, kept)


@contextmanager
def _record_tower(tower: Any, connector: Any, kept: dict[str, Any]) -> Iterator[None]:
    own: dict[str, Any] = {}
    with ExitStack() as hooks:
        _hook_stack(hooks, own, tower)
        hook(hooks, connector, made(kept, _PICTURES))
        yield
    kept.update({f"{_PICTURES} {name}": x for name, x in own.items()})


@contextmanager
def record(model: Any) -> Iterator[dict[str, Any]]:
    """What the modules compute inside the block, by activation."""
    kept: dict[str, Any] = {}
    with ExitStack() as hooks:
        if getattr(model.config, "is_encoder_decoder", False):
            hook_sequences(hooks, kept, model)
        else:
            _hook_stack(hooks, kept, model)
        yield kept


def _hook_stack(hooks: ExitStack, kept: dict[str, Any], model: Any) -> None:
    """The one stack of a model."""
    layers = _layers(model)
    if layers is None:
        return
    hook(hooks, layers[0], given(kept, "embedding"), before=True)
    for i, layer in enumerate(layers):
        _hook_layer(hooks, kept, layer, f"layer {i}")
    inner = getattr(model, "base_model", model)
    for name in _FINAL_NORM:
        norm = getattr(inner, name, None)
        if norm is not None:
            hook(hooks, norm, made(kept, "final norm"))


def _layers(model: Any) -> Any:
    """The list of layers: the one as long as the configuration says."""
    from torch.nn import ModuleList

    count = getattr(model.config, "num_hidden_layers", 0)
    lists = [m for m in model.modules() if isinstance(m, ModuleList) and len(m) == count]
    return lists[0] if lists else None


def _hook_layer(hooks: ExitStack, kept: dict[str, Any], layer: Any, name: str) -> None:
    hook(hooks, layer, made(kept, f"{name} (feed-forward)"))
    if getattr(layer, "use_parallel_residual", False):
        return  # attention and the MLP are added together, so nothing is between them
    after = f"{name} (attention)"
    if hasattr(layer, "post_feedforward_layernorm") and not hasattr(layer, "input_layernorm"):
        # all norms stand after their sublayers, as in OLMo 2: the MLP reads the sum itself
        hook(hooks, layer.mlp, given(kept, after), before=True)
        return
    for part in (*_BEFORE_MLP, *_ALONE):
        norm = getattr(layer, part, None)
        # without a norm before attention the others stand after their sublayers, as in OLMo 2
        if norm is not None and (hasattr(layer, "input_layernorm") or part in _ALONE):
            hook(hooks, norm, given(kept, after), before=True)
            return
    attention = getattr(layer, "attention", None)
    after_norm = getattr(layer, "sa_layer_norm", None)
    if after_norm is None and hasattr(attention, "output"):
        after_norm = attention
    if after_norm is not None:
        hook(hooks, after_norm, made(kept, after))
