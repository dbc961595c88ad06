"""A verification as a page, as JUnit XML and as Markdown."""

from __future__ import annotations

import math
from html import escape
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from lmkernel.verification.document import is_outside

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["html_page", "junit_xml", "markdown"]

_LEFT, _WIDTH, _ROW, _LOWEST, _HIGHEST = 320, 900, 22, -3.0, 3.0
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem;
  color: #1d2327; background: #fff; }
h1 { font-size: 1.4rem; } .pill { border-radius: 1em; padding: .1em .7em; color: #fff; }
.right { background: #2e7d4f; } .wrong { background: #b3382c; }
table { border-collapse: collapse; width: 100%; } td, th { text-align: left; padding: .2em .6em;
  border-bottom: 1px solid #ddd; } svg { width: 100%; height: auto; }
svg text { font: 12px system-ui; fill: currentColor; } .ok { fill: #2e7d4f; }
.bad { fill: #b3382c; } .edge { stroke: #1d2327; }
.grid { stroke: #ddd; }
@media (prefers-color-scheme: dark) { body { color: #e3e6e8; background: #17191b; }
  td, th { border-color: #3a3f44; } .grid { stroke: #3a3f44; } .edge { stroke: #e3e6e8; } }
"""


def html_page(
    document: Mapping[str, Any], places: Sequence[Mapping[str, Any]], notes: Sequence[str]
) -> str:
    """One HTML file without scripts and without external resources."""
    word = "right" if document["passed"] else "wrong"
    title = f"{document['subject']['name']} on {document['checkpoint']['name']}"
    facts = "".join(f"<p>{escape(note)}</p>" for note in notes if note)
    head = "".join(f"<th>{name}</th>" for name in ("place", "question", "error", "share"))
    rows = "".join(
        f"<tr><td>{escape(p['activation'])}</td><td>{escape(p['question'])}</td>"
        f"<td>{_error(p)}</td><td>{_share(p)}</td></tr>"
        for p in places
    )
    guards = "".join(
        f"<tr><td>{escape(g['name'])}</td><td>{escape(g['state'])}</td>"
        f"<td>{escape(g['text'])}</td></tr>"
        for g in document["guards"]
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}: {word}</title>\n<style>{_STYLE}</style></head>\n<body>"
        f'<h1>{escape(title)} <span class="pill {word}">{word}</span></h1>\n{facts}\n'
        f"{_chart(places)}\n<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>\n"
        f"<h2>Guards</h2><table><tbody>{guards}</tbody></table></body></html>\n"
    )


def _chart(places: Sequence[Mapping[str, Any]]) -> str:
    """The share of the budget by place, on a logarithmic axis."""
    bottom = 24 + _ROW * len(places)
    parts = []
    for power in range(int(_LOWEST), int(_HIGHEST) + 1):
        x, kind = _x(10.0**power), "edge" if power == 0 else "grid"
        parts.append(f'<line class="{kind}" x1="{x:.0f}" x2="{x:.0f}" y1="20" y2="{bottom}"/>')
        label = "the budget" if power == 0 else f"{10.0**power:g}"
        parts.append(f'<text x="{x:.0f}" y="14" text-anchor="middle">{label}</text>')
    for i, place in enumerate(places):
        y, x = 24 + _ROW * i, _x(math.inf if place["share"] is None else place["share"])
        name = escape(f"{place['activation']} · {place['question']}")
        kind = "bad" if is_outside(place) else "ok"
        parts.append(f'<text x="{_LEFT - 10}" y="{y + 15}" text-anchor="end">{name}</text>')
        bar = f'x="{_LEFT}" y="{y + 4}" width="{max(x - _LEFT, 1):.0f}" height="{_ROW - 8}"'
        parts.append(f'<rect class="{kind}" {bar}><title>{_share(place)}</title></rect>')
    label = "Share of the budget by place"
    size = f"0 0 {_WIDTH + 40} {bottom + 8}"
    return f'<svg viewBox="{size}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _x(share: float) -> float:
    power = math.log10(share) if 0 < share < math.inf else (_HIGHEST if share else _LOWEST)
    part = (min(max(power, _LOWEST), _HIGHEST) - _LOWEST) / (_HIGHEST - _LOWEST)
    return _LEFT + part * (_WIDTH - _LEFT)


def junit_xml(document: Mapping[str, Any]) -> str:
    """A suite of places and one of guards; what is outside its budget fails."""
    name = f"{document['subject']['name']} on {document['checkpoint']['name']}"
    root = ET.Element("testsuites", name=_printable(name))
    places, guards = document["places"], document["guards"]
    bad = sum(map(is_outside, places))
    suite = ET.SubElement(
        root, "testsuite", name="places", tests=str(len(places)), failures=str(bad), errors="0"
    )
    for place in places:
        label = f"{place['activation']} [{place['question']}, {place['row']}]"
        case = ET.SubElement(suite, "testcase", classname="places", name=_printable(label))
        if is_outside(place):
            ET.SubElement(case, "failure", message=f"{_share(place)} of its budget")
    wrong = sum(g["state"] == "problem" for g in guards)
    suite = ET.SubElement(
        root, "testsuite", name="guards", tests=str(len(guards)), failures=str(wrong), errors="0"
    )
    for guard in guards:
        case = ET.SubElement(suite, "testcase", classname="guards", name=guard["name"])
        if guard["state"] == "problem":
            ET.SubElement(case, "failure", message=_printable(guard["text"]))
        else:
            ET.SubElement(case, "system-out").text = _printable(guard["text"])
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def markdown(
    document: Mapping[str, Any], places: Sequence[Mapping[str, Any]], notes: Sequence[str]
) -> str:
    """A block to paste into a pull request."""
    mark = "✅" if document["passed"] else "❌"
    rows = "\n".join(
        f"| {_cell(p['activation'])} | {_cell(p['question'])} | {_error(p)} | {_share(p)} |"
        for p in places
    )
    said = "\n".join(f"- {note}" for note in notes[:-1] if note)
    return (
        f"### {mark} {document['subject']['name']} on {document['checkpoint']['name']}\n\n"
        f"{document['verdict']}\n\n"
        "<details><summary>place by place</summary>\n\n"
        "| place | question | error | share of the budget |\n|---|---|---|---|\n"
        f"{rows}\n\n{said}\n\n</details>\n"
    )


def _cell(text: str) -> str:
    return _printable(text).replace("|", "\\|")


def _share(place: Mapping[str, Any]) -> str:
    return "no number" if place["share"] is None else f"{place['share']:.1%}"


def _error(place: Mapping[str, Any]) -> str:
    return "no number" if place["error"] is None else f"{place['error']:.2e}"


def _printable(text: str) -> str:
    """Without control characters, which XML does not allow."""
    return "".join(c if c.isprintable() else " " for c in text)
