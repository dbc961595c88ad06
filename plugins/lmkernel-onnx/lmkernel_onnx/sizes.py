"""Extents of axes: numbers, or symbols that a graph computes when it runs.

Constraint: a symbol is a whole number as well, the extent in the example that a graph is traced
with, so whatever asks for a shape works on it. Arithmetic keeps it a symbol; what makes a plain
number of it fixes that extent in the graph.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lmkernel_onnx.graph import Graph

__all__ = ["Size", "broadcast", "product"]


@final
class Size(int):
    """An extent that may be another one each time the graph runs.

    Args:
        example: its value in the example.
        graph: the graph that computes it.
        emit: writes it there when it is first needed; returns the name of an int64 array ``(1,)``.
    """

    graph: Graph
    _emit: Callable[[], str]
    _name: str

    def __new__(cls, example: int, graph: Graph, emit: Callable[[], str]) -> Size:
        """Make a whole number that remembers where it comes from."""
        size = super().__new__(cls, example)
        size.graph, size._emit, size._name = graph, emit, ""
        return size

    @property
    def name(self) -> str:
        """The name of its array in the graph."""
        if not self._name:
            self._name = self._emit()
        return self._name

    def _with(self, what: str, value: int, a: int, b: int) -> Size:
        def emit() -> str:
            return self.graph.add(what, [self.graph.sizes([a]), self.graph.sizes([b])])[0]

        return Size(value, self.graph, emit)

    def __add__(self, other: int) -> int:
        """A sum."""
        return self if _is(other, 0) else self._with("Add", int(self) + int(other), self, other)

    __radd__ = __add__

    def __sub__(self, other: int) -> int:
        """A difference."""
        return self if _is(other, 0) else self._with("Sub", int(self) - int(other), self, other)

    def __rsub__(self, other: int) -> int:
        """A difference."""
        return self._with("Sub", int(other) - int(self), other, self)

    def __neg__(self) -> int:
        """The negative."""
        return 0 - self

    def __mul__(self, other: int) -> int:
        """A product."""
        return self if _is(other, 1) else self._with("Mul", int(self) * int(other), self, other)

    __rmul__ = __mul__

    def __floordiv__(self, other: int) -> int:
        """A quotient, of extents that are not negative."""
        return self if _is(other, 1) else self._with("Div", int(self) // int(other), self, other)

    def __rfloordiv__(self, other: int) -> int:
        """A quotient, of extents that are not negative."""
        return self._with("Div", int(other) // int(self), other, self)


def _is(other: int, value: int) -> bool:
    return type(other) is int and other == value


def product(sizes: Sequence[int]) -> int:
    """The product, a symbol where a factor is one."""
    result = 1
    for size in sizes:
        result = size * result
    return result


def broadcast(*shapes: Sequence[int]) -> tuple[int, ...]:
    """The shape that shapes broadcast to; `ValueError` where they don't."""
    rank = max(len(shape) for shape in shapes)
    padded = [(1,) * (rank - len(shape)) + tuple(shape) for shape in shapes]
    result = []
    for column in zip(*padded, strict=True):
        wide = [size for size in column if isinstance(size, Size) or size != 1]
        if len({int(size) for size in wide}) > 1:
            raise ValueError(f"expected shapes that broadcast, got {shapes}")
        symbols = [size for size in wide if isinstance(size, Size)]
        result.append((symbols or wide or [1])[0])
    return tuple(result)
