"""A walk through a backend's state: steps in any order, after each of which all arrays are right.

Each step does what sequences of calls get wrong: a compiled function meets another dtype, shape or
order of keys, a function raises, a scope is entered inside another, a thread computes beside, a
buffer is donated. Numbers are small integers, exact in every dtype, so results are compared by
equality, and an argument that was written to is seen at once.

A program is a list of ``[rule, number]``, which JSON can hold. One is fixed and belongs to the
verdict; `lmkernel_conformance.exploration.state` draws others.
"""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel_conformance.cases.case import case
from lmkernel_conformance.discrepancy import Discrepancy

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lmkernel_conformance.subject import Subject

__all__ = ["RULES", "Walk"]

Host = Any

_SHAPES = ((2, 3), (3, 2), (6,))
_MOST = 6
"""So many arrays are kept; the oldest goes."""
_STATICS = (1, True, 2, 1.0)
_FACTORS = {(int, 1): 1, (bool, 1): -1, (int, 2): 0, (float, 1): -2}


class _Planned(Exception):  # noqa: N818 - not an error: the step wants it
    """What a function raises because the walk asks it to."""


@final
class Walk:
    """The arrays and compiled functions of one walk, and what each array must hold.

    Args:
        s: the backend under test.
        gradients: whether it takes gradients too.
    """

    def __init__(self, s: Subject, *, gradients: bool) -> None:
        self._s, self._ops, self._gradients = s, s.ops, gradients
        self._live: list[tuple[Any, Host, str]] = []
        self._buffers: list[tuple[Any, Host]] = []
        compiled = s.ops.compile
        self._add = compiled(self._sum_of_tree)
        self._scale = compiled(lambda x, kind: x * _FACTORS[type(kind), int(kind)], static=(1,))
        if gradients:
            self._square = compiled(s.ops.value_and_grad(self._sum_of_squares))
        self._write = compiled(lambda b, v, at: s.ops.cache_update(b, v, at, 0), donate=(0,))

    def run(self, program: Sequence[Sequence[Any]]) -> None:
        """Take each step, and compare all that is there after it."""
        self.make(0)
        for count, (rule, number) in enumerate(program):
            getattr(self, rule)(number)
            self._compare(f"after step {count} ({rule} {number})")

    def _compare(self, when: str) -> None:
        for i, (native, want, kind) in enumerate(self._live):
            self._s.equal(f"array {i} {when}", native, want, kind)
        for i, (native, want) in enumerate(self._buffers):
            self._s.equal(f"buffer {i} {when}", native, want)

    def make(self, number: int) -> None:
        """A new array: of the run's dtype, of the other wide one, or of integers."""
        shape = _SHAPES[number % 3]
        host = (np.arange(6) * 5 + number) % 7 - 3
        other = "float32" if self._s.dtype == "float64" else "float64"
        kind: Any = (self._s.dtype, other, "int32")[number // 3 % 3]
        self._keep(self._ops.asarray(host.reshape(shape), kind), host.reshape(shape), kind)

    def view(self, number: int) -> None:
        """An array that may share another's memory."""
        native, host, kind = self._pick(number)
        ops, turned = self._ops, tuple(range(host.ndim))[::-1]
        ways: list[tuple[Any, Host]] = [
            (ops.permute_dims(native, turned), host.T),
            (ops.reshape(native, (-1,)), host.reshape(-1)),
            (ops.concat([native], 0), host),
            (ops.broadcast_to(native[:1], host.shape), np.broadcast_to(host[:1], host.shape)),
        ]
        self._keep(*ways[number // _MOST % len(ways)], kind)

    def add(self, number: int) -> None:
        """A compiled function of a tree, with keys in either order, and perhaps one array twice."""
        native, host, kind = self._pick(number)
        same = [x for x in self._live if x[1].shape == host.shape and x[2] == kind]
        other, beside, _ = same[number // _MOST % len(same)]
        tree = {"a": native, "b": other} if number % 2 else {"b": other, "a": native}
        self._keep(self._add(tree)["sum"], np.clip(host - beside, -3, 3), kind)

    def scale(self, number: int) -> None:
        """A compiled function with static arguments that are equal and of different types."""
        native, host, kind = self._pick(number)
        static = _STATICS[number // _MOST % len(_STATICS)]
        factor = _FACTORS[type(static), int(static)]
        self._keep(self._scale(native, static), host * factor, kind)
        self._clip_last()

    def gradient(self, number: int) -> None:
        """A compiled gradient."""
        native, host, kind = self._pick(number)
        if self._gradients and kind != "int32":
            value, slope = self._square(native)
            self._s.equal("sum of squares", value, (host * host).sum(), kind)
            self._keep(slope, 2 * host, kind)
            self._clip_last()

    def fail(self, number: int) -> None:
        """A function that raises, inside one of four; what comes after must not notice."""
        ops, (native, _, kind) = self._ops, self._pick(number)

        def raises(*_: Any) -> Any:
            raise _Planned

        def in_scope() -> None:
            with self._s.backend:
                raise _Planned

        ways: list[Callable[[], Any]] = [
            lambda: ops.compile(raises)(native),
            lambda: ops.scan(raises, native[0], native),
            in_scope,
        ]
        if self._gradients and kind != "int32":
            ways.append(lambda: ops.value_and_grad(raises)(native))
        try:
            ways[number // _MOST % len(ways)]()
        except _Planned:
            return
        raise Discrepancy(f"{self._s.label}: expected what a function raises to be raised")

    def scope(self, number: int) -> None:
        """A step inside another scope of the same backend; float64 is float64 before and after."""
        with self._s.backend:
            self._check_wide()
            with self._s.backend:
                self.add(number)
            self._check_wide()
        self._check_wide()

    def thread(self, number: int) -> None:
        """A step in another thread, in a scope of its own."""
        failed: list[BaseException] = []

        def work() -> None:
            try:
                with self._s.backend:
                    self._check_wide()
                    self.add(number)
                    self.gradient(number)
                    self._compare("in a thread")  # read here, arrays may go to another thread
            except BaseException as error:  # noqa: BLE001 - raised again outside
                failed.append(error)

        beside = threading.Thread(target=work)
        beside.start()
        beside.join()
        if failed:
            raise failed[0]

    def write(self, number: int) -> None:
        """A compiled update of a donated buffer, or a new buffer, or a copy of one."""
        if not self._buffers or number % 5 == 0:
            shape = (4 + number % 2, 2)
            made = self._ops.full(shape, 0.0, self._s.dtype)  # type: ignore[arg-type]  # declared by the backend
            self._buffers = [*self._buffers, (made, np.zeros(shape))][-3:]
        native, host = self._buffers.pop(number % len(self._buffers))
        if number % 3 == 0:  # as `Model.fork` copies
            zero = self._s.constant(0.0)
            self._buffers.append((self._ops.concat([native], 0) + zero, host.copy()))
        at, values = number % len(host), np.array([[number % 7 - 3.0, 2.0]])
        start = self._ops.asarray(at, "int32")
        host = host.copy()
        host[at] = values
        self._buffers.append((self._write(native, self._s.array(values), start), host))

    def _sum_of_tree(self, tree: dict[str, Any]) -> dict[str, Any]:
        kind = self._ops.dtype(tree["a"])
        low, high = (self._ops.full((), x, kind) for x in (-3, 3))
        found = self._ops.minimum(self._ops.maximum(tree["a"] - tree["b"], low), high)
        return {"sum": found, "a": tree["a"]}

    def _sum_of_squares(self, x: Any) -> Any:
        return self._ops.sum(self._ops.reshape(x * x, (-1,)), 0)

    def _check_wide(self) -> None:
        wide = self._ops.asarray(1 + 2.0**-40, "float64")
        self._s.equal("float64 in a scope", wide + wide, 2 + 2.0**-39, "float64")

    def _pick(self, number: int) -> tuple[Any, Host, str]:
        return self._live[number % len(self._live)]

    def _keep(self, native: Any, host: Host, kind: str) -> None:
        self._live = [*self._live, (native, np.array(host, float), kind)][-_MOST:]

    def _clip_last(self) -> None:
        """Numbers stay small, so that they stay exact."""
        native, host, kind = self._live.pop()
        low, high = (self._ops.full((), x, kind) for x in (-3, 3))  # type: ignore[arg-type]  # as it was made
        self._keep(
            self._ops.minimum(self._ops.maximum(native, low), high), np.clip(host, -3, 3), kind
        )


RULES = ("make", "view", "add", "scale", "gradient", "fail", "scope", "thread", "write")
"""The names of the steps."""


def _fixed(length: int) -> list[tuple[str, int]]:
    """Every rule after every other one, with numbers that run through all choices."""
    steps = [(i * i * 4 + i // 9 * 5 + i) % len(RULES) for i in range(length)]
    return [(RULES[step], 7 * i + 3) for i, step in enumerate(steps)]


@case(level="operations", id="state.walk", dtypes=("float32", "float64", "bfloat16"), rows=(28,))
def walk(s: Subject) -> None:
    """A fixed walk: all rules, many times, with everything compared after each step."""
    Walk(s, gradients=False).run(_fixed(110))


@case(level="gradients", id="state.walk.gradients", rows=(28,), training=True)
def walk_with_gradients(s: Subject) -> None:
    """The same walk, with compiled gradients on the way."""
    Walk(s, gradients=True).run(_fixed(110))
