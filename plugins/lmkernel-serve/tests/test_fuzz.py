"""Very many damaged requests over connections that are kept leave the server alive.

``LMKERNEL_FUZZ_REQUESTS`` says how many; ``tox -e serve-clients`` sends 100,000.
"""

from __future__ import annotations

import copy
import http.client
import json
import os
import random
import socket
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any, final

import pytest
from lmkernel_serve.served import Served
from made_sounds import vowels, wave_bytes
from small_waves import wave_model

import lmkernel

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUESTS = int(os.environ.get("LMKERNEL_FUZZ_REQUESTS", "600"))
CLIENTS, CONTEXT, MOST, SECONDS = 4, 96, 6, 120
RAW, CUT = 12, 3
"""One in so many requests is bytes of no protocol, and of the others a body of no JSON."""


MESSAGES: list[Any] = [
    {"role": "system", "content": "be brief"},
    {"role": "user", "content": [{"type": "text", "text": "the cat?"}]},
]
TOOL: Any = {"type": "function", "function": {"name": "now", "parameters": {"type": "object"}}}
SOUND: tuple[tuple[str, dict[str, Any]], ...] = (
    ("/v1/chat/completions", {"messages": MESSAGES, "stream": True, "logprobs": True, "n": 2}),
    ("/v1/chat/completions", {"messages": MESSAGES, "tools": [TOOL], "tool_choice": "auto"}),
    (
        "/v1/chat/completions",
        {
            "messages": MESSAGES[1:],
            "response_format": {
                "type": "json_schema",
                "json_schema": {"name": "x", "schema": {"type": "object", "properties": {}}},
            },
        },
    ),
    ("/v1/completions", {"prompt": ["a", "b"], "logprobs": 2, "echo": True, "stop": ["c"]}),
    ("/v1/completions", {"prompt": [3, 4], "logit_bias": {"5": 1.5}, "best_of": 2, "seed": 3}),
    ("/v1/responses", {"input": [{"role": "user", "content": "the cat?"}], "stream": True}),
    ("/v1/embeddings", {"input": ["the cat"], "encoding_format": "base64"}),
    ("/tokenize", {"messages": MESSAGES[:1]}),
    ("/detokenize", {"tokens": [3, 4, 5]}),
    ("/lmkernel/attention", {"prompt": "the cat", "layers": [0, -1]}),
    ("/lmkernel/lens", {"prompt": "the cat", "answer": [3], "top": 2}),
    (
        "/v1/audio/transcriptions",
        {
            "model": "waves",
            "file": wave_bytes(vowels(0.2)[:, None], 8000),
            "response_format": "verbose_json",
            "timestamp_granularities[]": ["word"],
        },
    ),
    ("/v1/audio/transcriptions", {"model": "waves", "file": b"RIFF", "stream": "true"}),
)
"""Paths with bodies that are answered."""
LIMITS = {
    "/v1/chat/completions": "max_tokens",
    "/v1/completions": "max_tokens",
    "/v1/responses": "max_output_tokens",
}
STRANGE: tuple[Any, ...] = (
    *(
        None,
        True,
        -1,
        0,
        1e308,
        -0.0,
        2**63,
        -(2**63) - 1,
        10**400,
        "",
        "\x00",
        "\ud800",
        "学" * 50,
    ),
    *([], {}, [[]], {"": None}, "the cat " * 99, ["<|im_end|>"] * 5, [0, 10**9]),
)
KIND = "multipart/form-data; boundary=x"
"""What each body says that it is; where JSON is read nothing looks at it."""
NAMES = ("model", "messages", "prompt", "stream", "n", "tools", "type", "role", "name", "lmkernel")


def damaged_document(draw: random.Random, most: int) -> tuple[str, Any]:
    """A path and a document in which up to three things were changed; none, now and then.

    Args:
        draw: what decides.
        most: more tokens than a sound answer has.
    """
    path, sound = draw.choice(SOUND)
    document: dict[str, Any] = copy.deepcopy({"model": "tiny", **sound})
    if path in LIMITS:
        document[LIMITS[path]] = draw.randrange(1, most)
    for _ in range(draw.randrange(4)):
        _change(draw, document)
    return path, document


def _change(draw: random.Random, document: dict[str, Any]) -> None:
    """One value is put in another's place, goes, or comes."""
    places = list(_places(document))
    if not places:
        return
    inside, key = draw.choice(places)
    kind = draw.randrange(4)
    if kind == 0:
        del inside[key]
    elif kind == 1 and isinstance(inside, dict):
        inside[draw.choice(NAMES)] = copy.deepcopy(draw.choice(STRANGE))
    elif kind == 2:
        other, name = draw.choice(places)
        inside[key] = copy.deepcopy(other[name])
    else:
        inside[key] = copy.deepcopy(draw.choice(STRANGE))


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container in a value with each of its keys."""
    keys = value.keys() if isinstance(value, dict) else range(len(value))
    for key in keys:
        yield value, key
        if isinstance(value[key], dict | list):
            yield from _places(value[key])


def encode(path: str, document: Any) -> bytes:
    """As JSON, or as a form; a lone surrogate is escaped, as clients that know no better do."""
    if "audio" not in path:
        return json.dumps(document, default=repr).encode()
    parts = b""
    for name, value in document.items():
        for one in value if isinstance(value, list) else [value]:
            file = b'; filename="a.wav"' if isinstance(one, bytes) else b""
            head = b'--x\r\nContent-Disposition: form-data; name="%b"%b\r\n\r\n'
            parts += head % (_bytes(name), file) + _bytes(one) + b"\r\n"
    return parts + b"--x--"


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogatepass")


def damaged_bytes(draw: random.Random, data: bytes) -> bytes:
    """Bytes of which some were changed, taken out, doubled or put in."""
    found = bytearray(data)
    for _ in range(draw.randrange(1, 6)):
        at, size = draw.randrange(len(found) + 1), draw.randrange(1, 9)
        kind = draw.randrange(4)
        if kind == 0:
            del found[at : at + size]
        elif kind == 1:
            found[at:at] = draw.randbytes(size)
        elif kind == 2:
            found[at:at] = found[at : at + 8 * size]
        else:
            found[at : at + size] = draw.choice((b"\r\n", b"\x00", b"[", b'"', b":", b"\xff"))
    return bytes(found)


def raw_request(path: str, body: bytes) -> bytes:
    """A request as it lies on the wire."""
    head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Content-Type: {KIND}\r\n\r\n".encode() + body


@pytest.fixture
def brief(tmp_path: Any, serving: Any, tiny: Any) -> Iterator[tuple[str, Served]]:
    """A server whose answers are short, as its context is."""
    own = Served("tiny", tiny(tmp_path / "tiny", max_position_embeddings=CONTEXT))
    waves = Served("waves", lmkernel.load(wave_model(tmp_path / "waves")))
    with serving(own, waves) as address:
        yield address, own


@final
class Client:
    """Sends damaged requests one after another, over one connection as long as it is kept.

    Args:
        address: of the server.
        seed: of what it draws.
    """

    def __init__(self, address: str, seed: int) -> None:
        self._host = address.removeprefix("http://")
        self._draw = random.Random(seed)  # noqa: S311 - repeated for one seed
        self._connection = http.client.HTTPConnection(self._host, timeout=SECONDS)
        self.statuses: Counter[int] = Counter()

    def run(self, count: int) -> Counter[int]:
        """How often each status was answered; 0 for a connection that ended without one."""
        with closing(self._connection):
            for _ in range(count):
                self.statuses[self._send()] += 1
        return self.statuses

    def _send(self) -> int:
        path, document = damaged_document(self._draw, MOST)
        body = encode(path, document)
        if self._draw.randrange(RAW) == 0:
            return self._send_raw(damaged_bytes(self._draw, raw_request(path, body)))
        if self._draw.randrange(CUT) == 0:
            body = damaged_bytes(self._draw, body)
        self._connection.request("POST", path, body, {"Content-Type": KIND})
        with self._connection.getresponse() as answer:
            data = answer.read()
        assert answer.status < 500, (path, body, data)
        if answer.status >= 400:
            assert set(json.loads(data)["error"]) == {"message", "type", "param", "code"}, body
        return answer.status

    def _send_raw(self, data: bytes) -> int:
        """Bytes on a connection of their own, which the client then ends."""
        host, port = self._host.split(":")
        with socket.create_connection((host, int(port)), timeout=SECONDS) as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                answer = connection.recv(64)
            except ConnectionError:  # refused while it was sent
                return 0
        status = int(answer.split(maxsplit=2)[1]) if answer.startswith(b"HTTP/1.1 ") else 0
        assert status < 500, (data, answer)
        return status


def test_damaged_requests_leave_it_alive(
    brief: tuple[str, Served],
    post: Any,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    address, own = brief
    sound = {"model": "tiny", "prompt": "the cat", "temperature": 0, "max_tokens": 8, "logprobs": 1}
    status, before = post(address, "/v1/completions", sound)
    assert status == 200
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [Client(address, seed) for seed in range(CLIENTS)]
        counts = list(pool.map(lambda one: one.run(REQUESTS // CLIENTS), clients))
    statuses: Counter[int] = sum(counts, Counter())
    said = f"\n{statuses.total()} damaged requests: {dict(sorted(statuses.items()))}"
    with capsys.disabled():
        print(said)  # noqa: T201 - the figure is what is asked for
    assert statuses.total() == REQUESTS // CLIENTS * CLIENTS
    assert min(statuses[200], statuses[400]) > REQUESTS // 20, statuses
    assert own.worker.alive
    faults = [record for record in caplog.records if record.name == "lmkernel.serve"]
    assert not faults, faults[0].exc_info  # the server takes none of this for a fault of its own
    status, after = post(address, "/v1/completions", sound)
    assert (status, after["choices"]) == (200, before["choices"])
    assert (own.worker.running, own.worker.waiting) == (0, 0)
