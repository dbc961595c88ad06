"""``python -m lmkernel_conformance.designs``: makes the rows of all designs anew.

It needs covertable (``pip install covertable``). Equal designs give equal rows.
"""

from __future__ import annotations

import importlib
import json
from typing import TYPE_CHECKING, Any

from lmkernel_conformance.designs.design import FILE
from lmkernel_conformance.designs.tables import DESIGNS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lmkernel_conformance.designs.design import Design, Rule


def main(path: Path = FILE) -> None:
    """Write the rows of each design, as numbers of levels."""
    entries = [
        f"  {json.dumps(name)}: {{\n"
        f'    "factors": {json.dumps({k: list(v) for k, v in design.factors.items()})},\n'
        f'    "rows": {json.dumps(_rows(design), separators=(",", ":"))}\n  }}'
        for name, design in DESIGNS.items()
    ]
    path.write_text("{\n" + ",\n".join(entries) + "\n}\n", encoding="utf-8")


def _rows(design: Design) -> list[list[int]]:
    numbers = {name: list(range(len(levels))) for name, levels in design.factors.items()}
    close = [{"fields": list(design.triples), "strength": 3}] if design.triples else []
    constraints = [_constraint(design, rule) for rule in design.rules]
    covertable = importlib.import_module("covertable")
    rows = covertable.make(numbers, strength=2, sub_models=close, constraints=constraints)
    return sorted([row[name] for name in numbers] for row in rows)


def _constraint(design: Design, rule: Rule) -> dict[str, Any]:
    def evaluate(row: Mapping[str, int]) -> bool:
        return rule.holds({name: design.factors[name][row[name]] for name in rule.factors})

    return {"operator": "fn", "requires": list(rule.factors), "evaluate": evaluate}


if __name__ == "__main__":
    main()
