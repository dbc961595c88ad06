"""What stands against a certificate: a row for each case that failed, and further reasons."""

from __future__ import annotations

import functools
import re
from typing import TYPE_CHECKING, Any

from lmkernel_conformance.catalogue import COMPILED, likely
from lmkernel_conformance.certificate.causes import told_cause
from lmkernel_conformance.certificate.verdict import fresh_reason
from lmkernel_conformance.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lmkernel_conformance.certificate.causes import Row

__all__ = ["failed_rows", "hints", "other_reasons", "reproducing"]

_FRESH = re.compile(r"^([^\[\]]+)\[(\w+)\]: (.*)$", re.DOTALL)
"""A failure with fresh inputs: its case, its dtype, and its message."""
_COMPILED_NAMES = ("compiled", "law.compiled")


def failed_rows(certificate: Mapping[str, Any]) -> list[Row]:
    """The rows that a reason stands against, with the first as ``why``; those of fresh inputs last.

    A row of fresh inputs has the member ``seed`` besides.
    """
    first = {why.partition(": ")[0]: why for why in reversed(certificate["reasons"])}
    keyed = [(f"{row['case']}[{row['dtype']}]", row) for row in certificate["cases"]]
    own = [{**row, "why": first[key]} for key, row in keyed if key in first]
    return [*own, *_fresh_rows(certificate["fresh"])]


def _fresh_rows(fresh: Mapping[str, Any]) -> Iterator[Row]:
    seed = fresh["seed"]
    for failure in fresh["failures"]:
        found = _FRESH.match(failure)
        if found:
            about = dict(zip(("case", "dtype", "message"), found.groups(), strict=True))
            yield {**about, "state": "failed", "seed": seed, "why": fresh_reason(seed, failure)}


def other_reasons(certificate: Mapping[str, Any]) -> list[str]:
    """The reasons that stand against no row, such as a case that did not run."""
    rows = failed_rows(certificate)
    keys = {f"{row['case']}[{row['dtype']}]" for row in rows if "seed" not in row}
    told = {row["why"] for row in rows}
    reasons = certificate["reasons"]
    return [why for why in reasons if why not in told and why.partition(": ")[0] not in keys]


def hints(row: Row, group: Sequence[Row]) -> list[str]:
    """The defects that a failure is likely to be; none where its message names the cause.

    Args:
        row: the failure.
        group: the failures of its cause.
    """
    if told_cause(row):
        return []
    numbers = _numbers().get(row["case"], [])
    # Where the eager result is wrong as well, compiling has nothing to do with it.
    eager = _is_compiled(row) and not all(_is_compiled(other) for other in group)
    return likely(number for number in numbers if not (eager and number == COMPILED))


@functools.cache
def _numbers() -> dict[str, list[int]]:
    """The rows of the catalogue that each case is made to catch."""
    return {name: about["rows"] for name, about in read_manifest().cases.items()}


def _is_compiled(row: Row) -> bool:
    return str(row["case"]).partition("/")[2].startswith(_COMPILED_NAMES)


def reproducing(backend: str, row: Row) -> str:
    """The command that runs one case again."""
    seed = f" --seed {row['seed']}" if "seed" in row else ""
    return (
        f"python -m lmkernel_conformance.reproduce {row['case']} "
        f"--backend {backend} --dtype {row['dtype']}{seed}"
    )
