"""What callers pass to verbs, checked in one manner before anything is done with it."""

from __future__ import annotations

import itertools
import sys
from collections import Counter
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any

from lmkernel.errors import InputError, UnknownNameError, shown

if TYPE_CHECKING:
    from collections.abc import Collection

__all__ = [
    "MOST_ITEMS",
    "as_items",
    "as_names",
    "as_strings",
    "has_too_many",
    "is_absent",
    "is_empty",
    "refuse_masked",
    "require_count",
    "require_flag",
    "require_known",
    "require_number",
]


MOST_ITEMS = 2**24
"""More than any caller has use for at once; ten seconds of making a list."""


def _length(value: object) -> int | None:
    """What a value says that it holds; None where it says nothing, as an array without axes."""
    try:
        return len(value)  # type: ignore[arg-type]  # what has no length raises
    except TypeError:
        return None
    except OverflowError:  # a range may be longer than any list
        return sys.maxsize


def has_too_many(value: object) -> bool:
    """Whether a value says that it holds more than `MOST_ITEMS`."""
    length = _length(value)
    return length is not None and length > MOST_ITEMS


def is_absent(value: object) -> bool:
    """Whether a caller says nothing: None, or an empty text."""
    return value is None or (isinstance(value, str) and not value)


def is_empty(value: object) -> bool:
    """Whether a value has a length, which is 0; an array without axes has none."""
    return _length(value) == 0


def refuse_masked(value: object, what: str) -> None:
    """Refuse an array of which some elements are masked: NumPy drops a mask without a word.

    Args:
        value: what a program passes.
        what: its elements.

    Raises:
        InputError: some are.
    """
    import numpy as np

    if np.ma.is_masked(value):
        raise InputError(f"expected {what}, got an array of which some are masked")


def as_items(value: object) -> list[Any] | None:
    """What a value holds; None for a text, bytes, or what holds nothing, as an array without axes.

    The list may be empty, which is for the caller to check.

    Raises:
        InputError: it holds more than any caller has use for, or has no end.
    """
    if isinstance(value, str | bytes | bytearray | memoryview):
        return None
    try:
        several = iter(value)  # type: ignore[call-overload]  # what cannot be gone through raises
    except TypeError:
        return None
    found = list(itertools.islice(several, MOST_ITEMS + 1))
    if len(found) > MOST_ITEMS:
        raise InputError(f"expected at most {MOST_ITEMS} items, got more: {shown(value)}")
    return found


def require_count(name: str, value: object, *, least: int = 1, most: int | None = None) -> None:
    """Refuse what is no whole number within bounds; a bool is none.

    Args:
        name: the argument, for the message.
        value: what came; a whole number of NumPy is one.
        least: the smallest that is allowed.
        most: the largest; by default the largest that sizes and places have on this machine.

    Raises:
        InputError: it is none.
    """
    limit = sys.maxsize if most is None else most
    whole = isinstance(value, Integral) and not isinstance(value, bool)
    if whole and least <= value <= limit:  # type: ignore[operator]  # a whole number
        return
    bounds = f"in {least} … {limit}"
    if most is None and not (whole and value > limit):  # type: ignore[operator]  # the same
        bounds = f"of at least {least}"
    raise InputError(f"{name}: expected a whole number {bounds}, got {shown(value)}")


def require_number(name: str, value: object, *, above: float) -> None:
    """Refuse what is no number above a bound; NaN and a bool are none.

    Raises:
        InputError: it is none.
    """
    real = isinstance(value, Real) and not isinstance(value, bool)
    if not (real and value > above):  # type: ignore[operator]  # a number
        raise InputError(f"{name}: expected a number above {above:g}, got {shown(value)}")


def require_flag(name: str, value: object) -> None:
    """Refuse what is neither True nor False: a text such as ``"no"`` would count as True.

    Raises:
        InputError: it is neither; one of NumPy's is.
    """
    # a bool of NumPy's is known by its dtype: light commands do without NumPy
    theirs = getattr(getattr(value, "dtype", None), "kind", None) == "b" and not value.shape  # type: ignore[attr-defined]  # it has a dtype
    if not isinstance(value, bool) and not theirs:
        raise InputError(f"{name}: expected True or False, got {shown(value)}")


def require_known(what: str, name: object, known: Collection[str]) -> None:
    """Refuse a name that is none of those that are known, and what is no name at all.

    Raises:
        UnknownNameError: it is none.
    """
    if not isinstance(name, str) or name not in known:
        raise UnknownNameError(what, name, known)


def as_strings(name: str, value: object) -> tuple[str, ...]:
    """Several strings, at least one, none of them empty.

    Raises:
        InputError: it is something else; a lone string is, too.
    """
    found = tuple(as_items(value) or ())
    if not found or not all(isinstance(one, str) and one for one in found):
        raise InputError(f"{name}: expected strings that are not empty, got {shown(value)}")
    return found


def as_names(name: str, value: object) -> tuple[str, ...]:
    """Several strings as of `as_strings`, each of which is there once.

    Raises:
        InputError: it is something else, or one is there again.
    """
    found = as_strings(name, value)
    if len(set(found)) < len(found):
        again, times = Counter(found).most_common(1)[0]
        raise InputError(f"{name}: expected each once, got {again!r:.60} {times} times")
    return found
