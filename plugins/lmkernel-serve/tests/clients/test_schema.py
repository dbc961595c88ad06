"""schemathesis against the published schema: very many requests, and no answer of 5xx."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
import schemathesis
from lmkernel_serve.openapi import openapi_document
from lmkernel_serve.served import Served
from small_waves import wave_model

import lmkernel

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUESTS = int(os.environ.get("LMKERNEL_REQUESTS", "20000"))
SECONDS = 300  # a server that hangs is found out; one that is slow is not
SCHEMA = schemathesis.openapi.from_dict(openapi_document())
OPERATIONS = [
    (path, method) for path, methods in openapi_document()["paths"].items() for method in methods
]


@pytest.fixture(scope="module")
def brief(tmp_path_factory: pytest.TempPathFactory, serving: Any, tiny: Any) -> Iterator[str]:
    """A server whose answers are short, as its context is."""
    own = tiny(tmp_path_factory.mktemp("brief") / "tiny", max_position_embeddings=24)
    waves = lmkernel.load(wave_model(tmp_path_factory.mktemp("hearing") / "waves"))
    with serving(Served("tiny", own), Served("waves", waves)) as address:
        yield address


@pytest.mark.parametrize(("path", "method"), OPERATIONS)
def test_no_request_is_a_fault_of_the_server(brief: str, path: str, method: str) -> None:
    count = 0

    @hypothesis.given(case=SCHEMA[path][method.upper()].as_strategy())
    @hypothesis.settings(
        max_examples=max(REQUESTS // len(OPERATIONS), 1),
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
        database=None,
    )
    def ask(case: Any) -> None:
        nonlocal count
        count += 1
        if isinstance(case.body, dict) and count % 4:
            # so that three of four go further
            case.body["model"] = "waves" if "audio" in path else "tiny"
        response = case.call(base_url=brief, timeout=SECONDS)
        assert response.status_code < 500, (case.body, response.text)
        if response.status_code >= 400:
            assert set(response.json()["error"]) == {"message", "type", "param", "code"}

    ask()
    assert count
