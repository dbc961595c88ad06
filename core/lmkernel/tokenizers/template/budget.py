"""What one rendering of a chat template may take: steps, seconds, and all the values it makes.

Every evaluation is a step. Every value that an operation makes is charged, and an operation that
could make much out of little asks before it begins; so memory stays bounded whatever is asked.
"""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar, final

from jinja2 import Undefined

from lmkernel.errors import TemplateError
from lmkernel.tokenizers.template.values import VIEWS, Namespace

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["Budget", "SpentError", "Weight"]

MAX_STEPS = 3_000_000  # evaluations of a statement or an expression
MAX_SECONDS = 3.0
MAX_CHARACTERS = 4_000_000  # of one text, and of the rendered chat
MAX_ITEMS = 1_000_000  # of one list or dictionary, counted to the bottom where it is read whole
MAX_BYTES = 256 * 2**20  # of all values that are made, whether they are kept or not
MAX_NUMBER = 10**30  # of a whole number that is computed
MAX_SCAN = 10**8  # comparisons of characters in a search that is quadratic in CPython
MAX_DEPTH = 100  # of lists in lists, where they are read whole
MAX_CALLS = 64  # of macros and recursive loops within each other
_ITEM = 56  # bytes charged for an item beside its place in the list

_ITERABLE: tuple[Any, ...] = (str, list, tuple, dict, range, *VIEWS)
_NESTED: tuple[Any, ...] = (list, tuple, dict, Namespace, *VIEWS)

_PRINTED: tuple[Any, ...] = (str, int, float, complex, range, type(None), Undefined, *_NESTED)

_Value = TypeVar("_Value")
_Texts = TypeVar("_Texts", list[str], tuple[str, ...])


@final
class SpentError(TemplateError):
    """A rendering has no steps or no time left; another try would take as long."""


class Weight(NamedTuple):
    """How much there is in a value, to the bottom of its lists and dictionaries."""

    items: int
    characters: int
    depth: int
    kinds: frozenset[type]


@final
class Budget:
    """What one rendering has left to spend."""

    def __init__(self) -> None:
        self._steps = MAX_STEPS
        self._bytes = MAX_BYTES
        self._calls = MAX_CALLS
        self._end = time.monotonic() + MAX_SECONDS

    def step(self, steps: int = 1) -> None:
        """Spend steps.

        Raises:
            SpentError: there are none left, or no time.
        """
        self._steps -= steps
        if self._steps < 0:
            raise SpentError(f"the chat template takes over {MAX_STEPS} steps")
        if time.monotonic() > self._end:
            raise SpentError(f"the chat template takes over {MAX_SECONDS:g} seconds")

    def enter_call(self) -> None:
        """Begin a call of a macro or of a recursive loop.

        Raises:
            TemplateError: too many have begun within each other.
        """
        self._calls -= 1
        if self._calls < 0:
            raise TemplateError(f"the chat template calls itself over {MAX_CALLS} times deep")

    def leave_call(self) -> None:
        """End what `enter_call` began."""
        self._calls += 1

    def charge(self, value: _Value) -> _Value:
        """The value, which an operation has made, once it is paid for."""
        if isinstance(value, str):
            self.expect(characters=len(value))
            self._bytes -= sys.getsizeof(value)
        elif isinstance(value, list | tuple | dict):
            self.expect(items=len(value))
            self._bytes -= sys.getsizeof(value) + _ITEM * len(value)
        elif isinstance(value, int) and abs(value) > MAX_NUMBER:
            raise TemplateError("the chat template computes a number of over 30 digits")
        if self._bytes < 0:
            raise TemplateError(f"the chat template makes over {MAX_BYTES} bytes of values")
        return value

    def charge_texts(self, texts: _Texts) -> _Texts:
        """A list or tuple, once it and the texts that an operation has made for it are paid for."""
        self._bytes -= sum(map(sys.getsizeof, texts))
        return self.charge(texts)

    def expect(self, *, characters: int = 0, items: int = 0) -> None:
        """Refuse an operation that would make a text or a list so large.

        Raises:
            TemplateError: it is over the limit.
        """
        if characters > MAX_CHARACTERS:
            raise TemplateError(
                f"the chat template makes a text of over {MAX_CHARACTERS} characters"
            )
        if items > MAX_ITEMS:
            raise TemplateError(f"the chat template makes or reads over {MAX_ITEMS} items at once")

    def expect_scan(self, text: str, *sought: object) -> None:
        """Refuse a search from the right, or of many characters, that would take minutes.

        Raises:
            TemplateError: it would.
        """
        if any(len(text) * len(item) > MAX_SCAN for item in sought if isinstance(item, str)):
            raise TemplateError("the chat template searches a long text for a long text")

    def weigh(self, *values: Any) -> Weight:
        """Count what is in values before they are printed, compared or sorted.

        A list may hold another many times, and that one a third: printing three such lists of a
        thousand items makes gigabytes, so the count is of what would be visited.

        Raises:
            TemplateError: there is too much, or it lies too deep.
        """
        items = characters = 0
        kinds: set[type] = set()
        level = list(values)
        for depth in range(MAX_DEPTH):
            items += len(level)
            kinds.update(map(type, level))
            self.step(len(level) >> 3)
            inner: list[Any] = []
            for value in level:
                if isinstance(value, str):
                    characters += len(value)
                else:
                    inner.extend(_children(value))
                    self.expect(items=items + len(inner))
            self.expect(characters=characters)
            if not inner:
                return Weight(items, characters, depth, frozenset(kinds))
            level = inner
        raise TemplateError(f"the chat template reads lists over {MAX_DEPTH} deep")

    def iterate(self, value: Any) -> Iterator[Any]:
        """The items of a value.

        Raises:
            TemplateError: there are too many.
            TypeError: it has none.
        """
        if isinstance(value, _ITERABLE):
            self.expect(items=len(value))
            return iter(value)
        if isinstance(value, Undefined) or hasattr(type(value), "__next__"):
            return iter(value)
        raise TypeError(f"{type(value).__name__!r} object is not iterable")

    def text(self, value: Any) -> str:
        """What printing a value writes.

        Raises:
            TemplateError: it is too large, or its text would hold an address in memory.
        """
        if isinstance(value, str):
            return value
        kinds = self.weigh(value).kinds
        for kind in sorted(kind.__name__ for kind in kinds if not issubclass(kind, _PRINTED)):
            raise TemplateError(f"the chat template prints a {kind}, which has no text")
        return self.charge(str(value)) if isinstance(value, _NESTED) else str(value)


def _children(value: Any) -> Iterable[Any]:
    if isinstance(value, dict):
        return (item for pair in value.items() for item in pair)
    if isinstance(value, Namespace):
        return (value.attributes,)
    return value if isinstance(value, _NESTED) else ()
