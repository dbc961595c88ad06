"""Defects inside a layer: the MLP, and how the parts are put together."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from lmkernel.verification.defects import operations as wrong
from lmkernel.verification.defects.common import (
    Candidate,
    exchanged,
    mlp_with,
    rewritten,
    stack_with,
)
from lmkernel.verification.one_run import Variant
from lmkernel.verification.structure import top_transformer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmkernel.config import ModelConfig
    from lmkernel.verification.defects.common import Values

__all__ = ["layer_defects", "mlp_defects"]


def mlp_defects(config: ModelConfig) -> Iterator[Candidate]:
    """The MLP: its activation, and which product is which."""
    _, stack = top_transformer(config)
    names = {"gelu": "erf GELU", "gelu_tanh": "tanh GELU", "silu": "SiLU", "relu": "ReLU"}
    used = stack.mlp.activation
    for other, words in names.items():
        if other != used:
            text = f"the MLP's activation were {words} instead of {names.get(used, used)}"
            plain = mlp_with(config, activation=other, slope=1.0)
            yield Candidate("mlp.activation", text, plain)
    for words, other_way in (
        ("quick GELU", wrong.quick_gelu),
        ("squared ReLU", wrong.squared_relu),
    ):
        text = f"the MLP's activation were {words} instead of {names.get(used, used)}"
        yield Candidate("mlp.activation", text, Variant(operations={used: other_way}))
    for field, value in (("limit", 0.0), ("slope", 1.0), ("shift", 0.0)):
        if getattr(stack.mlp, field) != value:
            words = f"the {field} of the MLP's gate were {value:g}"
            yield Candidate(f"mlp.{field}", words, mlp_with(config, **{field: value}))
    if stack.mlp.gated:
        words = "the MLP's gate and up were exchanged"
        yield Candidate("mlp.exchanged", words, Variant(change=exchanged("mlp.gate.", "mlp.up.")))
        words = "rows of the MLP's gate and up took turns"
        yield Candidate(
            "mlp.interleaved", words, Variant(change=_deal_rows("mlp.gate.", "mlp.up."))
        )


def layer_defects(config: ModelConfig) -> Iterator[Candidate]:
    """How a layer's parts are put together, and which kind of layer stands where."""
    _, stack = top_transformer(config)
    words = (
        f"attention and the MLP ran {'one after the other' if stack.parallel else 'in parallel'}"
    )
    if stack.pre_norm and not stack.output_norm and stack.cross is None:
        changed = stack_with(config, parallel=not stack.parallel, shared_norm=False)
        yield Candidate("layer.parallel", words, changed)
    if stack.residual_scale != 1:
        words = "the outputs of sublayers were added without their factor"
        yield Candidate("layer.residual_scale", words, stack_with(config, residual_scale=1.0))
    if stack.layer_scale:
        words = "the learned factors of the sublayers' outputs were left out"
        ones = rewritten(np.ones_like, "attention_scale.weight", "mlp_scale.weight")
        yield Candidate("layer.scale", words, Variant(change=ones))
    kinds = stack.different
    first = [i for i, kind in enumerate(kinds) if kind not in kinds[:i]]
    for kind in (kinds[i] for i in first):
        if len(first) > 1:
            same = stack_with(config, different=(kind,) * stack.layers)
            words = f"every layer were like layer {kinds.index(kind)}"
            yield Candidate("layers.pattern", words, same)
    for by in (1, -1) if len(first) > 1 else ():
        moved = stack_with(config, different=(*kinds[by:], *kinds[:by]))
        words = f"the pattern of layers were off by {by:+d}"
        yield Candidate("layers.pattern", words, moved)


def _deal_rows(one: str, other: str) -> Callable[[Values], Values]:
    """Rows of both as those of one matrix in which they take turns."""

    def change(values: Values) -> Values:
        made = dict(values)
        for name, x in values.items():
            twin = name.replace(one, other)
            if one in name and twin in values and values[twin].shape == x.shape:
                both = np.concatenate([x, values[twin]])
                made[name], made[twin] = both[0::2], both[1::2]
        return made

    return change
