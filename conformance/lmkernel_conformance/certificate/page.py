"""The certificate as a page: one HTML file without scripts and without external resources."""

from __future__ import annotations

import html
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from lmkernel_conformance.budget import CLASSES
from lmkernel_conformance.certificate.causes import group_failures
from lmkernel_conformance.certificate.chart import chart
from lmkernel_conformance.certificate.covered import covered
from lmkernel_conformance.certificate.failures import (
    failed_rows,
    hints,
    other_reasons,
    reproducing,
)
from lmkernel_conformance.certificate.states import GOOD
from lmkernel_conformance.certificate.summary import worst_shares
from lmkernel_conformance.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lmkernel_conformance.certificate.causes import Row

__all__ = ["page"]

_TIGHTEST = 15
_MANY_ULPS = 1e6
_NUMBERS = ("passed", "excused", "failed", "error in ulp")
_CLASSES = (
    "Sensitive: terms cancel or a function is steep. Zero: below the smallest normal number. "
    "Large: within a thousandth of the largest of its array. Small: the rest."
)
_SENTENCES = {
    "certified": "Every case that the profile asks for was run, and each is accounted for.",
    "passed in part": "Only a part of the suite was run, and it passed. This is no certificate.",
    "not certified": "The backend does not fulfil the profile; the reasons are below.",
}


def page(certificate: Mapping[str, Any]) -> str:
    """The whole page.

    Args:
        certificate: the certificate.
    """
    name = certificate["backend"]["name"]
    style = files(__package__).joinpath("page.css").read_text(encoding="utf-8")
    body = [_head(certificate), _facts(certificate), _reasons(certificate)]
    body += _results(certificate) if certificate["cases"] else []
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_e(name)}: {_e(certificate['verdict'])}</title>\n"
        f"<style>\n{style}</style></head>\n"
        f"<body><main>\n{chr(10).join(part for part in body if part)}\n</main></body></html>\n"
    )


def _results(certificate: Mapping[str, Any]) -> list[str]:
    """The sections on what was run."""
    return [
        _levels(certificate),
        _chart(certificate),
        _tightest(certificate),
        covered(certificate, read_manifest()),
        _excused_section(certificate),
        _all_results(certificate),
    ]


def _e(value: object) -> str:
    return html.escape(str(value))


def _head(certificate: Mapping[str, Any]) -> str:
    backend, verdict = certificate["backend"], certificate["verdict"]
    kind = verdict.replace(" ", "-")
    return (
        f'<header class="{kind}"><p class="what">Conformance of a backend</p>'
        f'<h1>{_e(backend["name"])} <span class="pill">{_e(verdict)}</span></h1>'
        f"<p>{_e(_SENTENCES[verdict])}</p></header>"
    )


def _facts(certificate: Mapping[str, Any]) -> str:
    backend = certificate["backend"]
    versions = [f"{name} {version}" for name, version in backend["distributions"].items()]
    fresh = certificate["fresh"]
    pairs = {
        "profile": certificate["profile"],
        "run": certificate["selection"],
        "issued": certificate["issued"],
        "device": backend["device"],
        "versions": ", ".join(versions),
        "precision": f"{', '.join(backend['dtypes'])}; {certificate['precision']}",
        "bitwise": ", ".join(backend["bitwise"]) or "nothing declared",
        "suite": f"lmkernel {certificate['suite']}, contract {certificate['contract']}",
        "fresh inputs": f"{fresh['cases']} cases with the seed {fresh['seed']}",
        "manifest": certificate["manifest"],
        "content": certificate["sha256"],
    }
    items = (f"<div><dt>{_e(name)}</dt><dd>{_e(value)}</dd></div>" for name, value in pairs.items())
    return f'<dl class="facts">{"".join(items)}</dl>'


def _reasons(certificate: Mapping[str, Any]) -> str:
    others, groups = other_reasons(certificate), group_failures(failed_rows(certificate))
    if not others and not groups:
        return ""
    backend = certificate["backend"]["name"]
    items = "".join(f"<li>{_e(why)}</li>" for why in others)
    following = f"<pre>{_e(certificate['next'])}</pre>" if certificate["next"] else ""
    return (
        f'<section><h2>Why not</h2><ul class="why">{items}</ul>{following}'
        f"{''.join(_group(backend, group) for group in groups)}</section>"
    )


def _group(backend: str, group: Sequence[Row]) -> str:
    """Failures of one cause: the telling one, and the others folded beneath it."""
    first, *others = (_failure(backend, row, group) for row in group)
    if not others:
        return first
    words = f"and {len(others)} more, perhaps of this cause"
    return f'{first}<details class="built"><summary>{words}</summary>{"".join(others)}</details>'


def _failure(backend: str, row: Row, group: Sequence[Row]) -> str:
    found = hints(row, group)
    likely = f"<p>Likely: {_e('; or '.join(found))}.</p>" if found else ""
    fresh = f" with the fresh seed {row['seed']}" if "seed" in row else ""
    return (
        f'<article class="failure"><h3>{_e(row["case"])} <small>{_e(row["dtype"])}, '
        f"{_e(row['state'])}{_e(fresh)}</small></h3>"
        f"<p><code>{_e(row.get('message', row['why']))}</code></p>"
        f"{likely}<pre>{_e(reproducing(backend, row))}</pre></article>"
    )


def _levels(certificate: Mapping[str, Any]) -> str:
    lines = []
    for level in dict.fromkeys(row["level"] for row in certificate["cases"]):
        rows = [row for row in certificate["cases"] if row["level"] == level]
        good = sum(row["state"] == "passed" for row in rows)
        excused = sum(row["state"] in GOOD for row in rows) - good
        worst = worst_shares(row for row in rows if row["state"] == "passed")
        cells = [good, excused, len(rows) - good - excused]
        numbers = "".join(f'<td class="number">{n or "–"}</td>' for n in cells)
        bars = "".join(f"<td>{_bar(share) if share else '–'}</td>" for share in worst)
        lines.append(f"<tr><th>{_e(level)}</th>{numbers}{bars}</tr>")
    head = _row("th", ["level", "passed", "excused", "failed", *CLASSES])
    words = f"Largest share of a budget among the elements of each class. {_CLASSES}"
    return f"<section><h2>Levels</h2><p>{words}</p><table>{head}{''.join(lines)}</table></section>"


def _bar(share: float) -> str:
    width = f"{100 * min(share, 1.0):.1f}%"
    return f'<span class="bar"><span style="width:{width}"></span></span> {share:.0%}'


def _row(tag: str, cells: Iterable[object]) -> str:
    return f"<tr>{''.join(f'<{tag}{_kind(tag, cell)}>{_e(cell)}</{tag}>' for cell in cells)}</tr>"


def _kind(tag: str, cell: object) -> str:
    """The class that aligns the head of a numeric column with its numbers."""
    return ' class="number"' if tag == "th" and cell in _NUMBERS else ""


def _chart(certificate: Mapping[str, Any]) -> str:
    levels = list(dict.fromkeys(row["level"] for row in certificate["cases"]))
    used = {row["dtype"]: None for row in certificate["cases"]}
    keys = "".join(f'<span class="key {_e(d)}">{_e(d)}</span>' for d in used)
    words = (
        "Each dot is a case, at its worst element. The budget of an element is four times the "
        "largest error that honest NumPy implementations make at it in the same precision, plus "
        "four of its units in the last place."
    )
    drawn = chart(certificate["cases"], levels)
    return f"<section><h2>Use of the budgets</h2><p>{words}</p><p>{keys}</p>{drawn}</section>"


def _tightest(certificate: Mapping[str, Any]) -> str:
    passed = [row for row in certificate["cases"] if row["state"] == "passed" and row["share"] > 0]
    chosen = sorted(passed, key=lambda row: (-row["share"], row["case"], row["dtype"]))[:_TIGHTEST]
    lines = (
        f"<tr><td>{_e(row['case'])}</td><td>{_e(row['dtype'])}</td>"
        f'<td class="number">{_ulps(row["ulps"])}</td><td>{_bar(row["share"])}</td></tr>'
        for row in chosen
    )
    head = _row("th", ["case", "dtype", "error in ulp", "share of its budget"])
    return f"<section><h2>The tightest cases</h2><table>{head}{''.join(lines)}</table></section>"


def _ulps(ulps: float | None) -> str:
    """An error in ulps; next to an exact result of zero a number of ulps would say nothing."""
    return f"{ulps:.3g}" if ulps is not None and ulps < _MANY_ULPS else "near zero"


def _excused_section(certificate: Mapping[str, Any]) -> str:
    rows = [
        row for row in certificate["cases"] if row["state"] in GOOD and row["state"] != "passed"
    ]
    if not rows:
        return ""
    lines = (_row("td", [r["case"], r["dtype"], r["state"], r.get("message", "")]) for r in rows)
    head = _row("th", ["case", "dtype", "state", "what the backend said"])
    return f"<section><h2>Excused</h2><table>{head}{''.join(lines)}</table></section>"


def _all_results(certificate: Mapping[str, Any]) -> str:
    rows = certificate["cases"]
    lines = (_row("td", [r["case"], r["dtype"], r["state"], *_percents(r)]) for r in rows)
    head = _row("th", ["case", "dtype", "state", *CLASSES])
    return (
        f"<details><summary>All {len(rows)} results</summary>"
        f"<table>{head}{''.join(lines)}</table></details>"
    )


def _percents(row: Mapping[str, Any]) -> list[str]:
    shares = [row["shares"].get(name, 0.0) for name in CLASSES]
    return ["outside" if x is None or x > 1 else f"{x:.2%}" if x else "–" for x in shares]
