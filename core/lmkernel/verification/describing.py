"""A verification as plain values: what was asked, what was found, and what took part."""

from __future__ import annotations

import dataclasses
import json
import platform
from typing import TYPE_CHECKING, Any

from lmkernel.comparison.layers import HONEST_RUNS
from lmkernel.numerics import FACTOR
from lmkernel.plugins.installed import installed_versions
from lmkernel.plugins.registry import DEFAULT_BACKEND
from lmkernel.verification.document import FORMAT, finite, with_verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lmkernel.verification.diagnosing import Diagnosis
    from lmkernel.verification.guards import Answers, Guard
    from lmkernel.verification.judging import Judgement
    from lmkernel.verification.part import Part
    from lmkernel.verification.parting import Parting
    from lmkernel.verification.prompts import Prompts
    from lmkernel.verification.sequences import Row

__all__ = ["describe_row", "document_of"]


def describe_row(row: Row) -> dict[str, Any]:
    """A row as plain values."""
    target = {"target": list(row.target)} if row.target else {}
    source = {} if row.source is None else {"reads": list(row.source.shape)}
    return {"name": row.name, "ids": list(row.ids), **target, **source}


def document_of(
    part: Part,
    about: Mapping[str, Any],
    level: str,
    prompts: Prompts,
    answers: Answers,
    found: Judgement,
    guards: Sequence[Guard],
    parting: Parting | None,
    looks: Sequence[Diagnosis],
) -> dict[str, Any]:
    """The document, with its verdict.

    Args:
        part: what was verified.
        about: the subject: its name, dtype, versions and options.
        level: how much was asked.
        prompts: what was to be asked.
        answers: what was said, by the name of the question.
        found: how it compares.
        guards: what was looked at besides.
        parting: where it parts first, if it does.
        looks: what that looks like.
    """
    places = [
        {**dataclasses.asdict(c), "share": finite(c.share), "error": finite(c.error)}
        for c in found.cells
    ]
    metrics = {
        name: finite(value) if isinstance(value, float) else value
        for name, value in dataclasses.asdict(found.metrics).items()
    }
    checkpoint = {"name": part.origin.name, "model_type": part.origin.model_type}
    reference = {
        "backend": DEFAULT_BACKEND,
        "versions": {
            **installed_versions(("lmkernel", "numpy", "tokenizers")),
            "Python": platform.python_version(),
        },
        "honest_runs": HONEST_RUNS,
        "factor": FACTOR,
    }
    document = {
        "format": FORMAT,
        "checkpoint": checkpoint,
        "subject": dict(about),
        "reference": reference,
        "level": level,
        "compared": found.kind,
        "rows": [describe_row(r) | {"start": r.start} for r in prompts.rows],
        "questions": [
            {
                "name": q.name,
                "rows": [r.name for r in q.rows],
                "prefill": q.prefill,
                "asked": q.name in answers,
            }
            for q in prompts.questions
        ],
        "guards": [dataclasses.asdict(g) for g in guards],
        "places": places,
        "metrics": metrics,
        "parting": None if parting is None else _parting(parting),
        "diagnoses": [dataclasses.asdict(d) for d in looks],
        "unseen": [*prompts.unseen, *filter(None, [part.beside])],
    }
    # through JSON once, so that the document is the same whether it was written and read or not
    return with_verdict(json.loads(json.dumps(document)))


def _parting(parting: Parting) -> dict[str, Any]:
    return {**dataclasses.asdict(parting), "share": finite(parting.share)}
