"""Fuzz by hand: ``python -m fuzzing FORMAT FIRST COUNT``, in ``core/tests/support``.

Prints each kind of fault once, and writes its input to the folder in ``LMKERNEL_FUZZ_FOUND``.
"""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

from fuzzing.session import NAMES, Session


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def main() -> None:
    wanted, first, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    out = os.environ.get("LMKERNEL_FUZZ_FOUND")
    for name in NAMES if wanted == "all" else [wanted]:
        seen: set[str] = set()
        with Session() as session:
            for fault in session.answers(name, range(first, first + count)):
                if fault["end"] != "fault":
                    continue
                kind = re.sub(r"\d+|'[^']*'", "", fault["words"])[:90]
                if kind in seen:
                    continue
                seen.add(kind)
                say(f"{name} {fault['number']}: {fault['words'][:400]}")
                if out:
                    path = Path(out) / f"{name} {fault['number']}.json"
                    path.write_text(json.dumps(fault), encoding="utf-8")
        say(f"{name}: {count} inputs, {len(seen)} kinds of faults")


if __name__ == "__main__":
    main()
