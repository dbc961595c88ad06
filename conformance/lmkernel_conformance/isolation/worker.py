"""The worker process: runs cases of one backend on request, one at a time.

Constraints: requests and answers are JSON objects, one per line. The first answer says what was
loaded. Whatever the backend prints goes to standard error, so that it cannot be taken for an
answer. The process ends when its input ends.
"""

from __future__ import annotations

import argparse
import contextlib
import faulthandler
import json
import math
import os
import sys
import time
import traceback
from dataclasses import replace
from typing import TYPE_CHECKING, Any, TextIO

from lmkernel.errors import CapabilityError
from lmkernel.machine import current_memory
from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_conformance.isolation.places import find_place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import CodeType

    from lmkernel.backend import Backend
    from lmkernel_conformance.subject import Subject

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Answer requests until the input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("backend")
    parser.add_argument("--device")
    parser.add_argument("--strict", action="store_true")
    args = parser.parse_args(arguments)
    faulthandler.enable()
    replies = _own_output()
    try:
        asked = _Server(args.backend, args.device, strict=args.strict)
    except CapabilityError as error:  # such as a device that is not there
        _say(replies, {"error": str(error), "refused": True})
        return
    except Exception as error:  # noqa: BLE001 - whatever a backend does wrong is reported
        _say(replies, {"error": _first_line(error)})
        return
    _say(replies, asked.greeting)
    for line in sys.stdin:
        _say(replies, asked.run(json.loads(line)))


def _own_output() -> TextIO:
    """A stream to the original standard output; prints of the process go to standard error now."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return replies


def _say(replies: TextIO, answer: Mapping[str, Any]) -> None:
    """Write one answer, which must not wait in a buffer."""
    replies.write(json.dumps(answer) + "\n")
    replies.flush()


class _Server:
    """The backend under test, and the seal of the suite that judges it."""

    def __init__(self, name: str, device: str | None, *, strict: bool) -> None:
        from lmkernel.backend import load_backend
        from lmkernel.plugins import default_registry
        from lmkernel_conformance.cases import CASES
        from lmkernel_conformance.exploration.table import example_case
        from lmkernel_conformance.isolation.integrity import Seal
        from lmkernel_conformance.isolation.watch import close_references, watch_backend
        from lmkernel_conformance.subject import Subject

        # The order matters: the seal is taken and references are closed before the backend is
        # imported, and can no longer be touched by its modules.
        registry = default_registry()
        spec = registry.select_backend(name)
        self._cases, self._drawn, self._seal = CASES, example_case, Seal()
        close_references(spec)
        backend = load_backend(name, device=device, registry=registry)
        self._package = spec.load.partition(".")[0].partition(":")[0]
        self._subject = Subject(
            backend=watch_backend(_with_strict_products(backend) if strict else backend, spec)
        )
        self.greeting = _greeting(backend)

    def run(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Run one case, or a drawn example of a property; the answer says how it ended."""
        started = time.monotonic()
        answer = {**asked, **_attempt(self._subject, self._case(asked), asked, self._package)}
        changed = self._seal.changes()
        if changed:
            answer |= {
                "outcome": "failed",
                "exception": "Tampering",
                "message": f"the suite was changed while it ran: {', '.join(changed[:3])}",
            }
        seconds = round(time.monotonic() - started, 3)
        return {**answer, "seconds": seconds, "memory": current_memory()}

    def _case(self, asked: Mapping[str, Any]) -> Any:
        if "drawn" not in asked:
            return self._cases.get(asked["case"])
        return self._drawn(asked["case"].partition("/")[2], asked["drawn"])


def _with_strict_products(backend: Backend) -> Backend:
    """A copy of the backend whose scope also enters its strict scope: float32 without TF32."""

    @contextlib.contextmanager
    def scope() -> Iterator[None]:
        with backend.scope(), backend.strict():
            yield

    return replace(backend, scope=scope)


def _greeting(backend: Any) -> dict[str, Any]:
    """What was loaded, as the backend declares it, and the operations that are still missing."""
    from lmkernel_conformance.next_steps import describe_steps, next_steps

    declared = backend.capabilities
    return {
        "name": backend.name,
        "device": backend.device,
        "dtypes": list(declared.dtypes_on(backend.device)),
        "unsupported": dict(declared.unsupported),
        "bitwise": list(declared.bitwise_on(backend.device)),
        "next": describe_steps(backend.name, next_steps(backend)),
    }


def _attempt(
    subject: Subject, case: Any, asked: Mapping[str, str], package: str = ""
) -> dict[str, Any]:
    """Run a case, if there is one: the members of the answer that say how it ended.

    Args:
        subject: the backend under test.
        case: the case.
        asked: the request.
        package: the backend's own, whose frames say where an error comes from.
    """
    from lmkernel_conformance.budget import largest_shares
    from lmkernel_conformance.cases import Item
    from lmkernel_conformance.runner import attempt

    if case is None:
        return {
            "outcome": "failed",
            "exception": "KeyError",
            "message": "the suite has no case of this name",
        }
    found = attempt(subject, Item(case, asked["dtype"]))
    measured = [record.measurement for record in found.records]
    answer: dict[str, Any] = {
        "outcome": "passed" if found.error is None else "failed",
        "share": max((m.share for m in measured), default=0.0),
        "shares": largest_shares(measured),
        "ulps": _finite_or_none(max((m.ulps for m in measured), default=0.0)),
    }
    if found.error is not None:
        answer |= {
            "exception": type(found.error).__name__,
            "message": _message(found.error, asked, package),
        }
        answer |= {**_finding(found.error), "refused": _refused_operation(found.error)}
    return answer


def _first_line(error: BaseException) -> str:
    """The first line of an error's message, or the name of its class."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _message(error: BaseException, asked: Mapping[str, str], package: str) -> str:
    """The message without the case's name; an unexpected error comes with its class and place."""
    if isinstance(error, (Discrepancy, CapabilityError)):
        return _first_line(error).removeprefix(f"{asked['case']}[{asked['dtype']}]: ")
    return f"{type(error).__name__} at {find_place(error, package)}: {_first_line(error)}"


def _finding(error: BaseException) -> dict[str, Any]:
    """The error that a discrepancy measured, if it did."""
    found = getattr(error, "measurement", None)
    if found is None:
        return {}
    return {
        "share": _finite_or_none(found.share),
        "shares": {name: _finite_or_none(share) for name, share in found.shares.items()},
        "ulps": _finite_or_none(found.ulps),
    }


def _finite_or_none(measured: float) -> float | None:
    """The number, or None for NaN and infinity, which JSON cannot hold."""
    return measured if math.isfinite(measured) else None


def _refused_operation(error: BaseException) -> str | None:
    """The unsupported operation that the suite or the core called, if that is the error."""
    # The stub that the core puts in place of an unsupported operation is recognised by its code
    # object, not by its message, which a backend could raise itself to have a failure excused. A
    # backend that calls an operation it does not support has no excuse either, hence the check of
    # the caller.
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if not isinstance(error, CapabilityError) or frames[-1].f_code is not _REFUSAL:
        return None
    caller = frames[-2].f_globals["__name__"].partition(".")[0]
    own = caller in ("lmkernel", "lmkernel_conformance")
    return str(frames[-1].f_locals["name"]) if own else None


def _refusal_code() -> CodeType:
    from lmkernel.composed import assemble as package

    stub = package.__globals__["_refusal"]("", "")
    code: CodeType = stub.__code__
    return code


_REFUSAL = _refusal_code()


if __name__ == "__main__":
    main()
