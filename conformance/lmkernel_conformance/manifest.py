"""The manifest: which cases must run, in which dtypes, for which profile.

Constraints: it is a file of the package, made from the cases; what is certified is read from the
file, so that a case which was renamed or is gone is missed. A test says when to make it anew:
``python -m lmkernel_conformance.manifest``.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from lmkernel.checkpoints.documents import read_object
from lmkernel_conformance.canonical import HASH, fingerprint, sealed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lmkernel_conformance.cases import Case

__all__ = ["FILE", "Key", "Manifest", "generate", "read_manifest"]

FILE = Path(__file__).with_name("manifest.json")
_SMOKE_SHARE = 5
_SMOKE_LEAST = 3
_SLOW = ("curve.", "law.compiled", "trainer.", "programs", "cross_entropy.large_vocabulary")
_ESSENTIAL = (
    "attention",
    "cache",
    "compiled.attention",
    "dropout",
    "initial",
    "kind.attention",
    "law.attention",
    "narrow.attention",
    "random",
    "sampling",
)


@final
@dataclass(frozen=True, order=True)
class Key:
    """What a result belongs to: ``level/name`` of a case, and a dtype."""

    case: str
    dtype: str

    def __str__(self) -> str:
        return f"{self.case}[{self.dtype}]"


@final
@dataclass(frozen=True)
class Manifest:
    """The manifest, read.

    Args:
        document: what the file holds.
    """

    document: Mapping[str, Any]

    @property
    def hash(self) -> str:
        """Names this version of it."""
        return str(self.document[HASH])

    @property
    def cases(self) -> dict[str, dict[str, Any]]:
        """What is said of each case, by ``level/name``."""
        found: dict[str, dict[str, Any]] = self.document["cases"]
        return found

    def required(self, profile: str, declared: Iterable[str]) -> list[Key]:
        """All that must run, level by level.

        Args:
            profile: one of `lmkernel_conformance.cases.PROFILES`.
            declared: floating dtypes that the backend declares.
        """
        there = set(declared)
        return [
            Key(name, dtype)
            for name, about in self.cases.items()
            if profile in about["profiles"]
            for dtype in about["dtypes"]
            if dtype in there
        ]

    def smoke(self, profile: str) -> list[Key]:
        """Some of it, from every level, in float32."""
        chosen = self.required(profile, ["float32"])
        return [key for key in chosen if self.cases[key.case]["smoke"]]

    def fresh(self) -> list[Key]:
        """Cases of single operations that hold for any inputs, in float32."""
        chosen = self.required("inference", ["float32"])
        return [key for key in chosen if self.cases[key.case]["fresh"]]

    def essential(self, case: str) -> bool:
        """Whether it belongs to attention, gradients, random numbers or checkpoints."""
        about = self.cases.get(case)
        return about is None or bool(about["essential"])


def read_manifest(path: Path = FILE) -> Manifest:
    """The manifest of this suite.

    Raises:
        CheckpointError: the file is missing or is not JSON.
        ValueError: it is not what its hash says.
    """
    document = read_object(path, required=True)
    if document.get(HASH) != fingerprint(document):
        raise ValueError(f"{path}: the content does not fit its hash; {_REMAKE}")
    return Manifest(document)


_REMAKE = "run: python -m lmkernel_conformance.manifest"


def generate() -> dict[str, Any]:
    """The manifest of the cases as they are."""
    from lmkernel.contract.version import CONTRACT_VERSION
    from lmkernel_conformance.cases import CASES, LEVELS
    from lmkernel_conformance.cases.tried import trials

    ordered = sorted(CASES.values(), key=lambda made: (LEVELS.index(made.level), made.name))
    smoke = {name for level in LEVELS for name in _smoke(level, ordered)}
    fresh = {t.cases[0].name for found in trials().values() for t in found}
    about = {f"{made.level}/{made.name}": _about(made, smoke, fresh) for made in ordered}
    return sealed({"format": 1, "contract": CONTRACT_VERSION, "cases": about})


def _about(made: Case, smoke: set[str], fresh: set[str]) -> dict[str, Any]:
    from lmkernel_conformance.cases import PROFILES

    return {
        "dtypes": list(made.dtypes),
        "profiles": [profile for profile in PROFILES if made.within(profile)],
        "rows": list(made.rows),
        "essential": made.training
        or made.level in ("gradients", "checkpoints")
        or made.name.startswith(_ESSENTIAL),
        "smoke": f"{made.level}/{made.name}" in smoke,
        "fresh": made.level == "operations" and made.name in fresh,
    }


def _smoke(level: str, cases: Iterable[Case]) -> list[str]:
    """A share of a level's quick cases, in an order that nobody chose."""
    names = [f"{c.level}/{c.name}" for c in cases if c.level == level and _quick(c)]
    count = max(_SMOKE_LEAST, len(names) // _SMOKE_SHARE)
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[:count]


def _quick(made: Case) -> bool:
    return not made.name.startswith(_SLOW)


def main(path: Path = FILE) -> None:
    """Write the manifest anew, a case a line."""
    document = generate()
    lines = [
        f"    {json.dumps(name)}: {json.dumps(about)}" for name, about in document["cases"].items()
    ]
    head = "".join(
        f"  {json.dumps(name)}: {json.dumps(document[name])},\n"
        for name in ("format", "contract", HASH)
    )
    body = ",\n".join(lines)
    path.write_text(f'{{\n{head}  "cases": {{\n{body}\n  }}\n}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
