"""Keeps verdicts in a file as they come, so that a self-test that was stopped goes on.

Constraint: verdicts hold for the sources that they were found with. The file begins with a digest
of these, and one of other sources is refused rather than used or overwritten.
"""

from __future__ import annotations

import hashlib
import importlib.util
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import InputError
from lmkernel_proofs.selftest.bases import Run
from lmkernel_proofs.selftest.handwritten import Failure, Judgement
from lmkernel_proofs.selftest.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import BinaryIO

    from lmkernel_proofs.mutants import Mutant

__all__ = ["Kept"]

_PACKAGES = ("lmkernel", "lmkernel_numpy", "lmkernel_conformance", "lmkernel_proofs")
_KINDS = (".py", ".toml", ".json", ".npz")


@final
class Kept:
    """What is known of mutants from an earlier run, and what is added to it.

    Args:
        path: file of JSON lines, made where it is not there yet; None keeps nothing.
        full: whether slow cases run for every mutant: verdicts of the two kinds do not mix.

    Raises:
        InputError: the file holds something else, or verdicts of other sources.
    """

    def __init__(self, path: Path | None, *, full: bool) -> None:
        self._file: BinaryIO | None = None
        self._known: dict[str, dict[str, Any]] = {}
        if path is None:
            return
        head = {"self-test": 1, "full": full, "sources": _sources()}
        try:
            before = path.read_bytes() if path.exists() else b""
            whole = self._whole(path, before, head)
            # What was being written when a run stopped has no end of a line, and is written anew.
            file = self._file = path.open("r+b" if before else "xb")
            file.truncate(file.seek(len(whole)))
        except OSError as error:
            raise InputError(f"{path}: {error.strerror}") from error
        if not whole:
            self._write(head)

    def _whole(self, path: Path, before: bytes, head: Mapping[str, Any]) -> bytes:
        """The lines of a file that end, after a look at the first; notes the verdicts in them."""
        if not before:
            return b""
        whole = before[: before.rfind(b"\n") + 1]
        first, *others = map(_record, (whole or before).splitlines())
        if first != head:
            what = "those of other sources or --full" if "self-test" in first else "something else"
            raise InputError(
                f"{path}: expected verdicts of a self-test of these sources, got {what}; name "
                "another file, or remove it to begin anew"
            )
        self._known = {record["id"]: record for record in others}
        return whole

    def judgement(self, mutant: Mutant) -> Judgement | None:
        """What was found of a handwritten mutant, or None."""
        if (known := self._known.get(mutant.id)) is None:
            return None
        failures = (Failure(**{**f, "run": Run(*f["run"])}) for f in known["failures"])
        found = {name: known[name] for name in ("ran", "seconds", "trouble")}
        return Judgement(mutant, tuple(failures), **found)

    def verdict(self, name: str) -> Verdict | None:
        """What was found of a mechanical mutant, or None."""
        if (known := self._known.get(name)) is None:
            return None
        return Verdict(**{**known, "by": known["by"] and Run(*known["by"])})

    def keep(self, found: Judgement | Verdict) -> None:
        """Add one to the file at once."""
        if isinstance(found, Judgement):
            failures = [asdict(failure) for failure in found.failures]
            about = {"ran": found.ran, "seconds": found.seconds, "trouble": found.trouble}
            self._write({"id": found.mutant.id, "failures": failures, **about})
        else:
            self._write(asdict(found))

    def _write(self, record: Mapping[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(record).encode() + b"\n")
            self._file.flush()

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _record(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _sources() -> str:
    """A digest of everything that a verdict depends on, but for the installed libraries."""
    digest = hashlib.sha256()
    for package in _PACKAGES:
        spec = importlib.util.find_spec(package)
        for folder in map(Path, (spec and spec.submodule_search_locations) or ()):
            for path in sorted(p for p in folder.rglob("*") if p.suffix in _KINDS):
                digest.update(f"{package}/{path.relative_to(folder)}".encode())
                digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()
