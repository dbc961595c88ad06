"""What a subject multiplies with: a floating-point dtype, TF32, or 8 bits with scales for blocks.

TF32 is float32 whose products are taken of numbers of 11 binary digits; processors cut the others
off, or round. Engines with weights of few bits round what these are multiplied with: of each block
of so many elements, to whole multiples of a 127th of the largest; ``"int8x32"`` is such an
arithmetic with blocks of 32. The budget of either is measured by honest runs that round in the same
way, and is float32's otherwise.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.errors import SubjectError
from lmkernel.numerics import FORMATS
from lmkernel.verification.rounding import cut_digits

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops
    from lmkernel.verification.layerwise import ChangeValues

    Round = Callable[[NDArray[Any]], NDArray[Any]]

__all__ = ["DTYPES", "check_arithmetic", "dtype_of", "rounded_products", "rounded_weights"]

_BLOCKS, _TF32 = "int8x", "tf32"
_MOST, _DIGITS = 127, 11
DTYPES = (*FORMATS, _TF32)
"""What may be said of a subject that does not say it itself."""
_PRODUCTS = {"linear": 1, "expert_linear": 1, "attention": 3}
"""Operations that multiply, and how many of their first arguments are no weights."""
_TABLES = ("tokens", "positions", "segments", "relative", "token")
"""Parameters of which rows are taken, and nothing is multiplied."""


def check_arithmetic(name: str) -> str:
    """The name, of a dtype, of TF32 or of blocks.

    Raises:
        SubjectError: it is neither.
    """
    if name in DTYPES or _block(name):
        return name
    known = f"{', '.join(DTYPES)} or {_BLOCKS}N"
    raise SubjectError(f"arithmetic: expected {known}, got {name!r}")


def dtype_of(name: str) -> str:
    """The dtype by whose units in the last place an arithmetic is judged."""
    return name if name in FORMATS else "float32"


def rounded_products(name: str) -> Mapping[str, Callable[..., Array]]:
    """The operations that round what they are given first; none for a dtype."""
    if name == _TF32:
        rounds: Round = partial(cut_digits, digits=_DIGITS)
        return {n: partial(_multiply, name=n, rounds=rounds) for n in _PRODUCTS}
    if not (size := _block(name)):
        return {}
    rounds = partial(_round_blocks, size=size)
    return {n: partial(_multiply, name=n, rounds=rounds) for n in ("linear", "expert_linear")}


def rounded_weights(name: str, change: ChangeValues | None) -> ChangeValues | None:
    """What is done to host values, and then to the weights that are multiplied with.

    Args:
        name: of the arithmetic.
        change: what is done to them first, or None.
    """
    if name != _TF32:
        return change

    def rounded(values: dict[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        own = values if change is None else change(values)
        return {n: cut_digits(x, _DIGITS) if _multiplies(n, x) else x for n, x in own.items()}

    return rounded


def _multiplies(name: str, values: NDArray[Any]) -> bool:
    *_, owner, _ = ("", *name.split("."))
    return values.ndim > 1 and values.dtype == np.float32 and owner not in _TABLES


def _block(name: str) -> int:
    size = name.removeprefix(_BLOCKS)
    return int(size) if name.startswith(_BLOCKS) and size.isdecimal() else 0


def _multiply(ops: Ops, *given: Any, name: str, rounds: Round, **options: Any) -> Array:
    count = _PRODUCTS[name]
    rounded = [
        ops.asarray(rounds(np.asarray(ops.to_numpy(x))), ops.dtype(x)) for x in given[:count]
    ]
    made: Array = getattr(ops, name)(*rounded, *given[count:], **options)
    return made


def _round_blocks(host: NDArray[Any], size: int) -> NDArray[Any]:
    """The elements of each block as multiples of a 127th of its largest."""
    width = host.shape[-1]
    padded = np.pad(host.reshape(-1, width), ((0, 0), (0, -width % size)))
    blocks = padded.reshape(len(padded), -1, size)
    scale = np.abs(blocks).max(-1, keepdims=True) / _MOST
    steps = np.rint(np.divide(blocks, scale, out=np.zeros_like(blocks), where=scale > 0))
    # the scale itself is kept in float16
    whole = (steps * scale.astype(np.float16).astype(host.dtype)).reshape(padded.shape)
    made: NDArray[Any] = whole[:, :width].reshape(host.shape)
    return made
