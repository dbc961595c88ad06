"""Runs the cases on a server, and makes the certificate of the run."""

from __future__ import annotations

import contextlib
import datetime as dt
import importlib.metadata
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

from lmkernel.arguments import require_count, require_known, require_number
from lmkernel.errors import InputError
from lmkernel.paths import path_text, user_path
from lmkernel.progress import as_progress
from lmkernel.results import Paint, Result, plain
from lmkernel_conformance.canonical import HASH, with_hash
from lmkernel_conformance.endpoint.artifacts import require_place, write_artifacts
from lmkernel_conformance.endpoint.case import CATEGORIES
from lmkernel_conformance.endpoint.cases import CASES
from lmkernel_conformance.endpoint.manifest import read_endpoint_manifest
from lmkernel_conformance.endpoint.verdict import CERTIFIED, FORMAT, WHOLE, counts, reasons, verdict
from lmkernel_conformance.endpoint.wire import BrokenError, Endpoint, RefusedError

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from lmkernel.progress import ProgressLike
    from lmkernel_conformance.endpoint.case import EndpointCase

__all__ = ["EndpointCertificate", "certify_endpoint", "run_case"]


@final
@dataclass(frozen=True)
class EndpointCertificate(Result):
    """The certificate of a server.

    Args:
        content: what ``certificate.json`` holds.
    """

    content: dict[str, Any]

    @property
    def verdict(self) -> str:
        """``"certified"``, ``"passed in part"`` or ``"not certified"``."""
        return str(self.content["verdict"])

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return self.verdict != "not certified"

    def rows(self) -> list[list[str]]:
        """A row for each category."""
        head = ["category", "passed", "unsupported", "failed"]
        found = counts(self.content)
        return [head, *([name, *map(str, numbers)] for name, numbers in found.items())]

    def notes(self) -> list[str]:
        """The verdict, and the reasons."""
        return [f"{self.content['endpoint']['url']}: {self.verdict}", *self.content["reasons"]]

    def text(self, paint: Paint = plain) -> str:
        """What the command prints."""
        table, notes = super().text(paint), "\n".join(self.notes())
        head = notes.partition("\n")[0]
        colour = "green" if self.verdict == CERTIFIED else "red" if not self.passed else "yellow"
        return table.replace(head, paint(head, colour))

    def json(self) -> dict[str, Any]:
        """The content of ``certificate.json``."""
        return self.content


def certify_endpoint(
    url: str,
    *,
    model: str | None = None,
    embed_model: str | None = None,
    speech_model: str | None = None,
    key: str | None = None,
    categories: Sequence[str] = (),
    limit: float = 60.0,
    flood: int = 256,
    out: str | os.PathLike[str] | None = None,
    progress: ProgressLike = True,
) -> EndpointCertificate:
    """Ask a server every case, and certify it.

    Args:
        url: of its ``/v1``.
        model: that is asked for text; None for the first that it lists.
        embed_model: that is asked for vectors; None for the same.
        speech_model: that is asked what is spoken in a sound; None if there is none.
        key: that it wants to be shown.
        categories: those to run; all if empty.
        limit: seconds for one request.
        flood: so many requests at once are more than it takes.
        out: the folder of certificate and page.
        progress: shown on standard error.

    Raises:
        InputError: no address, no server, or a number that makes no sense.
        UnknownNameError: a category that is none.
    """
    for name in categories:
        require_known("category", name, CATEGORIES)
    require_number("--limit", limit, above=0)
    require_count("--flood", flood)
    place = None if out is None else user_path(path_text(out, "out"))
    if place is not None:
        require_place(place)
    named = (model or "", embed_model or "", key or "")
    endpoint = Endpoint(url.rstrip("/"), *named, limit, flood, speech_model or "")
    if not endpoint.model:
        endpoint = replace(endpoint, model=_first_model(endpoint))
    chosen = [case for case in CASES if not categories or case.category in categories]
    rows = []
    with as_progress(progress).bar(f"certifying {url}", len(chosen), "case") as advance:
        for case in chosen:
            rows.append(run_case(case, endpoint))
            advance(1)
    content = _complete(endpoint, rows, categories)
    if place is not None:
        write_artifacts(content, place)
    return EndpointCertificate(content)


def run_case(case: EndpointCase, endpoint: Endpoint) -> dict[str, Any]:
    """The row of a case: its state, and why it is that."""
    row = {"case": case.key, "category": case.category}
    try:
        case.check(endpoint)
    except RefusedError as error:
        state = "unsupported" if case.optional else "failed"
        return {**row, "state": state, "message": str(error)}
    except BrokenError as error:
        return {**row, "state": "failed", "message": str(error)}
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        # an answer of another shape than the case reads
        return {**row, "state": "failed", "message": f"another shape of answer: {error!r:.300}"}
    return {**row, "state": "passed"}


def _first_model(endpoint: Endpoint) -> str:
    try:
        reply = endpoint.request("GET", "/models")
        return str(reply.json()["data"][0]["id"])
    except (BrokenError, KeyError, IndexError, TypeError) as error:
        raise InputError(f"{endpoint.url}: expected a server that lists models: {error}") from error


def _complete(
    endpoint: Endpoint, rows: Sequence[dict[str, Any]], categories: Sequence[str]
) -> dict[str, Any]:
    """The certificate, with its verdict and its hash."""
    manifest = read_endpoint_manifest()
    content: dict[str, Any] = {
        "format": FORMAT,
        "suite": importlib.metadata.version("lmkernel"),
        "manifest": manifest[HASH],
        "issued": dt.datetime.now(dt.UTC).date().isoformat(),
        "selection": f"categories {', '.join(categories)}" if categories else WHOLE,
        "endpoint": {
            "url": endpoint.url,
            "model": endpoint.model,
            "embed_model": endpoint.embedder or endpoint.model,
            "speech_model": endpoint.hearer or None,
            "software": _software(endpoint),
            "flood": endpoint.flood,
        },
        "cases": list(rows),
    }
    content["reasons"] = reasons(content, manifest)
    content["verdict"] = verdict(content, manifest)
    return with_hash(content)


def _software(endpoint: Endpoint) -> str:
    """What the server says that it is."""
    with contextlib.suppress(BrokenError):
        return endpoint.request("GET", "/models").headers.get("server", "unknown")
    return "unknown"
