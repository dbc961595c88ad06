"""Vectors."""

from __future__ import annotations

import base64
import struct
from typing import TYPE_CHECKING, Any

from lmkernel_conformance.endpoint.case import cases_of
from lmkernel_conformance.endpoint.wire import expect, require_error

if TYPE_CHECKING:
    from lmkernel_conformance.endpoint.wire import Endpoint

__all__ = ["CASES"]

_PATH, _NEAR = "/embeddings", 1e-3
_TEXTS = ["the cat", "a much longer text about a mat", "the cat"]


def _body(endpoint: Endpoint, **changes: Any) -> dict[str, Any]:
    return {"model": endpoint.embedder or endpoint.model, "input": _TEXTS, **changes}


def _near(a: Any, b: Any) -> bool:
    return len(a) == len(b) and all(abs(x - y) < _NEAR for x, y in zip(a, b, strict=True))


def texts_have_vectors(endpoint: Endpoint) -> None:
    """Each text has a vector, in its order; equal texts have equal ones, wherever they stand."""
    answer = endpoint.ask(_PATH, _body(endpoint))
    expect("the object list", answer.get("object") == "list", answer.get("object"))
    data = answer["data"]
    expect("indices in order", [one.get("index") for one in data] == [0, 1, 2], data)
    vectors = [one["embedding"] for one in data]
    numbers = all(isinstance(x, (int, float)) for vector in vectors for x in vector)
    expect("numbers", numbers, vectors[0][:4])
    expect("one size", len({len(vector) for vector in vectors}) == 1, [*map(len, vectors)])
    expect("equal vectors of equal texts", _near(vectors[0], vectors[2]), vectors[0][:4])
    expect("others of another", not _near(vectors[0], vectors[1]), vectors[1][:4])
    alone = endpoint.ask(_PATH, _body(endpoint, input=_TEXTS[0]))["data"][0]["embedding"]
    expect("the vector it has alone", _near(alone, vectors[0]), alone[:4])
    expect("usage", answer["usage"]["prompt_tokens"] > 0, answer["usage"])


def bytes_are_the_numbers(endpoint: Endpoint) -> None:
    """``base64``, which the client asks for by itself, holds the same float32 numbers."""
    plain = endpoint.ask(_PATH, _body(endpoint))["data"][0]["embedding"]
    coded = endpoint.ask(_PATH, _body(endpoint, encoding_format="base64"))["data"][0]["embedding"]
    expect("a text", isinstance(coded, str), coded)
    data = base64.b64decode(coded)
    expect(f"{plain[:4]}", _near(struct.unpack(f"<{len(data) // 4}f", data), plain), coded[:40])


def nothing_has_no_vector(endpoint: Endpoint) -> None:
    """An empty list is refused."""
    endpoint.ask(_PATH, _body(endpoint))
    require_error(endpoint.post(_PATH, _body(endpoint, input=[])), 400, 422)


CASES = cases_of("embeddings", (texts_have_vectors, bytes_are_the_numbers, nothing_has_no_vector))
