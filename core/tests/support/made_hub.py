"""A server on this machine that answers what the client of the Hugging Face Hub asks."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from collections.abc import Iterator

COMMIT = "0123456789abcdef0123456789abcdef01234567"
REPOSITORY = "org/tiny"


@final
@dataclass
class Hub:
    """One repository.

    Args:
        files: its content, by path.
        gated: whether files are refused to whoever has not accepted terms.
        revisions: what may be asked for besides the commit.
        asked: the files that were downloaded.
        large: the files that are announced by their SHA-256, as large ones are.
        tokens: what was sent as authorization, with the path.
    """

    files: dict[str, bytes]
    gated: bool = False
    revisions: tuple[str, ...] = ("main",)
    asked: list[str] = field(default_factory=list)
    large: tuple[str, ...] = ()
    tokens: list[tuple[str, str]] = field(default_factory=list)
    url: str = ""


@contextlib.contextmanager
def serve(hub: Hub, kind: type[Handler] | None = None) -> Iterator[Hub]:
    handler = type("BoundHandler", (kind or Handler,), {"hub": hub})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        hub.url = f"http://127.0.0.1:{server.server_port}"
        try:
            yield hub
        finally:
            server.shutdown()
            thread.join()


class Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.route(body=False)

    def do_GET(self) -> None:
        self.route(body=True)

    def route(self, *, body: bool) -> None:
        path = self.path.partition("?")[0]
        self.hub.tokens.append((path, self.headers.get("Authorization", "")))
        api = f"/api/models/{REPOSITORY}/"
        files = f"/{REPOSITORY}/resolve/{COMMIT}/"
        if path.startswith(f"{api}revision/"):
            self.revision(path.removeprefix(f"{api}revision/"))
        elif path == f"{api}tree/{COMMIT}":
            self.tree()
        elif path.startswith(files):
            self.file(path.removeprefix(files), body=body)
        else:
            self.error(404, "RepoNotFound")

    def revision(self, name: str) -> None:
        if name in (*self.hub.revisions, COMMIT):
            self.answer({"id": REPOSITORY, "sha": COMMIT, "siblings": []})
        else:
            self.error(404, "RevisionNotFound")

    def tree(self) -> None:
        self.answer([self.entry(path) for path in self.hub.files])

    def entry(self, path: str) -> dict[str, Any]:
        content = self.hub.files[path]
        made = {"type": "file", "path": path, "size": len(content), "oid": etag(content)}
        if path in self.hub.large:
            made["lfs"] = {"oid": hashlib.sha256(content).hexdigest(), "size": len(content)}
        return made

    def file(self, path: str, *, body: bool) -> None:
        if self.hub.gated:
            self.error(403, "GatedRepo")
            return
        content = self.hub.files[path]
        headers = {"ETag": f'"{etag(content)}"', "X-Repo-Commit": COMMIT}
        self.reply(200, headers, content, body=body)
        if body:
            self.hub.asked.append(path)

    def answer(self, document: object) -> None:
        self.reply(200, {"Content-Type": "application/json"}, json.dumps(document).encode())

    def error(self, code: int, kind: str) -> None:
        self.reply(code, {"X-Error-Code": kind, "X-Error-Message": kind}, b"")

    def reply(
        self, code: int, headers: dict[str, str], content: bytes, *, body: bool = True
    ) -> None:
        self.send_response(code)
        for name, value in {**headers, "Content-Length": str(len(content))}.items():
            self.send_header(name, value)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Keep silent."""


def etag(content: bytes) -> str:
    """Git's name of a file."""
    header = b"blob %d\0" % len(content)
    return hashlib.sha1(header + content, usedforsecurity=False).hexdigest()
