"""The manifest of a server's cases: a file of the package, so that no case goes missing unseen.

A test fails when the file and the cases differ;
``python -m lmkernel_conformance.endpoint.manifest`` writes it again.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lmkernel_conformance.canonical import read_hashed, with_hash

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["FILE", "generate", "read_endpoint_manifest"]

FILE = Path(__file__).with_name("manifest.json")
_REMAKE = "run: python -m lmkernel_conformance.endpoint.manifest"


def read_endpoint_manifest(path: Path = FILE) -> Mapping[str, Any]:
    """The manifest.

    Raises:
        CheckpointError: the file is missing or is not JSON.
        ValueError: the content does not match its hash.
    """
    return read_hashed(path, _REMAKE)


def generate() -> dict[str, Any]:
    """The manifest of the cases as they are now."""
    from lmkernel_conformance.endpoint.cases import CASES

    about = {case.key: {"optional": case.optional, "asks": case.sentence} for case in CASES}
    return with_hash({"format": 1, "cases": about})


def main(path: Path = FILE) -> None:
    """Write the manifest."""
    path.write_text(json.dumps(generate(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
