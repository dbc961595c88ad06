"""What ports of model families get wrong: positions, layers that differ, mixtures of experts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmkernel_proofs.mutants.changed import with_attentions, with_decoder, with_embedding
from lmkernel_proofs.mutants.mutant import Mutant, optional

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.backend import Backend
    from lmkernel.config import EmbeddingConfig, ExpertsConfig, TransformerConfig

__all__ = ["MUTANTS"]


def _factor(change: Callable[[float], float]) -> Callable[..., Backend]:
    """The factor of cosines and sines is another."""

    def changed(config: EmbeddingConfig) -> EmbeddingConfig:
        rotary = config.rotary
        if rotary is None:
            return config
        return replace(
            config, rotary=replace(rotary, attention_factor=change(rotary.attention_factor))
        )

    return with_embedding(changed)


def _exchange_rotaries(config: EmbeddingConfig) -> EmbeddingConfig:
    """Layers with a window turn as those without, and the other way round."""
    if config.rotary is None or not config.more_rotary:
        return config
    first, *rest = config.more_rotary
    return replace(config, rotary=first, more_rotary=(config.rotary, *rest))


def _scale_all_rotaries(config: EmbeddingConfig) -> EmbeddingConfig:
    """The scaling of one kind of layer is that of all."""
    if config.rotary is None:
        return config
    scaling, factor = config.rotary.scaling, config.rotary.factor
    more = tuple(replace(one, scaling=scaling, factor=factor) for one in config.more_rotary)
    return replace(config, more_rotary=more)


def _whole_head(ops: Any, x: Any, cos: Any, sin: Any) -> Any:
    """Pairs are those of a whole head, though a part of it turns."""
    half, middle = cos.shape[-1], x.shape[-1] // 2
    a, b = x[..., :half], x[..., middle : middle + half]
    turned = [a * cos - b * sin, x[..., half:middle], b * cos + a * sin, x[..., middle + half :]]
    return ops.concat([part for part in turned if part.shape[-1]], -1)


def _experts(**wrong: Any) -> Callable[..., Backend]:
    """Experts are chosen, or weighted, in another way."""

    def changed(config: TransformerConfig) -> TransformerConfig:
        experts: ExpertsConfig | None = config.mlp.experts
        if experts is None:
            return config
        return replace(config, mlp=replace(config.mlp, experts=replace(experts, **wrong)))

    return with_decoder(changed)


def _backwards(config: TransformerConfig) -> TransformerConfig:
    """The pattern of layers begins at its end."""
    own = config.different
    alike = all(layer.mlp is None for layer in own)  # with other networks it could not run at all
    return replace(config, different=(*own[1:], *own[:1])) if own and alike else config


MUTANTS = (
    Mutant(
        id="yarn.factor_ignored",
        level="components",
        make=_factor(lambda _: 1.0),
        seen="vllm#46280",
    ),
    Mutant(
        id="yarn.factor_squared",
        level="components",
        make=_factor(lambda factor: factor * factor),
        seen="sglang#33558",
    ),
    Mutant(
        id="rotary.layers_exchanged",
        level="models",
        make=with_embedding(_exchange_rotaries),
        seen="mlx-vlm#1709",
    ),
    Mutant(
        id="rotary.scaling_of_windows",
        level="models",
        make=with_embedding(_scale_all_rotaries),
        seen="mlx-vlm#1709",
    ),
    Mutant(
        id="rotary.pairs_of_the_whole_head",
        level="operations",
        make=optional("rotate", _whole_head),
        seen="cascadia#69",
    ),
    Mutant(
        id="rotary.halves_for_neighbours",
        level="models",
        make=with_attentions(
            lambda attention: attention if attention.latent else replace(attention, interleaved=0)
        ),
    ),
    Mutant(
        id="rotary.in_every_layer",
        level="models",
        make=with_attentions(
            lambda attention: replace(
                attention, rotary=0 if attention.interleaved else attention.rotary
            )
        ),
    ),
    Mutant(
        id="layers.pattern_shifted",
        level="components",
        make=with_decoder(_backwards),
    ),
    Mutant(
        id="layers.residual_scale_ignored",
        level="components",
        make=with_decoder(lambda config: replace(config, residual_scale=1.0)),
    ),
    Mutant(
        id="layers.parallel_in_series",
        level="components",
        make=with_decoder(
            lambda config: config if config.shared_norm else replace(config, parallel=False)
        ),
    ),
    Mutant(
        id="alibi.factor_ignored",
        level="components",
        make=with_attentions(
            lambda attention: replace(attention, alibi=1.0 if attention.alibi else 0.0)
        ),
    ),
    Mutant(
        id="experts.always_renormalised",
        level="components",
        make=_experts(renormalize=True),
        seen="Megatron-LM#1593",
    ),
    Mutant(
        id="experts.never_renormalised",
        level="components",
        make=_experts(renormalize=False),
        seen="torchtitan#1448",
    ),
    Mutant(
        id="experts.softmax_for_sigmoid",
        level="components",
        make=_experts(scoring="softmax"),
    ),
    Mutant(
        id="experts.scale_ignored",
        level="models",
        make=_experts(scale=1.0),
    ),
    Mutant(
        id="experts.groups_ignored",
        level="components",
        make=_experts(groups=1, chosen_groups=1),
    ),
    Mutant(
        id="sinks.ignored",
        level="components",
        make=with_attentions(lambda attention: replace(attention, sinks=False)),
    ),
    Mutant(
        id="gates.without_bounds",
        level="models",
        make=with_decoder(lambda config: replace(config, mlp=replace(config.mlp, limit=0.0))),
    ),
    Mutant(
        id="gates.shift_ignored",
        level="models",
        make=with_decoder(lambda config: replace(config, mlp=replace(config.mlp, shift=0.0))),
    ),
    Mutant(
        id="latent.scale_of_the_head",
        level="models",
        make=with_attentions(
            lambda attention: (
                replace(attention, scale=attention.head_dim**-0.5)
                if attention.latent
                else attention
            )
        ),
        seen="mobius#548",
    ),
    Mutant(
        id="latent.halves_for_neighbours",
        level="models",
        make=with_attentions(
            lambda attention: replace(attention, interleaved=0) if attention.latent else attention
        ),
    ),
)
