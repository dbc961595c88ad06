"""A process that runs cases of one backend as it is told, one at a time, line by line.

Constraints: what it is asked and what it answers are JSON objects, a line each; what the backend
prints goes to standard error. It ends when its input ends. It answers first what it loaded.
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
from lmkernel.training.run.memory import current_memory
from lmkernel_conformance.discrepancy import Discrepancy

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from types import CodeType

    from lmkernel.backend import Backend
    from lmkernel_conformance.subject import Subject

__all__ = ["main"]


def main(arguments: list[str] | None = None) -> None:
    """Serve until the input ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("backend")
    parser.add_argument("--device")
    parser.add_argument("--strict", action="store_true")
    args = parser.parse_args(arguments)
    faulthandler.enable()
    replies = _own_output()
    try:
        asked = _Served(args.backend, args.device, strict=args.strict)
    except Exception as error:  # noqa: BLE001 - whatever a backend does wrong is reported
        _say(replies, {"error": _told(error)})
        return
    _say(replies, asked.greeting)
    for line in sys.stdin:
        _say(replies, asked.run(json.loads(line)))


def _own_output() -> TextIO:
    """What standard output was; from here on, that of the process is standard error."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return replies


def _say(replies: TextIO, answer: Mapping[str, Any]) -> None:
    replies.write(json.dumps(answer) + "\n")
    replies.flush()


class _Served:
    """The backend under test, with the seal of the suite that judges it."""

    def __init__(self, name: str, device: str | None, *, strict: bool) -> None:
        from lmkernel.backend import load_backend
        from lmkernel.plugins import default_registry
        from lmkernel_conformance.cases import CASES
        from lmkernel_conformance.exploration.table import drawn_case
        from lmkernel_conformance.isolation.integrity import Seal
        from lmkernel_conformance.isolation.watch import close_references, watched
        from lmkernel_conformance.subject import Subject

        registry = default_registry()
        spec = registry.select_backend(name)
        self._cases, self._drawn, self._seal = CASES, drawn_case, Seal()
        close_references(spec)
        backend = load_backend(name, device=device, registry=registry)
        self._subject = Subject(backend=watched(_strictly(backend) if strict else backend, spec))
        self.greeting = _greeting(backend)

    def run(self, asked: Mapping[str, Any]) -> dict[str, Any]:
        """Run one case, or a drawn example of one; the answer says what became of it."""
        started = time.monotonic()
        answer = {**asked, **_attempt(self._subject, self._case(asked), asked)}
        changed = self._seal.broken()
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


def _strictly(backend: Backend) -> Backend:
    @contextlib.contextmanager
    def scope() -> Iterator[None]:
        with backend.scope(), backend.strict():
            yield

    return replace(backend, scope=scope)


def _greeting(backend: Any) -> dict[str, Any]:
    from lmkernel_conformance.next_steps import next_steps, told

    declared = backend.capabilities
    return {
        "name": backend.name,
        "device": backend.device,
        "dtypes": list(declared.dtypes_on(backend.device)),
        "unsupported": dict(declared.unsupported),
        "next": told(backend.name, next_steps(backend)),
    }


def _attempt(subject: Subject, case: Any, asked: Mapping[str, str]) -> dict[str, Any]:
    from lmkernel_conformance.cases import Item
    from lmkernel_conformance.runner import attempt

    if case is None:
        return {
            "outcome": "failed",
            "exception": "KeyError",
            "message": "the suite has no case of this name",
        }
    found = attempt(subject, Item(case, asked["dtype"]))
    measured = [record.measured for record in found.records]
    answer: dict[str, Any] = {
        "outcome": "passed" if found.error is None else "failed",
        "share": max((m.share for m in measured), default=0.0),
        "ulps": _bounded(max((m.ulps for m in measured), default=0.0)),
    }
    if found.error is not None:
        answer |= {"exception": type(found.error).__name__, "message": _message(found.error, asked)}
        answer |= {**_finding(found.error), "refused": _refused(found.error)}
    return answer


def _told(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _message(error: BaseException, asked: Mapping[str, str]) -> str:
    """What it says, without the case; what is no discrepancy says its class and place too."""
    if isinstance(error, (Discrepancy, CapabilityError)):
        return _told(error).removeprefix(f"{asked['case']}[{asked['dtype']}]: ")
    return f"{type(error).__name__} at {_place(error)}: {_told(error)}"


def _finding(error: BaseException) -> dict[str, Any]:
    """What it used of its budget."""
    measured = getattr(error, "measured", None)
    if measured is None:
        return {}
    return {"share": _bounded(measured.share), "ulps": _bounded(measured.ulps)}


def _bounded(measured: float) -> float | None:
    """None stands for what has no bound: NaN, or the last places of a zero."""
    return measured if math.isfinite(measured) else None


def _refused(error: BaseException) -> str | None:
    """The operation whose declared refusal this is, called by the suite or the core.

    The same words from the backend itself are no refusal: it would have done without.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    if not isinstance(error, CapabilityError) or frames[-1].f_code is not _REFUSAL:
        return None
    caller = frames[-2].f_globals["__name__"].partition(".")[0]
    own = caller in ("lmkernel", "lmkernel_conformance")
    return str(frames[-1].f_locals["name"]) if own else None


def _refusal_code() -> CodeType:
    from lmkernel.composed import assemble as package

    made = package.__globals__["_refusal"]("", "")
    code: CodeType = made.__code__
    return code


_REFUSAL = _refusal_code()


def _place(error: BaseException) -> str:
    """The innermost line that raised, for an error that is no discrepancy."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""  # noqa: PTH119 - a name, not a place


if __name__ == "__main__":
    main()
