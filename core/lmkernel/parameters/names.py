"""Nested trees and their dotted names, such as ``decoder.layers.0.attention.q.weight``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lmkernel.contract.mandatory import Tree

__all__ = ["flatten", "nest"]


def flatten(tree: Tree, prefix: str = "") -> dict[str, Any]:
    """Each leaf under its dotted name, in order."""
    return dict(_leaves(tree, prefix))


def _leaves(tree: Tree, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(tree, dict):
        pairs: Any = tree.items()
    elif isinstance(tree, list):
        pairs = enumerate(tree)
    else:
        yield prefix, tree
        return
    for name, child in pairs:
        yield from _leaves(child, f"{prefix}.{name}" if prefix else str(name))


def nest(like: Tree, values: Mapping[str, Any], prefix: str = "") -> Tree:
    """A tree of the structure of ``like`` with the values of the dotted names."""
    if isinstance(like, dict):
        return {n: nest(c, values, f"{prefix}.{n}" if prefix else n) for n, c in like.items()}
    if isinstance(like, list):
        return [nest(c, values, f"{prefix}.{i}") for i, c in enumerate(like)]
    return values[prefix]
