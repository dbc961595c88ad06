"""Defects of normalisations: their epsilon, weight and kind, and where they stand."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.verification.defects import operations as wrong
from lmkernel.verification.defects.common import (
    Candidate,
    attention_with,
    norms_with,
    stack_with,
    without_norms,
    zeroed,
)
from lmkernel.verification.defects.delta import has_delta
from lmkernel.verification.one_run import Variant
from lmkernel.verification.structure import top_transformer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel.config import ModelConfig, TransformerConfig

__all__ = ["norm_defects"]


def norm_defects(config: ModelConfig) -> Iterator[Candidate]:
    """Norms: their epsilon, weight and kind, and whether they are there."""
    _, stack = top_transformer(config)
    norm, attention = stack.norm, stack.attention
    for eps in (1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8, 1e-12):
        if eps != norm.eps:
            words = f"the norms' epsilon were {eps:g} instead of {norm.eps:g}"
            yield Candidate("norm.eps", words, norms_with(config, eps=eps))
    own, name = (
        (wrong.rms_eps_outside, "rms_norm")
        if norm.kind == "rms"
        else (wrong.layer_eps_outside, "layer_norm")
    )
    words = "the norms' epsilon were added outside the root"
    yield Candidate("norm.eps_outside", words, Variant(operations={name: own}))
    offset = 0.0 if norm.offset else 1.0
    words = f"the norms' weight were {'1 + w instead of w' if offset else 'w instead of 1 + w'}"
    yield Candidate("norm.offset", words, norms_with(config, offset=offset))
    if norm.kind == "rms":
        words = "the norms subtracted the mean: a layer norm for an RMS norm"
        yield Candidate("norm.kind", words, Variant(operations={"rms_norm": wrong.rms_as_layer}))
    else:
        words = "the norms did not subtract the mean: an RMS norm for a layer norm"
        yield Candidate("norm.kind", words, Variant(operations={"layer_norm": wrong.layer_as_rms}))
        words = "the variance of norms were divided by n - 1"
        yield Candidate(
            "norm.bessel", words, Variant(operations={"layer_norm": wrong.layer_bessel})
        )
    if stack.final_norm:
        words = "the final norm were left out"
        yield Candidate("norm.final", words, stack_with(config, final_norm=False))
    if attention.qk_norm is not None:
        words = "queries and keys were not normalised"
        yield Candidate("norm.qk", words, attention_with(config, qk_norm=None))
        alone = not has_delta(stack)  # whose heads of outputs have norms, too
        if attention.rotary is not None and attention.qk_norm.kind == "rms" and alone:
            words = "queries and keys were normalised after RoPE"
            yield Candidate(
                "norm.qk_late", words, Variant(operations=wrong.LateNorm().operations())
            )
        for one, name in (("queries", "q_norm"), ("keys", "k_norm")):
            yield Candidate("norm.qk", f"{one} were not normalised", without_norms(name))
    if norm.kind == "layer" and norm.bias:
        words = "the biases of norms were left out"
        yield Candidate("norm.bias", words, Variant(change=zeroed("norm.bias")))
    if config.embedding.norm is not None:
        words = "the norm of the embedding were left out"
        yield Candidate("norm.embedding", words, without_norms("embedding.norm"))
    yield from _place_defects(stack, config)


def _place_defects(stack: TransformerConfig, config: ModelConfig) -> Iterator[Candidate]:
    """Norms at another place, or at one of theirs alone."""
    if stack.output_norm:
        names = ("attention_output_norm", "mlp_output_norm")
        words = "the outputs of sublayers were not normalised"
        yield Candidate("norm.output", words, without_norms(*names))
        for name, what in zip(names, ("attention", "the MLP"), strict=True):
            words = f"the outputs of {what} were not normalised"
            yield Candidate("norm.output", words, without_norms(name))
    else:
        way = "after" if stack.pre_norm else "before"
        words = f"norms stood {way} each sublayer"
        if not stack.parallel and stack.first_norm:
            yield Candidate("norm.place", words, stack_with(config, pre_norm=not stack.pre_norm))
    if stack.pre_norm:
        for name, what in (("attention_norm", "attention"), ("mlp_norm", "the MLP")):
            words = f"the inputs of {what} were not normalised"
            yield Candidate("norm.input", words, without_norms(f".{name}"))
