"""A hub that lies, breaks off, never ends or leads astray, each in one way."""

from __future__ import annotations

import gzip
import pickle
import time
from typing import TYPE_CHECKING, Any

from made_hub import COMMIT, REPOSITORY, Handler, Hub
from tiny_files import CONFIG, safetensors_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["HARMLESS", "HOSTILE", "handler", "served"]

WEIGHTS = "model.safetensors"
LOGIN = b"<!doctype html><title>Log in</title>"


def served(files: Mapping[str, bytes]) -> Hub:
    """A sound repository, with some files in place of its own."""
    sound = {"config.json": CONFIG, WEIGHTS: safetensors_of(*range(2000))}
    return Hub(files={**sound, **files}, large=(WEIGHTS,))


def handler(part: str, answer: Callable[[Any], object]) -> type[Handler]:
    """Sound but for one part: the revision, the tree, the file (of the weights), or any."""

    def hostile(self: Any) -> None:
        self.times = Hostile.times = Hostile.times + 1
        answer(self)

    class Hostile(Handler):
        times = 0

        def revision(self, name: str) -> None:
            hostile(self) if part == "revision" else super().revision(name)

        def tree(self) -> None:
            hostile(self) if part == "tree" else super().tree()

        def file(self, path: str, *, body: bool) -> None:
            asked = part == "file" and path == WEIGHTS
            hostile(self) if asked else super().file(path, body=body)

        def route(self, *, body: bool) -> None:
            hostile(self) if part == "any" else super().route(body=body)

        def handle(self) -> None:
            try:
                super().handle()
            except ConnectionError:
                self.close_connection = True

    return Hostile


def weights(self: Any) -> bytes:
    content: bytes = self.hub.files[WEIGHTS]
    return content


def say(document: object) -> Callable[[Any], object]:
    return lambda self: self.answer(document)


def send(content: bytes, **headers: str) -> Callable[[Any], object]:
    return lambda self: self.reply(200, headers, content)


def announce(**changes: object) -> Callable[[Any], object]:
    """A list of files in which the weights are announced otherwise."""
    return lambda self: self.answer([self.entry("config.json"), {**self.entry(WEIGHTS), **changes}])


def with_entries(*paths: str) -> Callable[[Any], object]:
    """A list of files with some more of these paths."""

    def answer(self: Any) -> None:
        own = [self.entry(path) for path in self.hub.files]
        self.answer([*own, *({**own[1], "path": path} for path in paths)])

    return answer


def close_early(self: Any) -> None:
    self.send_response(200)
    self.send_header("Content-Length", str(len(weights(self))))
    self.end_headers()
    self.wfile.write(weights(self)[:1000])
    self.close_connection = True


def without_end(self: Any) -> None:
    """Bytes until nobody listens."""
    self.send_response(200)
    self.send_header("Connection", "close")
    self.end_headers()
    self.close_connection = True
    while True:
        self.wfile.write(bytes(1 << 16))


def drip(self: Any) -> None:
    self.send_response(200)
    self.send_header("Content-Length", str(len(weights(self))))
    self.end_headers()
    for byte in weights(self):
        self.wfile.write(bytes([byte]))
        time.sleep(0.02)


def drip_headers(self: Any) -> None:
    self.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        self.wfile.write(b"X")
        time.sleep(0.02)


def say_nothing(self: Any) -> None:
    time.sleep(0.3)
    self.close_connection = True


def chunked(
    before: bytes = b"", *, each: int, extension: bytes = b"", trailers: bytes = b""
) -> Callable[[Any], object]:
    """The weights in chunks, with what HTTP allows besides."""

    def answer(self: Any) -> None:
        content = weights(self)
        pieces = [content[at : at + each] for at in range(0, len(content), each)]
        chunks = [b"%x%b\r\n%b\r\n" % (len(p), extension, p) for p in pieces]
        head = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        self.wfile.write(b"".join([before, head, *chunks, b"0\r\n", trailers, b"\r\n"]))

    return answer


CONTINUE, TRAILER = b"HTTP/1.1 100 Continue\r\n\r\n", b"X: y\r\n"


def lead_at_length(self: Any) -> None:
    """The first answer leads to the next, and has a body without an end."""
    if self.times > 1:
        self.reply(200, {}, weights(self))
        return
    self.send_response(302)
    self.send_header("Location", f"{self.path}?next")
    self.end_headers()
    while True:
        self.wfile.write(bytes(1 << 16))


def lead(where: str) -> Callable[[Any], object]:
    return lambda self: self.reply(302, {"Location": where.format(path=self.path)}, b"")


def lead_round(self: Any) -> None:
    self.reply(302, {"Location": f"{self.path.partition('?')[0]}?{self.times}"}, b"")


def busy(times: int) -> Callable[[Any], object]:
    def answer(self: Any) -> None:
        if self.times <= times:
            self.reply(503, {}, b"")
        else:
            self.reply(200, {}, weights(self))

    return answer


def break_off(self: Any) -> None:
    """The first answer ends early; the next goes on from there."""
    if self.times == 1:
        close_early(self)
        return
    begin = int(self.headers["Range"].removeprefix("bytes=").removesuffix("-"))
    self.reply(206, {}, weights(self)[begin:])


def begin_anew(self: Any) -> None:
    """The first answer ends early; the next begins again."""
    close_early(self) if self.times == 1 else self.reply(200, {}, weights(self))


def pages(where: str, before: str = "") -> Callable[[Any], object]:
    def answer(self: Any) -> None:
        url = where or f"{self.hub.url}/api/models/{REPOSITORY}/tree/{COMMIT}?page={self.times}"
        self.reply(200, {"Link": f'{before}<{url}>; rel="next"'}, b"[]")

    return answer


def other_weights(self: Any) -> None:
    self.reply(200, {}, weights(self)[:-1] + b"\xff")


Case = tuple[str, "Callable[[Any], object]", "dict[str, bytes]", str]
NOTHING = say(None)
HOSTILE: dict[str, Case] = {
    "login page for the revision": ("revision", send(LOGIN), {}, "answer in JSON"),
    "login page for the list": ("tree", send(LOGIN), {}, "answer in JSON"),
    "login page for the weights": ("file", send(LOGIN), {}, "ended after 36 of"),
    "login page as configuration": ("", NOTHING, {"config.json": LOGIN}, "config.json: expected a"),
    "configuration of no model": ("", NOTHING, {"config.json": b"{}"}, "expected model_type"),
    "configuration of another model": (
        *("", NOTHING, {"config.json": b'{"model_type": "llama"}'}),
        "what came is no model.*config.json: the tensor",
    ),
    "list of errors": ("tree", say({"error": "no"}), {}, "list files with their paths"),
    "list of numbers": ("tree", say([1, 2]), {}, "list files with their paths"),
    "nested list": ("tree", send(b"[" * 100_000), {}, "answer in JSON"),
    "shorter weights": ("file", lambda s: s.reply(200, {}, weights(s)[:-1]), {}, "ended after"),
    "longer weights": ("file", lambda s: s.reply(200, {}, weights(s) + b"0"), {}, "got a longer"),
    "endless weights": ("file", without_end, {}, "got a longer one"),
    "endless list": ("tree", without_end, {}, "got a longer one"),
    "weights of another hash": ("file", other_weights, {}, "expected the announced hash"),
    "pickle": ("", NOTHING, {WEIGHTS: pickle.dumps({"a": 1})}, "what came is no model"),
    "weights cut short before they were put there": (
        *("", NOTHING, {WEIGHTS: safetensors_of(1.0, 2.0)[:-1]}),
        "ends at byte",
    ),
    "page as weights": ("", NOTHING, {WEIGHTS: LOGIN * 9}, "what came is no model"),
    "redirects in a circle": ("file", lead_round, {}, "redirects have no end"),
    "redirect to a file": ("file", lead("file:///etc/passwd"), {}, "redirects have no end"),
    "redirect to FTP": ("file", lead("ftp://127.0.0.1/x"), {}, "redirects have no end"),
    "redirect to nowhere": ("file", lead("http://[::1"), {}, "redirects to no address"),
    "redirect to a port that is a word": (
        *("file", lead("http://127.0.0.1:x/"), {}),
        "model.safetensors: the server redirects to no address",
    ),
    "redirect to no port": ("file", lead("http://127.0.0.1:99999/"), {}, "redirects to no address"),
    "redirect to two words": ("file", lead("http://a b/"), {}, "redirects to no address"),
    "redirect to no host": ("file", lead("http://:80/"), {}, "redirects to no address"),
    "redirect to dots": ("file", lead("http://a..b/"), {}, "redirects to no address"),
    "revision that is a path": ("revision", say({"sha": "../../evil"}), {}, "40 hexadecimal"),
    "revision in capitals": ("revision", say({"sha": "A" * 40}), {}, "40 hexadecimal"),
    "revision that is a list": ("revision", say({"sha": ["a"]}), {}, "40 hexadecimal"),
    "no revision": ("revision", say([]), {}, "40 hexadecimal"),
    "name with backslashes": ("tree", with_entries(r"..\..\e.safetensors"), {}, "not safe on disk"),
    "name of a stream": ("tree", with_entries("a:b.safetensors"), {}, "not safe on disk"),
    "name with a zero": ("tree", with_entries("a\0.safetensors"), {}, "not safe on disk"),
    "name of 300 characters": (
        *("tree", with_entries(f"{'n' * 300}.safetensors"), {}),
        "not safe on disk",
    ),
    "name twice": ("tree", with_entries(WEIGHTS), {}, "lists 'model.safetensors' twice"),
    "name twice, once in capitals": ("tree", with_entries("Model.safetensors"), {}, "twice"),
    "size of a text": ("tree", announce(size="9"), {}, "announce a size"),
    "size below zero": ("tree", announce(size=-1), {}, "announce a size"),
    "size of a mountain": ("tree", announce(size=10**30), {}, "has room for"),
    "no hash": ("tree", announce(lfs={}), {}, "announce a hash"),
    "hash of another kind": ("tree", announce(lfs=None, oid="0" * 64), {}, "announce a hash"),
    "pages without end": ("tree", pages(""), {}, "has over 20 pages"),
    "brackets before each page": ("tree", pages("", "<" * 60_000), {}, "has over 20 pages"),
    "pages elsewhere": ("tree", pages("http://127.0.0.1:9/"), {}, "to another server"),
    "slow weights": ("file", drip, {}, "the server is too slow"),
    "slow headers": ("file", drip_headers, {}, "the server is too slow"),
    "silence": ("file", say_nothing, {}, "sent nothing for|no connection"),
    "always busy": ("file", busy(99), {}, "HTTP 503"),
    "gone": ("file", lambda s: s.reply(404, {}, b""), {}, "model.safetensors: .* HTTP 404"),
    "gone beyond": (
        *("file", lambda s: s.reply(416, {}, b""), {}),
        "model.safetensors: .* HTTP 416",
    ),
    "interim answers": ("file", chunked(CONTINUE * 100_000, each=1000), {}, "bytes besides"),
    "trailers": ("file", chunked(each=1000, trailers=TRAILER * 100_000), {}, "bytes besides"),
    "chunks of little but extensions": (
        *("file", chunked(each=1, extension=b";" + b"x" * 1000), {}),
        "bytes besides",
    ),
    "bomb": (
        "file",
        lambda s: s.reply(200, {"Content-Encoding": "gzip"}, gzip.compress(bytes(1 << 20))),
        {},
        "in 'gzip'",
    ),
    "no HTTP": ("any", lambda s: s.wfile.write(b"\x16\x03\x01 what?\r\n\r\n"), {}, "no connection"),
    "thousands of headers": (
        "file",
        lambda s: s.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 5000 + b"\r\n"),
        {},
        "no connection",
    ),
}
"""By name: which part of the server lies, how, files in place of sound ones, what is said."""

HARMLESS: dict[str, Case] = {
    "busy at first": ("file", busy(2), {}, ""),
    "broken off": ("file", break_off, {}, ""),
    "broken off, and begun anew": ("file", begin_anew, {}, ""),
    "chunks of a byte": ("file", chunked(each=1), {}, ""),
    "some of all that is besides": (
        *("file", chunked(CONTINUE * 9, each=1000, extension=b";a", trailers=TRAILER * 9)),
        *({}, ""),
    ),
    "redirect with a body without end": ("file", lead_at_length, {}, ""),
    "names of other folders": (
        "tree",
        with_entries("../../e.safetensors", "/e.safetensors"),
        {},
        "",
    ),
}
"""What a pull puts up with."""
