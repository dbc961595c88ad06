"""Known failures: the cases that a backend's own package declares not to pass yet.

Constraints: the file ``lmkernel_known_failures.toml`` lies in the top package of the backend and is
read without importing it. Every entry has a case, an exception, a reason, a link and the day on
which it expires; the error for a malformed one names the file and the entry.

    [[failure]]
    case = "operations/softmax.large_logits.last"
    dtype = "bfloat16"            # left out: every dtype of the case
    exception = "Discrepancy"
    reason = "the fused kernel overflows"
    link = "https://example.org/issues/7"
    expires = 2027-01-31
"""

from __future__ import annotations

import datetime as dt
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import ConfigError, PluginError
from lmkernel.settings.file import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lmkernel.plugins import BackendSpec
    from lmkernel_conformance.manifest import Key

__all__ = ["KnownFailure", "known_failures", "read_known_failures"]

FILE_NAME = "lmkernel_known_failures.toml"
_TEXTS = ("case", "exception", "reason", "link")


@final
@dataclass(frozen=True, kw_only=True)
class KnownFailure:
    """One entry of the file.

    Args:
        case: the case, as ``level/name``.
        exception: the class of the exception: ``Discrepancy``, ``Crashed``, ``Hung``, or another.
        reason: the reason for the failure.
        link: the address where it is followed up.
        expires: the last day of the entry, in ISO 8601.
        dtype: the dtype in which the case fails; empty if it fails in all of them.
    """

    case: str
    exception: str
    reason: str
    link: str
    expires: str
    dtype: str = ""

    def matches(self, case: str, dtype: str) -> bool:
        """Whether the entry covers this case in this dtype."""
        return case == self.case and self.dtype in ("", dtype)

    def has_expired(self, today: str) -> bool:
        """Whether the last day is before ``today``, in ISO 8601."""
        return today > self.expires

    def matches_none(self, keys: Iterable[Key]) -> bool:
        """Whether the entry covers none of the keys."""
        return not any(self.matches(key.case, key.dtype) for key in keys)

    def __str__(self) -> str:
        return f"{self.case}[{self.dtype}]" if self.dtype else self.case


def known_failures(spec: BackendSpec) -> tuple[KnownFailure, ...]:
    """The known failures of a backend; none if its package has no such file."""
    found = importlib.util.find_spec(spec.load.partition(":")[0].partition(".")[0])
    places = (found.submodule_search_locations or ()) if found is not None else ()
    files = [Path(place) / FILE_NAME for place in places]
    return tuple(entry for file in files if file.exists() for entry in read_known_failures(file))


def read_known_failures(path: Path) -> list[KnownFailure]:
    """Read the entries of a file.

    Raises:
        PluginError: the file is not TOML, or an entry lacks a member or has an unknown one.
    """
    try:
        table, _ = load_settings(path)
    except ConfigError as error:
        raise PluginError(str(error)) from error
    entries = table.get("failure", [])
    if set(table) - {"failure"} or not isinstance(entries, list):
        raise PluginError(f"{path}: expected [[failure]] and nothing else")
    return [_entry(f"{path}, failure {i}", entry) for i, entry in enumerate(entries, 1)]


def _entry(where: str, entry: Any) -> KnownFailure:
    if not isinstance(entry, dict):
        raise PluginError(f"{where}: expected a table, got {entry!r}")
    wanted = {*_TEXTS, "expires"}
    missing, unknown = wanted - set(entry), set(entry) - wanted - {"dtype"}
    if missing or unknown:
        faults = [f"lacks {', '.join(sorted(missing))}"] if missing else []
        faults += [f"has the unknown {', '.join(sorted(unknown))}"] if unknown else []
        raise PluginError(f"{where} {' and '.join(faults)}")
    for name in (*_TEXTS, "dtype"):
        if not isinstance(entry.get(name, ""), str) or (name in _TEXTS and not entry[name]):
            raise PluginError(f"{where}: expected {name} as text, got {entry[name]!r}")
    day = entry["expires"]
    if type(day) is not dt.date:
        raise PluginError(f"{where}: expected expires as a date such as 2027-01-31, got {day!r}")
    return KnownFailure(**{**entry, "expires": day.isoformat()})
