"""Activations of an encoder-decoder of transformers, in T5's layers and in BART's.

A block of T5 is a list of sublayers, each of which returns the sum. A layer of BART's kin has its
norms after its sublayers, or before them where the stack ends in one more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel_transformers.hooking import given, hook, made

if TYPE_CHECKING:
    from contextlib import ExitStack

__all__ = ["hook_sequences"]

_FINAL_NORM = ("final_layer_norm", "layer_norm")


def hook_sequences(hooks: ExitStack, kept: dict[str, Any], model: Any) -> None:
    """Both stacks, under the names of `lmkernel.inspection.run.activations`."""
    for side, stack in (("encoder", model.get_encoder()), ("decoder", model.get_decoder())):
        layers = stack.block if hasattr(stack, "block") else stack.layers
        before = hasattr(stack, "layer_norm")
        first = "embedding" if side == "encoder" else "decoder embedding"
        hook(hooks, layers[0], given(kept, first), before=True)
        for i, layer in enumerate(layers):
            name = f"{side} layer {i}"
            hook(hooks, layer, made(kept, f"{name} (feed-forward)"))
            if hasattr(stack, "block"):
                _hook_sublayers(hooks, kept, layer, name)
            else:
                _hook_norms(hooks, kept, layer, name, before=before)
        for norm in _FINAL_NORM:
            if hasattr(stack, norm):
                hook(hooks, getattr(stack, norm), made(kept, f"{side} final norm"))


def _hook_sublayers(hooks: ExitStack, kept: dict[str, Any], layer: Any, name: str) -> None:
    parts = ("attention", "cross-attention")
    for part, sublayer in zip(parts, layer.layer[:-1], strict=False):
        hook(hooks, sublayer, made(kept, f"{name} ({part})"))


def _hook_norms(
    hooks: ExitStack, kept: dict[str, Any], layer: Any, name: str, *, before: bool
) -> None:
    norms = [layer.self_attn_layer_norm, layer.final_layer_norm]
    if hasattr(layer, "encoder_attn_layer_norm"):
        norms.insert(1, layer.encoder_attn_layer_norm)
    for i, part in enumerate(("attention", "cross-attention")[: len(norms) - 1]):
        label = f"{name} ({part})"
        # the sum is what the next norm is given, or what its own makes
        if before:
            hook(hooks, norms[i + 1], given(kept, label), before=True)
        else:
            hook(hooks, norms[i], made(kept, label))
