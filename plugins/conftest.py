"""Fixtures that the tests of several plugins share."""
# ruff: noqa: INP001 - tests are not a package

from __future__ import annotations

import select
import socket
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

INTERNET = (socket.AF_INET, socket.AF_INET6)


@pytest.fixture(scope="session")
def trap() -> Iterator[socket.socket]:
    """A server that nobody may connect to."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def offline(trap: socket.socket, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fail a test if this process or a child of it, whose proxy is a trap, uses the network."""
    attempts: list[Any] = []

    def connect(self: socket.socket, address: Any) -> None:
        if self.family in INTERNET:
            attempts.append(address)
            raise ConnectionRefusedError(address)
        super(socket.socket, self).connect(address)

    def getaddrinfo(*arguments: Any, **_: Any) -> Any:
        attempts.append(arguments)
        raise socket.gaierror

    monkeypatch.setattr(socket.socket, "connect", connect)
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        for spelling in (name, name.upper()):
            monkeypatch.setenv(spelling, f"http://127.0.0.1:{trap.getsockname()[1]}")
    for spelling in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(spelling, raising=False)
    yield
    for server in select.select([trap], [], [], 0)[0]:
        connection, address = server.accept()
        connection.close()
        attempts.append(address)
    if attempts:
        pytest.fail(f"expected no connection, got {attempts}")
