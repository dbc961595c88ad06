"""Runs a case without pytest, for workers, the self-test and commands."""

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
    """What became of one item, whatever it raised.

    Args:
        error: what was raised, or None.
        records: what each comparison used of its budget, up to the error.
    """

    error: BaseException | None
    records: tuple[Record, ...]


def attempt(subject: Subject, item: Item) -> Attempt:
    """Run one case in the backend's scope; nothing that it raises goes further.

    Whatever leaves the case by an exception is an error of it: also ``SystemExit``, and what test
    frameworks raise to skip.

    Args:
        subject: its backend and its known budgets are used; the rest is the item's.
        item: what to run.
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
