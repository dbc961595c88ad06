"""A mixture of experts: a router chooses a few networks for each position (arXiv:1701.06538, §2).

Constraint: scores are compared and summed in float32 or wider, so that 16 bits make no ties.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from lmkernel.components.primitives import declare_linear, gate, nonlinearity
from lmkernel.contract.capabilities import WIDE
from lmkernel.interfaces import Init, Param, ParamTree, project

if TYPE_CHECKING:
    from lmkernel.config import ExpertsConfig, MlpConfig
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops

__all__ = [
    "choose_experts",
    "declare_experts",
    "find_best",
    "mix_experts",
    "router_logits",
    "score_experts",
]

_NEVER = -1e30
"""The score of an expert that cannot be chosen any more."""


def declare_experts(width: int, mlp: MlpConfig, config: ExpertsConfig) -> ParamTree:
    """Router ``(count, width)``; for each expert up (and gate) ``(hidden, width)``, and down."""
    router = declare_linear(
        config.count, width, ("expert", "embed"), bias=config.router_bias, init=Init("normal", 0.02)
    )
    if config.choice_bias:
        router["choice_bias"] = Param((config.count,), Init("zeros"), ("expert",))
    tree: dict[str, Any] = {}
    for name in ("gate", "up") if mlp.gated else ("up",):
        tree[name] = _declare_stack(
            config.count, config.hidden, width, ("mlp", "embed"), bias=mlp.bias
        )
    tree["down"] = _declare_stack(
        config.count, width, config.hidden, ("embed", "mlp"), bias=mlp.bias
    )
    return {"router": router, "experts": tree}


def _declare_stack(
    count: int, out: int, into: int, axes: tuple[str, str], *, bias: bool
) -> ParamTree:
    weight = Param((count, out, into), Init("normal", into**-0.5), ("expert", *axes))
    tree = {"weight": weight}
    if bias:
        tree["bias"] = Param((count, out), Init("zeros"), ("expert", axes[0]))
    return tree


def mix_experts(ops: Ops, x: Array, params: dict[str, Any], config: MlpConfig) -> Array:
    """``x (…, width)`` through the experts that each position chooses, weighted by its scores."""
    experts = config.experts
    if experts is None:
        raise TypeError("expected a network with experts")
    width, k = x.shape[-1], experts.chosen
    count = math.prod(x.shape[:-1])
    flat = ops.reshape(x, (count, width))
    chosen, weights = choose_experts(ops, flat, params["router"], experts)
    # a position stands once for each of its experts, so that one product serves them all
    rows = ops.broadcast_to(ops.reshape(flat, (count, 1, width)), (count, k, width))
    rows, which = ops.reshape(rows, (count * k, width)), ops.reshape(chosen, (count * k,))
    own = params["experts"]
    inner = _project(ops, rows, own["up"], which)
    if config.gated:
        inner = gate(ops, _project(ops, rows, own["gate"], which), inner, config)
    else:
        inner = nonlinearity(ops, inner, config)
    outputs = ops.reshape(_project(ops, inner, own["down"], which), (count, k, width))
    wide = ops.astype(outputs, ops.dtype(weights)) * ops.reshape(weights, (count, k, 1))
    return ops.reshape(ops.astype(ops.sum(wide, 1), ops.dtype(x)), x.shape)


def _project(ops: Ops, x: Array, params: dict[str, Any], experts: Array) -> Array:
    y = ops.expert_linear(x, params["weight"], experts)
    return y + ops.take(params["bias"], experts, 0) if "bias" in params else y


def choose_experts(
    ops: Ops, x: Array, params: dict[str, Any], config: ExpertsConfig
) -> tuple[Array, Array]:
    """The experts of each row, the best first, and their weights.

    Args:
        ops: the backend's operations.
        x: ``(rows, width)``.
        params: the router's, as declared.
        config: how to choose.

    Returns:
        int32 ``(rows, chosen)``, and in float32 or wider ``(rows, chosen)``.
    """
    scores, choice = score_experts(ops, x, params, config)
    if config.groups > 1:
        choice = _within_groups(ops, choice, config)
    indices, _ = find_best(ops, choice, config.chosen)
    chosen = ops.concat(indices, 1)
    hot = ops.one_hot(chosen, config.count, ops.dtype(scores))
    rows = ops.reshape(scores, (scores.shape[0], 1, config.count))
    weights = ops.sum(hot * rows, 2)
    if config.renormalize:
        weights = weights / ops.sum(weights, 1, keepdims=True)
    return chosen, weights * ops.full((), config.scale, ops.dtype(weights))


def router_logits(ops: Ops, x: Array, params: dict[str, Any]) -> Array:
    """What a router gives each expert for ``x (…, width)``: ``(…, experts)``, 32 bits or more."""
    logits = project(ops, x, {n: p for n, p in params.items() if n != "choice_bias"})
    narrow = ops.dtype(logits)
    return ops.astype(logits, WIDE.get(narrow, narrow))


def score_experts(
    ops: Ops, x: Array, params: dict[str, Any], config: ExpertsConfig
) -> tuple[Array, Array]:
    """What the experts of each row weigh, and what they are chosen by; arguments as above.

    Returns:
        Both ``(…, count)`` in float32 or wider; they differ where the choice has a bias.
    """
    logits = router_logits(ops, x, params)
    scores = ops.softmax(logits, -1) if config.scoring == "softmax" else ops.sigmoid(logits)
    # the choice itself has no gradient; it flows through the scores of what is chosen
    choice = ops.stop_gradient(scores)
    if "choice_bias" in params:
        choice = choice + ops.stop_gradient(ops.astype(params["choice_bias"], ops.dtype(scores)))
    return scores, choice


def find_best(ops: Ops, scores: Array, count: int) -> tuple[list[Array], list[Array]]:
    """The indices ``(rows, 1)`` and the values ``(rows,)`` of the largest of each row."""
    indices, values = [], []
    rows, size = scores.shape
    never = ops.full((), _NEVER, ops.dtype(scores))
    slots = ops.reshape(ops.arange(0, size, "int32"), (1, size))
    for _ in range(count):
        index = ops.reshape(ops.argmax(scores, 1), (rows, 1))
        indices.append(index)
        values.append(ops.max(scores, 1))
        scores = ops.where(slots == index, never, scores)
    return indices, values


def _within_groups(ops: Ops, choice: Array, config: ExpertsConfig) -> Array:
    """The scores, with those outside the best groups of each row put out of reach."""
    rows, size = choice.shape[0], config.count // config.groups
    grouped = ops.reshape(choice, (rows * config.groups, size))
    _, tops = find_best(ops, grouped, 1 if config.group_score == "max" else 2)
    merit = ops.reshape(sum(tops[1:], tops[0]), (rows, config.groups))
    best, _ = find_best(ops, merit, config.chosen_groups)
    kept = ops.sum(ops.one_hot(ops.concat(best, 1), config.groups, ops.dtype(choice)), 1)
    kept = ops.broadcast_to(
        ops.reshape(kept, (rows, config.groups, 1)), (rows, config.groups, size)
    )
    shown = ops.reshape(kept, choice.shape) > ops.full((), 0.0, ops.dtype(choice))
    return ops.where(shown, choice, ops.full((), _NEVER, ops.dtype(choice)))
