"""``lmkernel chat --url``: what a server is asked, how its answer is shown, and what goes wrong."""

from __future__ import annotations

import json
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from lmkernel.cli.chat.conversation import Conversation
from lmkernel.cli.chat.server import ServedModel
from lmkernel.cli.main import main
from lmkernel.errors import InputError
from lmkernel.generation import GenerationOptions

if TYPE_CHECKING:
    from collections.abc import Iterator


class Server(ThreadingHTTPServer):
    """Answers every chat with the same lines, and keeps what it was asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[Any] = []
        self.headers: list[Any] = []
        self.models: Any = {"data": [{"id": "first"}, {"id": "second"}]}
        self.lines: list[str] = []
        self.status, self.kind = 200, "text/event-stream"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        assert self.path == "/v1/models"
        self._say(json.dumps(self.server.models), "application/json", 200)

    def do_POST(self) -> None:
        assert self.path == "/v1/chat/completions"
        self.server.headers.append(dict(self.headers))
        self.server.asked.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self._say("\n\n".join(self.server.lines), self.server.kind, self.server.status)

    def _say(self, text: str, kind: str, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *_: Any) -> None:
        pass


def chunk(text: str = "", reason: str | None = None, **more: Any) -> str:
    choice = {"index": 0, "delta": {"content": text}, "finish_reason": reason}
    return "data: " + json.dumps({"choices": [choice], **more}, ensure_ascii=False)


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as made:
        made.lines = [
            "data: " + json.dumps({"choices": [{"delta": {"role": "assistant", "content": None}}]}),
            ": a comment",
            chunk("Hel"),
            chunk("lo 学", None, usage=None),
            chunk("", "stop"),
            'data: {"choices": [], "usage": {"completion_tokens": 7}}',
            "data: [DONE]",
            chunk("never read"),
        ]
        thread = Thread(target=made.serve_forever, args=[0.01])
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def test_one_answer_is_printed(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--system", "Be brief.", "--temperature", "0.5", "--stop", "x", "--max-new-tokens", "9"]
    assert main(["chat", "hi", "--url", server.url, "--key", "sesame", *more]) == 0
    assert capsys.readouterr().out == "Hello 学\n"
    assert server.asked == [
        {
            "model": "first",
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": "hi"},
            ],
            "temperature": 0.5,
            "seed": 0,
            "stop": ["x"],
            "max_tokens": 9,
            "stream": True,
            "stream_options": {"include_usage": True},
        }
    ]
    assert server.headers[0]["Authorization"] == "Bearer sesame"


def test_a_conversation_holds_what_was_said(server: Server) -> None:
    model = ServedModel(server.url.removesuffix("/v1"), name="second")
    conversation = Conversation(model, GenerationOptions(top_k=3))
    for text in ("one", "two"):
        turn = conversation.ask(text)
        assert list(turn.answer) == ["Hel", "lo 学"]
        conversation.keep(turn)
    assert [m["content"] for m in server.asked[-1]["messages"]] == ["one", "Hello 学", "two"]
    assert (server.asked[-1]["model"], server.asked[-1]["top_k"]) == ("second", 3)
    assert conversation.last is not None
    assert (len(conversation.last.tokens), conversation.last.finish_reason) == (7, "stop")
    list(conversation.retry().answer)
    assert server.asked[-1]["seed"] == 1
    with pytest.raises(InputError, match="a server goes on with no answer"):
        conversation.go_on()


def test_the_key_comes_from_the_environment(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMKERNEL_SERVE_KEY", "quiet")
    assert main(["chat", "hi", "--url", server.url, "--model", "second"]) == 0
    assert server.headers[0]["Authorization"] == "Bearer quiet"


def test_an_answer_that_was_cut_says_so(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.lines = [chunk("Hel"), chunk("", "length"), "data: [DONE]"]
    assert main(["chat", "hi", "--url", server.url, "--max-new-tokens", "1"]) == 0
    assert "[cut at 1 token" in capsys.readouterr().err


TOO_LONG = "data: " + "x" * (1 << 20)
FAULTS: list[tuple[dict[str, Any], str]] = [
    ({"status": 401, "lines": ['{"error": {"message": "wrong key"}}']}, "401 .*: wrong key"),
    ({"status": 500, "lines": ["<html>"]}, "500 .*: <html>"),
    ({"lines": [chunk("a"), 'data: {"error": {"message": "too late"}}']}, "too late"),
    ({"lines": ["data: {"]}, "expected JSON"),
    ({"lines": ["data: []"]}, "expected a JSON object"),
    ({"lines": ['data: {"choices": [3]}']}, "expected a chunk of a chat"),
    ({"lines": ['data: {"usage": {"completion_tokens": "x"}}']}, "expected a chunk of a chat"),
    ({"lines": [TOO_LONG]}, "one without an end"),
    ({"kind": "application/json", "lines": ["{}"]}, "expected a stream"),
    ({"models": {"data": []}}, "expected a list of models"),
]


@pytest.mark.parametrize(("changes", "message"), FAULTS)
def test_what_a_server_does_wrong_is_one_error(
    server: Server, changes: dict[str, Any], message: str
) -> None:
    for name, value in changes.items():
        setattr(server, name, value)
    with pytest.raises(InputError, match=message):
        list(ServedModel(server.url).chat([], GenerationOptions()))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--url", "127.0.0.1:8000"], "expected http://HOST:PORT/v1"),
        (["--url", "ftp://x"], "expected http://HOST:PORT/v1"),
        (["--url", "http://x:y"], "Port could not be cast"),
        (["--url", "http://127.0.0.1:9"], "no server answers"),
        (["--url", "http://127.0.0.1:9", "--key", "schlüssel"], "a key of ASCII"),
        (["--url", "http://x", "--backend", "torch"], "the server decides about it"),
        (["--key", "x"], "--key: expected --url"),
        (["--url", "http://x", "--num-beams", "2", "--model", "m"], "num_beams: a server"),
    ],
)
def test_what_makes_no_sense_is_refused(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["chat", "hi", *arguments]) == 1
    assert message in " ".join(capsys.readouterr().err.split())
