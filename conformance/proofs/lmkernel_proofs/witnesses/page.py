"""Makes the tables of docs/oracle.md from the points and operations that are registered.

``python -m lmkernel_proofs.witnesses.page FILE`` writes them between the marks of a file.
"""

from __future__ import annotations

import sys
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from lmkernel_proofs.witnesses.operations import OPERATIONS
from lmkernel_proofs.witnesses.table import functions, witnesses

if TYPE_CHECKING:
    from lmkernel_proofs.witnesses.table import Witness

__all__ = ["BEGIN", "END", "fill_page"]

BEGIN = "<!-- Made by python -m lmkernel_proofs.witnesses.page: -->"
END = "<!-- end -->"


def tables() -> str:
    """The table of formulas with their witnesses, and that of operations with their formulas."""
    return f"{_formulas()}\n\n{_operations()}"


def _formulas() -> str:
    rows, found = ["| formula | witnesses |", "|---|---|"], witnesses()
    for name in functions():
        own = [witness for witness in found if witness.of == name]
        kinds = [_list_ways(kind, list(group)) for kind, group in groupby(own, lambda w: w.kind)]
        rows.append(f"| `{name.removeprefix('arithmetic.')}` | {'; '.join(kinds)} |")
    return "\n".join(rows)


def _list_ways(kind: str, found: list[Witness]) -> str:
    """The kind of witness in bold, then each way that it takes, once."""
    ways = dict.fromkeys(witness.how for witness in found)
    return f"**{kind}**: " + ", or ".join(way.replace("|", "\\|") for way in ways)


def _operations() -> str:
    rows = ["| operation | judged by |", "|---|---|"]
    known = set(functions())
    for name, by in sorted(OPERATIONS.items()):
        shown = f"`{by.removeprefix('arithmetic.')}`" if by in known else by
        rows.append(f"| `{name}` | {shown} |")
    return "\n".join(rows)


def fill_page(text: str) -> str:
    """Put the tables between the marks of a page."""
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return f"{head}{BEGIN}\n\n{tables()}\n\n{END}{tail}"


if __name__ == "__main__":
    file = Path(sys.argv[1])
    file.write_text(fill_page(file.read_text(encoding="utf-8")), encoding="utf-8")
