"""Runs one case without pytest: for worker processes, the self-test and the commands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from lmkernel_conformance.cases.case import Item
    from lmkernel_conformance.subject import Record, Subject

__all__ = ["Attempt", "attempt"]


@final
@dataclass(frozen=True)
class Attempt:
    """The outcome of one item, whatever it raised.

    Args:
        error: the exception that left the case, or None.
        records: the comparisons made up to the error.
    """

    error: BaseException | None
    records: tuple[Record, ...]


def attempt(subject: Subject, item: Item) -> Attempt:
    """Run one case in the backend's scope, and catch whatever it raises.

    Every exception counts as a failure of the case, ``SystemExit`` and the exceptions by which test
    frameworks skip included: a backend must not be able to leave a case without being judged.

    Args:
        subject: the backend and the budgets known so far; case, dtype and records are the item's.
        item: the case and the dtype to run.
    """
    name = f"{item.case.level}/{item.case.name}"
    own = replace(subject, dtype=item.dtype, case=name, records=[])
    try:
        with own.backend.scope():
            item.case.run(own)
    except KeyboardInterrupt:
        raise
    except BaseException as error:  # noqa: BLE001 - that is its purpose
        return Attempt(error, tuple(own.records))
    return Attempt(None, tuple(own.records))
