"""Host arrays become the backend's: as they are declared, or fused and packed for inference.

Constraint: a weight is copied once at most. Siblings that are fused and lie next to each other in
one memory map become one view of it, and the map's pages are given back when they have been packed,
so that a model is never in memory twice. Nobody writes to what is mapped.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.contract.blocks import Blocks
from lmkernel.interfaces import Param, ParamTree
from lmkernel.parameters.later import read_now
from lmkernel.parameters.names import nest
from lmkernel.parameters.pages import owner_of, release
from lmkernel.parameters.quantising import joined_blocks
from lmkernel.parameters.required import require_values

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Tree
    from lmkernel.contract.optional import Ops

__all__ = ["fuse_rows", "pack", "place"]

Host = Any
"""A NumPy array."""


def place(ops: Ops, declared: ParamTree, values: Mapping[str, Host], dtype: DType) -> Tree:
    """Native arrays in the declared structure, each a copy, for training.

    Raises:
        InputError: the values are not those that are declared.
    """
    require_values(declared, values)
    return nest(declared, {name: ops.asarray(x, dtype) for name, x in values.items()})


def pack(ops: Ops, declared: ParamTree, values: Mapping[str, Host], dtype: DType) -> Tree:
    """Native arrays for inference: siblings with one ``fuse`` word joined, products packed.

    Raises:
        InputError: the values are not those that are declared.
    """
    require_values(declared, values)
    return _pack_tree(ops, declared, nest(declared, values), dtype)


def _pack_tree(ops: Ops, declared: ParamTree, values: Tree, dtype: DType) -> Tree:
    if isinstance(declared, list):
        pairs = zip(declared, values, strict=True)
        return [_pack_tree(ops, child, value, dtype) for child, value in pairs]
    if isinstance(values, Blocks):
        few = ops.pack_blocks(values, dtype)
        release(values.codes)
        return few
    if isinstance(declared, Param):
        values = read_now(values)
        # `pack_linear` copies the weight into the layout that the backend multiplies fastest, so a
        # copy here would be a second one; what is not packed must leave the file's memory now
        native = ops.asarray(values, dtype, copy=not declared.linear)
        packed = ops.pack_linear(native) if declared.linear else native
        # one parameter at a time: if all were released at the end, the file and the copies would
        # be in memory together
        release(values)
        return packed
    tree = {}
    for word, names in _groups(declared).items():
        like, parts = declared[names[0]], [values[name] for name in names]
        if len(names) == 1:
            tree[word] = _pack_tree(ops, like, parts[0], dtype)
            continue
        joined = {leaf: _join([part[leaf] for part in parts]) for leaf in like}
        if all(whole is not None for whole in joined.values()):
            tree[word] = _pack_tree(ops, like, joined, dtype)
        else:  # siblings of several kinds: llama.cpp gives values more bits than keys
            apart = {name: _pack_tree(ops, declared[name], values[name], dtype) for name in names}
            tree |= apart
    return tree


def _join(parts: list[Any]) -> Any:
    """One large product is faster than several small ones; None where it can't be one."""
    if any(isinstance(part, Blocks) for part in parts):
        return joined_blocks(parts)
    return fuse_rows([read_now(part) for part in parts])


def _groups(declared: dict[str, ParamTree]) -> dict[str, list[str]]:
    """The children's names by the name that they are packed under."""
    groups: dict[str, list[str]] = {}
    for name, child in declared.items():
        leaves = child.values() if isinstance(child, dict) else ()
        words = {leaf.fuse for leaf in leaves if isinstance(leaf, Param)}
        groups.setdefault(words.pop() or name if len(words) == 1 else name, []).append(name)
    return groups


def fuse_rows(parts: Sequence[NDArray[Any]]) -> NDArray[Any]:
    """Arrays, one after the other along the first axis; a view where memory has them so already."""
    first = parts[0]
    if not all(_follows(a, b) for a, b in pairwise(parts)):
        joined = np.concatenate(parts)
        for part in parts:  # it is in memory now, and so would the file's pages be
            release(part)
        return joined
    # checkpoints keep siblings next to each other, so the joined weight is in the file already
    rows = sum(part.shape[0] for part in parts)
    return np.lib.stride_tricks.as_strided(first, (rows, *first.shape[1:]))


def _follows(a: NDArray[Any], b: NDArray[Any]) -> bool:
    """Whether ``b`` begins where ``a`` ends, in one memory map."""
    # neighbours by chance, in two allocations, do not count: a view of both keeps only one alive
    alike = a.dtype == b.dtype and a.flags.c_contiguous and b.flags.c_contiguous
    owner = owner_of(a)
    same = owner is not None and owner is owner_of(b)
    return alike and same and a.ctypes.data + a.nbytes == b.ctypes.data
