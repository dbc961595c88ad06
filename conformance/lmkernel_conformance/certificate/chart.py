"""The chart of a certificate: each case's share of its budget as a dot, a row for each level.

Constraint: it is inline SVG without scripts or external resources; colours come from the page.
"""

from __future__ import annotations

import hashlib
import html
import math
from typing import TYPE_CHECKING, Any

from lmkernel_conformance.certificate.states import GOOD

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["chart"]

_LEFT, _RIGHT, _TOP, _ROW = 110, 44, 28, 46
_WIDTH = 860
_LOWEST = -4.0
"""The decimal logarithm of the share at the left edge; smaller shares are drawn there too."""


def chart(rows: Sequence[Mapping[str, Any]], levels: Sequence[str]) -> str:
    """The shares on a logarithmic axis; the budget's end is the line at the right.

    Args:
        rows: the rows of a certificate.
        levels: the levels in their order, each with at least one row.
    """
    bottom = _TOP + _ROW * len(levels)
    parts = [_axis(bottom)]
    for i, level in enumerate(levels):
        y = _TOP + _ROW * i + _ROW / 2
        own = [row for row in rows if row["level"] == level]
        parts.append(_lane(level, y, own))
    label = "Share of the budget that each case used, by level"
    return (
        f'<svg class="chart" viewBox="0 0 {_WIDTH} {bottom + 34}" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg>"
    )


def _axis(bottom: float) -> str:
    lines = []
    for power in range(int(_LOWEST), 1):
        x = _x(10.0**power)
        kind = "edge" if power == 0 else "grid"
        text = f"{10.0**power:.{max(-power - 2, 0)}%}" if power > _LOWEST else "≤ 0.01%"
        lines.append(f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{_TOP}" y2="{bottom}"/>')
        lines.append(f'<text class="tick" x="{x:.1f}" y="{bottom + 16}">{text}</text>')
    end = _x(1.0)
    lines.append(f'<text class="tick" x="{end:.1f}" y="{_TOP - 10}">the budget</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    words = "share of the allowed error that was used (logarithmic)"
    lines.append(f'<text class="tick" x="{middle}" y="{bottom + 31}">{words}</text>')
    return "".join(lines)


def _lane(level: str, y: float, rows: Sequence[Mapping[str, Any]]) -> str:
    name = f'<text class="lane" x="{_LEFT - 14}" y="{y + 4:.1f}">{html.escape(level)}</text>'
    return name + "".join(_dot(row, y) for row in rows)


def _dot(row: Mapping[str, Any], y: float) -> str:
    share = row["share"]
    known = f"{row['case']}[{row['dtype']}]"
    over = row["state"] not in GOOD
    text = "outside" if share is None else f"{share:.2%}"
    place = _x(1.35 if over and not share else min(share or 0.0, 1.35))
    kind = "bad" if over else row["dtype"]
    # Dots with equal shares would cover each other: a hash of the name moves each up or down, the
    # same way every time.
    shift = (int.from_bytes(hashlib.sha256(known.encode()).digest()[:2], "big") / 65535 - 0.5) * 28
    title = f"<title>{html.escape(known)}: {text}</title>"
    return f'<circle class="{kind}" cx="{place:.1f}" cy="{y + shift:.1f}" r="3">{title}</circle>'


def _x(share: float) -> float:
    power = max(math.log10(share), _LOWEST) if share > 0 else _LOWEST
    return _LEFT + (power - _LOWEST) / -_LOWEST * (_WIDTH - _LEFT - _RIGHT)
