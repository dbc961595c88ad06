"""What ports of the gated delta rule get wrong: decays, corrections, heads, taps and padding."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmkernel.components.attention import split_heads
from lmkernel.components.delta import DeltaAttention
from lmkernel.interfaces import Attention
from lmkernel_proofs.mutants.mutant import Mutant, Patch, component
from lmkernel_proofs.mutants.wrappers import with_config

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MUTANTS"]

_rates, _closed_up, _convolve, _unit = (
    DeltaAttention._rates,  # noqa: SLF001 - what is broken
    DeltaAttention._closed_up,  # noqa: SLF001 - what is broken
    DeltaAttention._convolve,  # noqa: SLF001 - what is broken
    DeltaAttention._unit,  # noqa: SLF001 - what is broken
)


def _ones(own: Any, x: Any) -> Any:
    return own._ops.full(x.shape, 1.0, own._ops.dtype(x))  # noqa: SLF001 - a method's


def _keep_all(own: Any, params: Any, x: Any, real: Any) -> Any:
    """Nothing of the past decays."""
    decay, correction = _rates(own, params, x, real)
    return _ones(own, decay), correction


def _correct_whole(own: Any, params: Any, x: Any, real: Any) -> Any:
    """What a key finds is replaced, however much of it was to be."""
    decay, correction = _rates(own, params, x, real)
    return decay, own._ops.where(real, _ones(own, correction), correction)  # noqa: SLF001 - a method's


def _pass_padding(own: Any, params: Any, x: Any, real: Any) -> Any:
    """Padding lets the past decay, too."""
    return _rates(own, params, x, real | (real == real))  # noqa: PLR0124 - true everywhere


def _turn_taps(own: Any, inputs: Any, taps: Any) -> Any:
    """The newest input has the oldest one's weight."""
    count = taps.shape[1]
    turned = own._ops.concat([taps[:, i : i + 1] for i in reversed(range(count))], 1)  # noqa: SLF001 - a method's
    return _convolve(own, inputs, turned)


def _see_padding(own: Any, inputs: Any, real: Any) -> Any:
    """Padding stays between what a row was fed before and what is new."""
    del own, real
    return inputs


def _forget(own: Any, inputs: Any, real: Any) -> Any:
    """The convolution begins anew in each step."""
    before = inputs.shape[1] - real.shape[1]
    nothing = own._ops.full((), 0.0, own._ops.dtype(inputs))  # noqa: SLF001 - a method's
    kept = _closed_up(own, inputs, real)
    return own._ops.concat([kept[:, :before] * nothing, kept[:, before:]], 1)  # noqa: SLF001 - a method's


def _deal_keys(own: Any, x: Any) -> Any:
    """Heads of values take those of keys in turn, not several the first and several the next."""
    ops, c, d = own._ops, own._config, own._delta  # noqa: SLF001 - a method's
    made = _unit(own, x)
    first = [made[:, i * (c.heads // d.key_heads)][:, None] for i in range(d.key_heads)]
    return ops.concat([first[h % d.key_heads] for h in range(c.heads)], 1)


def _any_length(own: Any, x: Any) -> Any:
    """Queries and keys are as long as the convolution leaves them."""
    ops, c, d = own._ops, own._config, own._delta  # noqa: SLF001 - a method's
    heads = split_heads(ops, x, d.key_heads)
    each = c.heads // d.key_heads
    return ops.concat([heads[:, h // each][:, None] for h in range(c.heads)], 1)


def _patched(name: str, method: str, broken: Callable[..., Any]) -> Mutant:
    where = f"lmkernel.components.delta.DeltaAttention.{method}"
    return Mutant(id=f"delta.{name}", level="components", patch=Patch(where, broken))


def _attention(kind: str, **wrong: Any) -> Any:
    return component(
        f"attention:{kind}",
        with_config(Attention, "attention", kind, lambda config: replace(config, **wrong)),
    )


MUTANTS = (
    _patched("decay_ignored", "_rates", _keep_all),
    _patched("corrected_whole", "_rates", _correct_whole),
    _patched("padding_decays", "_rates", _pass_padding),
    _patched("taps_reversed", "_convolve", _turn_taps),
    _patched("padding_between", "_closed_up", _see_padding),
    _patched("inputs_forgotten", "_closed_up", _forget),
    _patched("keys_in_turn", "_unit", _deal_keys),
    _patched("keys_of_any_length", "_unit", _any_length),
    Mutant(id="delta.unscaled", level="components", make=_attention("delta", scale=1.0)),
    Mutant(id="attention.gate_ignored", level="models", make=_attention("multi_head", gated=False)),
)
