"""The files of a server's certification: the certificate and a page."""

from __future__ import annotations

import html
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from lmkernel.atomic import new_directory, require_writable, sweep
from lmkernel.checkpoints.json_files import write_object
from lmkernel.errors import InputError
from lmkernel_conformance.endpoint.manifest import read_endpoint_manifest
from lmkernel_conformance.endpoint.verdict import counts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["page", "require_place", "write_artifacts"]

_SENTENCES = {
    "certified": "Every case was run, and each is accounted for.",
    "passed in part": "Only a part of the cases was run, and it passed. This is no certificate.",
    "not certified": "The server does not keep to what clients depend on; the reasons are below.",
}


def write_artifacts(certificate: Mapping[str, Any], out: Path) -> None:
    """Write both files; the folder appears whole or not at all, in place of an earlier one."""
    with new_directory(out, overwrite=_ours(out)) as folder:
        write_object(folder / "certificate.json", certificate)
        (folder / "certificate.html").write_text(page(certificate), encoding="utf-8")


def require_place(out: Path) -> None:
    """Whether the files can be put there.

    Raises:
        InputError: the folder holds anything else, or cannot be written.
    """
    sweep(out.absolute().parent)
    if out.exists() and not _ours(out):
        raise InputError(f"{out}: expected no folder, an empty one, or an earlier certification's")
    require_writable(out, InputError)


def _ours(out: Path) -> bool:
    names = {"certificate.json", "certificate.html"}
    return out.is_dir() and {file.name for file in out.iterdir()} <= names


def page(certificate: Mapping[str, Any]) -> str:
    """The certificate as one HTML file, without scripts and without external resources."""
    endpoint, verdict = certificate["endpoint"], certificate["verdict"]
    style = files("lmkernel_conformance.certificate").joinpath("page.css").read_text("utf-8")
    pairs = {
        "address": endpoint["url"],
        "model": endpoint["model"],
        "model of vectors": endpoint["embed_model"],
        "model of speech": endpoint["speech_model"] or "none",
        "software": endpoint["software"],
        "run": certificate["selection"],
        "issued": certificate["issued"],
        "suite": f"lmkernel {certificate['suite']}",
        "manifest": certificate["manifest"],
        "content": certificate["sha256"],
    }
    facts = "".join(f"<div><dt>{_e(k)}</dt><dd>{_e(v)}</dd></div>" for k, v in pairs.items())
    categories = [(name, *numbers) for name, numbers in counts(certificate).items()]
    asks = read_endpoint_manifest()["cases"]
    rows = [
        (
            row["case"],
            asks.get(row["case"], {}).get("asks", ""),
            row["state"],
            row.get("message", ""),
        )
        for row in certificate["cases"]
    ]
    bad = [row for row in rows if row[2] == "failed"]
    kind = verdict.replace(" ", "-")
    head = (
        f'<header class="{kind}"><p class="what">Conformance of a server</p>'
        f'<h1>{_e(endpoint["model"])} <span class="pill">{_e(verdict)}</span></h1>'
        f"<p>{_e(_SENTENCES[verdict])}</p></header>"
    )
    body = [
        head,
        f'<dl class="facts">{facts}</dl>',
        _section("Why not", ("case", "what it asks", "state", "what came"), bad) if bad else "",
        _section("Categories", ("category", "passed", "unsupported", "failed"), categories),
        _section("All cases", ("case", "what it asks", "state", "what came"), rows),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_e(endpoint['model'])}: {_e(verdict)}</title>\n<style>\n{style}</style></head>\n"
        f"<body><main>\n{chr(10).join(part for part in body if part)}\n</main></body></html>\n"
    )


def _section(title: str, head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    lines = "".join(_row("td", row) for row in rows)
    return f"<section><h2>{_e(title)}</h2><table>{_row('th', head)}{lines}</table></section>"


def _row(tag: str, cells: Iterable[object]) -> str:
    return f"<tr>{''.join(f'<{tag}>{_e(cell)}</{tag}>' for cell in cells)}</tr>"


def _e(value: object) -> str:
    return html.escape(str(value))
