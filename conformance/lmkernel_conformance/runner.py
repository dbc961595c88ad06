"""Runs cases without pytest, for the self-test and for commands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, final

from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_conformance.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from lmkernel.backend import Backend
    from lmkernel_conformance.cases.case import Item
    from lmkernel_conformance.subject import Record

__all__ = ["Attempt", "Outcome", "attempt", "run_item", "run_items"]


@final
@dataclass(frozen=True)
class Outcome:
    """What became of one item.

    Args:
        item: the case and its dtype.
        discrepancy: what was wrong, or None.
        records: what each comparison used of its budget.
    """

    item: Item
    discrepancy: Discrepancy | None
    records: tuple[Record, ...]


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


def run_item(subject: Subject, item: Item) -> tuple[Record, ...]:
    """Run one case in the backend's scope; raises `Discrepancy`.

    Args:
        subject: its backend and its known budgets are used; the rest is the item's.
        item: what to run.
    """
    name = f"{item.case.level}/{item.case.name}"
    own = replace(subject, dtype=item.dtype, case=name, records=[])
    with own.backend.scope():
        item.case.run(own)
    return tuple(own.records)


def run_items(
    backend: Backend, chosen: Iterable[Item], known: Subject | None = None
) -> Iterator[Outcome]:
    """Run several; anything but a discrepancy is raised.

    Args:
        backend: what is tested.
        chosen: from `lmkernel_conformance.cases.items`.
        known: whose budgets are shared, if given.
    """
    subject = Subject(backend=backend) if known is None else replace(known, backend=backend)
    for item in chosen:
        try:
            records = run_item(subject, item)
        except Discrepancy as discrepancy:
            yield Outcome(item, discrepancy, ())
        else:
            yield Outcome(item, None, records)
