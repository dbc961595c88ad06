"""What a certificate covers of each design: levels of factors, and the combinations that passed."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING, Any

from lmkernel_conformance.designs import DESIGNS, read_rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel_conformance.designs import Design, Row
    from lmkernel_conformance.manifest import Manifest

__all__ = ["covered"]

_WORDS = (
    "Each row of a design is a case: arguments lie in memory as views, extents are those at which "
    "kernels change, options stand together. Every two levels of two factors meet in some row, and "
    "every three of the factors that are named so. Counted are the rows whose value passed."
)


def covered(certificate: Mapping[str, Any], manifest: Manifest) -> str:
    """The section of the page that says it; empty where no row of a design was run.

    Args:
        certificate: the certificate.
        manifest: the suite's own, which says of which design a case is.
    """
    rows = {name: read_rows(design) for name, design in DESIGNS.items()}
    passed: dict[str, dict[str, Row]] = {name: {} for name in DESIGNS}
    ran = dict.fromkeys(DESIGNS, 0)
    for row in certificate["cases"]:
        about = manifest.cases.get(row["case"], {})
        if "design" in about:
            ran[about["design"]] += 1
            if row["state"] == "passed" and not row["case"].endswith(".gradient"):
                number = int(row["case"].rpartition(".")[2])
                passed[about["design"]][row["case"]] = rows[about["design"]][number]
    parts = [_design(DESIGNS[name], passed[name], ran[name]) for name in DESIGNS if ran[name]]
    if not parts:
        return ""
    return f"<section><h2>What was covered</h2><p>{_WORDS}</p>{''.join(parts)}</section>"


def _design(design: Design, passed: Mapping[str, Row], ran: int) -> str:
    wanted = sum(1 for _ in design.combinations())
    met = wanted - len(design.uncovered(list(passed.values())))
    factors = "".join(
        f"<tr><th>{_e(name)}</th><td>{_e(', '.join(map(str, levels)))}</td></tr>"
        for name, levels in design.factors.items()
    )
    close = f"; every three of {', '.join(design.triples)}" if design.triples else ""
    return (
        f"<details><summary>{_e(design.name)}: {met} of {wanted} combinations, in {len(passed)} "
        f"rows and {ran} runs</summary><p>Every two levels{_e(close)}.</p>"
        f"<table>{factors}</table></details>"
    )


def _e(value: object) -> str:
    return html.escape(str(value))
