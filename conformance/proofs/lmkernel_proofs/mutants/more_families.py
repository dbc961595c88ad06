"""More of what ports of model families get wrong: scalings, offsets, weights of experts."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmkernel.components import balance, experts
from lmkernel_proofs.mutants.changed import with_attentions, with_decoder, with_embedding
from lmkernel_proofs.mutants.mutant import Mutant, Patch

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.backend import Backend
    from lmkernel.config import EmbeddingConfig, RotaryConfig, TransformerConfig

__all__ = ["MUTANTS"]

_choose, _balance_loss = experts.choose_experts, balance.balance_loss


def _rotary(change: Callable[[RotaryConfig], RotaryConfig]) -> Callable[..., Backend]:
    return with_embedding(lambda c: replace(c, rotary=c.rotary and change(c.rotary)))


def _no_longrope_factor(rotary: RotaryConfig) -> RotaryConfig:
    """LongRoPE divides frequencies, and leaves cosines and sines as they are."""
    return replace(rotary, attention_factor=1.0) if rotary.scaling == "longrope" else rotary


def _factor_of_another(rotary: RotaryConfig) -> RotaryConfig:
    """Llama 3.1 stretches by 8, and 3.2 by 32."""
    other = 32.0 if rotary.factor == 8 else 8.0  # noqa: PLR2004 - Llama 3.1's
    return replace(rotary, factor=other) if rotary.scaling == "llama3" else rotary


def _other_sinusoids(config: EmbeddingConfig) -> EmbeddingConfig:
    """Sines and cosines lie in turn where they lie apart, and the other way round."""
    return replace(config, sinusoids="halves" if config.sinusoids == "pairs" else "pairs")


def _usual_rates(config: EmbeddingConfig) -> EmbeddingConfig:
    """Rates go down to 1/10000 at the width, and not at the last of them."""
    return replace(config, sinusoids=config.sinusoids.removesuffix("_to_last"))


def _experts(**wrong: Any) -> Callable[..., Backend]:
    """Experts whose configuration says something else."""

    def changed(config: TransformerConfig) -> TransformerConfig:
        if config.mlp.experts is None:
            return config
        own = replace(config.mlp.experts, **wrong)
        return replace(config, mlp=replace(config.mlp, experts=own))

    return with_decoder(changed)


def _of_chosen(ops: Any, values: Any, chosen: Any) -> Any:
    """Those of ``values (…, experts)`` that each row has chosen."""
    count = values.shape[-1]
    hot = ops.one_hot(chosen, count, ops.dtype(values))
    return ops.sum(hot * ops.reshape(values, (-1, 1, count)), 2)


def _weigh_by_logits(ops: Any, x: Any, params: Any, config: Any) -> Any:
    """What an expert gives is multiplied by its logit, and no softmax is taken."""
    chosen, weights = _choose(ops, x, params, config)
    logits = _of_chosen(ops, experts.router_logits(ops, x, params), chosen)
    return chosen, ops.astype(logits, ops.dtype(weights))


def _weigh_with_bias(ops: Any, x: Any, params: Any, config: Any) -> Any:
    """The bias of the choice is a part of the weights, too."""
    chosen, weights = _choose(ops, x, params, config)
    if "choice_bias" not in params:
        return chosen, weights
    bias = ops.astype(params["choice_bias"], ops.dtype(weights))
    return chosen, weights + _of_chosen(ops, bias, chosen)


def _routing(
    name: str, choose: Callable[..., Any], seen: str = "", level: str = "models"
) -> Mutant:
    return Mutant(
        id=f"experts.{name}",
        level=level,
        seen=seen,
        patch=Patch("lmkernel.components.experts.choose_experts", choose),
    )


def _balance(name: str, wrong: Callable[..., Any]) -> Mutant:
    return Mutant(
        id=f"balance.{name}",
        level="training",
        patch=Patch("lmkernel.components.transformer.balance_loss", wrong),
    )


def _nothing(ops: Any, routed: Any, positions: Any, chosen: int) -> Any:
    """Nothing is added."""
    right = _balance_loss(ops, routed, positions, chosen)
    return right - right


def _with_padding(ops: Any, routed: Any, positions: Any, chosen: int) -> Any:
    """Padding uses experts, too."""
    real = ops.maximum(positions, ops.full((), 0, "int32"))
    return _balance_loss(ops, routed, real, chosen)


def _layer_by_layer(ops: Any, routed: Any, positions: Any, chosen: int) -> Any:
    """Each layer is balanced by itself."""
    each = [_balance_loss(ops, [one], positions, chosen) for one in routed]
    whole = sum(each[1:], each[0])
    return whole * ops.full((), 1 / len(each), ops.dtype(whole))


MUTANTS = (
    Mutant(
        id="longrope.factor_ignored",
        level="components",
        make=_rotary(_no_longrope_factor),
        seen="coreai-models#246",
    ),
    Mutant(
        id="llama3.factor_of_another",
        level="components",
        make=_rotary(_factor_of_another),
        seen="TransformerLens#910",
    ),
    Mutant(
        id="positions.offset_ignored",
        level="components",
        make=with_embedding(lambda config: replace(config, offset=0)),
    ),
    Mutant(
        id="sinusoids.laid_otherwise", level="components", make=with_embedding(_other_sinusoids)
    ),
    Mutant(id="sinusoids.usual_rates", level="components", make=with_embedding(_usual_rates)),
    Mutant(id="experts.shared_ignored", level="models", make=_experts(shared=0, shared_gate=False)),
    Mutant(id="experts.shared_without_gate", level="models", make=_experts(shared_gate=False)),
    _routing("weighed_by_logits", _weigh_by_logits, "sglang#35160", "components"),
    _routing("weighed_with_bias", _weigh_with_bias, level="components"),
    _balance("ignored", _nothing),
    _balance("padding_counted", _with_padding),
    _balance("of_each_layer", _layer_by_layer),
    Mutant(
        id="attention.scale_of_the_head",
        level="components",
        make=with_attentions(lambda attention: replace(attention, scale=0.0)),
        seen="mlx-examples#591",
    ),
)
