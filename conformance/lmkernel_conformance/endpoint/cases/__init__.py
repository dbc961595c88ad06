"""All cases, category by category."""

from __future__ import annotations

from lmkernel_conformance.endpoint.cases import (
    audio,
    embeddings,
    errors,
    limits,
    log_probabilities,
    required,
    responses,
    streaming,
    structured,
    tools,
)

__all__ = ["CASES"]

CASES = (
    *required.CASES,
    *streaming.CASES,
    *log_probabilities.CASES,
    *tools.CASES,
    *structured.CASES,
    *responses.CASES,
    *embeddings.CASES,
    *audio.CASES,
    *errors.CASES,
    *limits.CASES,
)
