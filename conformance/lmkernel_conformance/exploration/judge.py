"""The process that judges examples on the backend; it is replaced when it crashes or hangs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Self, final

from lmkernel.errors import CapabilityError, InputError
from lmkernel_conformance.isolation.session import Worker
from lmkernel_conformance.manifest import Key

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel_conformance.exploration.draw import Example
    from lmkernel_conformance.isolation.session import Answer, Plan

__all__ = ["Judge"]


@final
class Judge:
    """Judges examples in one process at a time; a context manager, which ends the last one.

    Args:
        plan: the backend, its device, and the time limit of one example.

    Raises:
        InputError: the backend cannot be loaded.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = replace(plan, seed=None)
        self._worker: Worker | None = None
        self.dtypes: Sequence[str] = ()
        self.restarts = 0

    def __enter__(self) -> Self:
        self._ready()
        return self

    def __exit__(self, *_: object) -> None:
        if self._worker is not None:
            self._worker.__exit__()
            self._worker = None

    def ask(self, name: str, dtype: str, drawn: Example) -> Answer:
        """The outcome of one example.

        Args:
            name: the name of the property.
            dtype: the floating dtype to run it in.
            drawn: the example.
        """
        key = Key(f"operations/{name}", dtype)
        answer = self._ready().ask(key, self._plan.limit, drawn=drawn)
        if answer["outcome"] in ("crashed", "hung"):
            self.restarts += 1
            self.__exit__()
        return answer

    def _ready(self) -> Worker:
        if self._worker is None:
            self._worker = Worker(self._plan)
            hello = self._worker.greeting()
            if "error" in hello:
                self.__exit__()
                if "refused" in hello:
                    raise CapabilityError(hello["error"])
                raise InputError(f"backend {self._plan.backend!r}: {hello['error']}")
            self.dtypes = hello["dtypes"]
        return self._worker
