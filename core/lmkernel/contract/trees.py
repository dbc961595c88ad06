"""Trees of arrays: a leaf, or a dict, list or tuple of trees.

Constraint: dictionaries are paired by key, never by position, since frameworks disagree on order.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lmkernel.contract.mandatory import Array, Tree

__all__ = ["loop_scan", "tree_map", "tree_stack", "tree_take"]


def tree_map(f: Callable[..., Any], tree: Tree, *others: Tree) -> Tree:
    """Apply ``f`` to each leaf of ``tree`` and its counterparts in ``others``."""
    if isinstance(tree, dict):
        return {k: tree_map(f, v, *(o[k] for o in others)) for k, v in tree.items()}
    if isinstance(tree, (list, tuple)):
        return type(tree)(tree_map(f, *leaves) for leaves in zip(tree, *others, strict=True))
    return f(tree, *others)


def tree_take(tree: Tree, index: int) -> Tree:
    """Each leaf at one index of its leading axis."""
    return tree_map(lambda x: x[index], tree)


def tree_stack(stack: Callable[[Sequence[Array]], Array], trees: Sequence[Tree]) -> Tree:
    """Trees of one structure, their leaves stacked along a new leading axis by ``stack``."""
    return tree_map(lambda *leaves: stack(leaves), *trees)


def loop_scan(
    stack: Callable[[Sequence[Array]], Array],
    f: Callable[[Tree, Tree], tuple[Tree, Tree]],
    init: Tree,
    xs: Tree,
    *,
    reverse: bool = False,
) -> tuple[Tree, Tree]:
    """`MandatoryOps.scan` as a loop of Python, for frameworks that run each operation at once.

    Args:
        stack: joins arrays along a new leading axis.
        f: ``carry, y = f(carry, x)``.
        init: the first carry.
        xs: a tree whose leaves have the same extent of the leading axis, at least 1.
        reverse: whether the last step comes first.
    """
    lengths: list[int] = []
    tree_map(lambda x: lengths.append(x.shape[0]), xs)
    steps = range(lengths[0])
    carry, ys = init, []
    for step in reversed(steps) if reverse else steps:
        carry, y = f(carry, tree_take(xs, step))
        ys.append(y)
    return carry, tree_stack(stack, ys[::-1] if reverse else ys)
