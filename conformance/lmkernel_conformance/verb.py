"""Certifies a backend and gives its certificate back; the command of this name calls it."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

from lmkernel.arguments import as_strings, require_count, require_known, require_number
from lmkernel.errors import InputError
from lmkernel.paths import path_text, user_path
from lmkernel.plugins import default_registry
from lmkernel.progress import as_progress
from lmkernel.results import Paint, Result, plain
from lmkernel_conformance.certificate.artifacts import require_place, write_artifacts
from lmkernel_conformance.certificate.certification import Certification
from lmkernel_conformance.certificate.summary import level_rows, summary
from lmkernel_conformance.isolation.session import Plan
from lmkernel_conformance.levels import LEVELS, PROFILES
from lmkernel_conformance.manifest import read_manifest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.progress import ProgressLike
    from lmkernel_conformance.isolation.session import Answer

__all__ = ["Certificate", "certify", "require_jobs", "usual_jobs"]

_USUAL_JOBS, _MOST_JOBS = 4, 256


@final
class Certificate(Result):
    """The certificate of one run of the suite.

    Args:
        content: what the file ``certificate.json`` holds.
    """

    def __init__(self, content: dict[str, Any]) -> None:
        self._content = content

    @property
    def verdict(self) -> str:
        """``"certified"``, ``"passed in part"`` (of less than the whole) or ``"not certified"``."""
        return str(self._content["verdict"])

    @property
    def passed(self) -> bool:
        """Whether nothing failed."""
        return self.verdict != "not certified"

    @property
    def reasons(self) -> list[str]:
        """Why it is not certified; empty if it is."""
        return list(self._content["reasons"])

    def rows(self) -> list[list[str]]:
        """A row for each level."""
        return level_rows(self._content)

    def notes(self) -> list[str]:
        """The verdict, and the reasons."""
        return [self.verdict, *self.reasons]

    def text(self, paint: Paint = plain) -> str:
        """What the command prints."""
        return summary(self._content, paint)

    def json(self) -> dict[str, Any]:
        """The content of ``certificate.json``."""
        return self._content

    def __repr__(self) -> str:
        return f"Certificate({self._content['backend']['name']!r}, {self.verdict})"


def certify(
    backend: str,
    *,
    profile: str = "full",
    levels: str | Sequence[str] = (),
    smoke: bool = False,
    device: str | None = None,
    strict: bool = False,
    jobs: int | None = None,
    limit: float = 240.0,
    out: str | os.PathLike[str] | None = None,
    progress: ProgressLike = True,
) -> Certificate:
    """Run the conformance suite on one backend.

    This is what `lmkernel.certify` finds and calls; arguments and errors are described there.
    """
    spec = default_registry().select_backend(backend)
    if device:
        spec.capabilities.require_device(spec.name, device)
    require_known("profile", profile, PROFILES)
    asked = _levels(levels)
    count = usual_jobs() if jobs is None else jobs
    require_jobs("jobs", count)
    require_number("limit", limit, above=0)
    if out is not None:
        require_place(place := user_path(path_text(out, "out")))
    plan = Plan(backend=spec.name, device=device, jobs=count, limit=limit, strict=strict)
    certification = Certification(
        spec=spec,
        plan=plan,
        manifest=read_manifest(),
        profile=profile,
        levels=asked,
        smoke=smoke,
    )
    _require_levels(certification)
    seconds: dict[str, float] = {}
    cases = len(certification.keys)
    with as_progress(progress).bar(f"certifying {spec.name}", cases, "case") as advance:

        def note(answer: Answer) -> None:
            seconds[f"{answer['case']}[{answer['dtype']}]"] = answer["seconds"]
            advance(1)

        content = replace(certification, on_answer=note).run()
    if out is not None:
        write_artifacts(content, seconds, place)
    return Certificate(content)


def usual_jobs() -> int:
    """As many worker processes as there are processors, four at most."""
    return max(1, min(_USUAL_JOBS, os.cpu_count() or 1))


def require_jobs(name: str, count: object) -> None:
    """Refuse a number of worker processes that no machine has a use for.

    Raises:
        InputError: under the name.
    """
    require_count(name, count, most=_MOST_JOBS)


def _require_levels(certification: Certification) -> None:
    """Every level that is asked for has cases in the profile."""
    every = {key.case.partition("/")[0] for key in replace(certification, levels=()).keys}
    for level in certification.levels:
        if level not in every:
            there = ", ".join(one for one in LEVELS if one in every)
            raise InputError(
                f"certify: the profile {certification.profile!r} has no cases of the level "
                f"{level!r}; it has {there}"
            )


def _levels(given: str | Sequence[str]) -> tuple[str, ...]:
    """The levels that are asked for; none for all of them."""
    named = [given] if isinstance(given, str) else given
    none = isinstance(named, list | tuple) and not named
    asked = () if none else as_strings("levels", named)
    for level in asked:
        require_known("level", level, LEVELS)
    return asked
