"""Writes docs/broken-ports.md from the corpus in core/tests/support.

``python docs/generate_ports.py`` writes the page; a test compares it with `page`. What it says of
each port is what conformance/real/test_verify_transformers.py and test_verify_http.py demand.
"""
# ruff: noqa: INP001 - a script, not a package

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

_ROOT = Path(__file__).parents[1]
sys.path.append(str(_ROOT / "core" / "tests" / "support"))

from broken_ports import CONFIGS, PORTS, SERVED, why_unseen  # noqa: E402 - the corpus is no package

if TYPE_CHECKING:
    from broken_ports import Served
    from port_breaks import Broken

__all__ = ["page"]

_UNKNOWN, _SHARED = "unknown", "layer 0, or around it"
_HEAD = """<!-- Made by docs/generate_ports.py: change core/tests/support, and run it again. -->
# Broken ports, found

{ports} ports of {models} models, each transformers' own with one defect in it, are verified in the
tests: with all that a subject may give (activations, batches, positions, a cache), and again by
a server of completions that hides everything but the log-probabilities of prompts. It is
started by a command, on the twin and on its first layers.

| | with activations | through HTTP |
|---|---|---|
| asked | {ports} | {asked} |
| found | {ports} | {asked} |
| first place or layer right | {placed} of {placed} that have one | {asked} |
| named rightly | {named} | {named_http} |
| "unknown" | {unknown} | {unknown_http} |
| named wrongly | 0 | 0 |

Through HTTP, layer 0 is one with the embedding, the final norm and the head, since the shortest
checkpoint has all of these. What a server cannot be asked about is said in its place.

| port | model | first place | what it looks like | through HTTP | what it looks like there |
|---|---|---|---|---|---|
"""


def page() -> str:
    """The whole page."""
    served = {one.port.id: one for one in SERVED}
    named = sum(bool(port.looks) for port in PORTS)
    named_http = sum(bool(one.looks) for one in SERVED)
    head = _HEAD.format(
        ports=len(PORTS),
        models=len({str(CONFIGS[port.twin]["model_type"]) for port in PORTS}),
        asked=len(SERVED),
        placed=sum(bool(port.place) for port in PORTS),
        named=named,
        unknown=len(PORTS) - named,
        named_http=named_http,
        unknown_http=len(SERVED) - named_http,
    )
    return head + "\n".join(_row(port, served.get(port.id)) for port in PORTS) + "\n"


def _row(port: Broken, served: Served | None) -> str:
    through = why_unseen(port), ""
    if served is not None:
        place = _SHARED if served.place.startswith("layer 0,") else served.place
        through = place, served.looks or _UNKNOWN
    model = str(CONFIGS[port.twin]["model_type"])
    cells = (port.id, model, port.place or "any", port.looks or _UNKNOWN, *through)
    return f"| {' | '.join(cells)} |"


if __name__ == "__main__":
    (_ROOT / "docs" / "broken-ports.md").write_text(page(), encoding="utf-8")
