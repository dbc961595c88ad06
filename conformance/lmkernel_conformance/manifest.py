"""The manifest: which cases must run, in which dtypes, for which profile.

Constraints: it is a file of the package, generated from the cases. A certification reads the file,
not the cases, so that a case that was renamed or removed is reported as missing. A test fails when
the two differ; ``python -m lmkernel_conformance.manifest`` writes the file again.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from lmkernel_conformance.canonical import HASH, read_hashed, with_hash
from lmkernel_conformance.designs.design import FILE as ROWS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lmkernel_conformance.cases import Case

__all__ = ["FILE", "Key", "Manifest", "generate", "read_manifest"]

FILE = Path(__file__).with_name("manifest.json")
_SMOKE_SHARE = 12
_SMOKE_LEAST = 3
_SLOW = (
    "curve.",
    "design.",
    "law.compiled",
    "law.packed",
    "trainer.",
    "overrides.values",
    "batch.operations",
    "programs",
    "cross_entropy.large_vocabulary",
)
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
    """The key of a result: ``level/name`` of a case, and a dtype."""

    case: str
    dtype: str

    def __str__(self) -> str:
        return f"{self.case}[{self.dtype}]"


@final
@dataclass(frozen=True)
class Manifest:
    """The manifest of a suite.

    Args:
        content: the JSON object in the file.
    """

    content: Mapping[str, Any]

    @property
    def hash(self) -> str:
        """The hash that names this version of the manifest."""
        return str(self.content[HASH])

    @property
    def cases(self) -> dict[str, dict[str, Any]]:
        """The entry of each case, by ``level/name``."""
        found: dict[str, dict[str, Any]] = self.content["cases"]
        return found

    def required_keys(self, profile: str, declared: Iterable[str]) -> list[Key]:
        """Everything that must run, level by level.

        Args:
            profile: one of `lmkernel_conformance.levels.PROFILES`.
            declared: the floating dtypes that the backend declares.
        """
        there = set(declared)
        return [
            Key(name, dtype)
            for name, about in self.cases.items()
            if profile in about["profiles"]
            for dtype in about["dtypes"]
            if dtype in there
        ]

    def smoke_keys(self, profile: str) -> list[Key]:
        """The smoke run: some cases of every level, in float32."""
        chosen = self.required_keys(profile, ["float32"])
        return [key for key in chosen if self.cases[key.case]["smoke"]]

    def fresh_keys(self) -> list[Key]:
        """The cases that are run once more with fresh inputs: single operations, in float32."""
        chosen = self.required_keys("inference", ["float32"])
        return [key for key in chosen if self.cases[key.case]["fresh"]]

    def essential(self, case: str) -> bool:
        """Whether a case belongs to attention, gradients, random numbers or checkpoints.

        An unknown case does too, so that a made-up name is not an excuse.
        """
        about = self.cases.get(case)
        return about is None or bool(about["essential"])


def read_manifest(path: Path = FILE) -> Manifest:
    """Read the manifest of this suite.

    Raises:
        CheckpointError: the file is missing or is not JSON.
        ValueError: the content does not match its hash.
    """
    return Manifest(read_hashed(path, _REMAKE))


_REMAKE = "run: python -m lmkernel_conformance.manifest"


def generate() -> dict[str, Any]:
    """Generate the manifest from the cases as they are now."""
    from lmkernel.contract.version import CONTRACT_VERSION
    from lmkernel_conformance.cases import CASES, LEVELS
    from lmkernel_conformance.cases.by_operation import trials_by_operation

    ordered = sorted(CASES.values(), key=lambda entry: (LEVELS.index(entry.level), entry.name))
    smoke = {name for level in LEVELS for name in _smoke(level, ordered)}
    fresh = {t.cases[0].name for found in trials_by_operation().values() for t in found}
    fresh |= {entry.name for entry in ordered if entry.design}
    about = {f"{entry.level}/{entry.name}": _about(entry, smoke, fresh) for entry in ordered}
    designs = hashlib.sha256(ROWS.read_bytes()).hexdigest()
    return with_hash(
        {"format": 1, "contract": CONTRACT_VERSION, "designs": designs, "cases": about}
    )


def _about(entry: Case, smoke: set[str], fresh: set[str]) -> dict[str, Any]:
    from lmkernel_conformance.cases import PROFILES

    return {
        "dtypes": list(entry.dtypes),
        "profiles": [profile for profile in PROFILES if entry.within(profile)],
        "rows": list(entry.rows),
        "essential": entry.training
        or entry.level in ("gradients", "checkpoints")
        or entry.name.startswith(_ESSENTIAL),
        "smoke": f"{entry.level}/{entry.name}" in smoke,
        "fresh": entry.level == "operations" and entry.name in fresh,
        **({"design": entry.design} if entry.design else {}),
    }


def _smoke(level: str, cases: Iterable[Case]) -> list[str]:
    """A share of a level's quick cases."""
    # Picking by hash spreads the choice over all kinds of cases, and adding a case does not
    # reshuffle the others.
    names = [f"{c.level}/{c.name}" for c in cases if c.level == level and _quick(c)]
    count = max(_SMOKE_LEAST, len(names) // _SMOKE_SHARE)
    return sorted(names, key=lambda name: hashlib.sha256(name.encode()).digest())[:count]


def _quick(entry: Case) -> bool:
    return not entry.name.startswith(_SLOW)


def main(path: Path = FILE) -> None:
    """Write the manifest, one case per line, so that a change shows as a line of a diff."""
    content = generate()
    lines = [
        f"    {json.dumps(name)}: {json.dumps(about)}" for name, about in content["cases"].items()
    ]
    head = "".join(
        f"  {json.dumps(name)}: {json.dumps(content[name])},\n"
        for name in ("format", "contract", "designs", HASH)
    )
    body = ",\n".join(lines)
    path.write_text(f'{{\n{head}  "cases": {{\n{body}\n  }}\n}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
