"""What the kernel counts of this process's connections."""

from __future__ import annotations

import socket
import sys
import threading

import pytest

from lmkernel.distribution.traffic import sent_bytes

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Linux alone counts it")

SIZE = 1 << 20


def read_all(connection: socket.socket) -> None:
    left = SIZE
    while left:
        left -= len(connection.recv(min(left, 1 << 16)))


def test_what_is_sent_over_tcp_is_counted() -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as one,
        server.accept()[0] as other,
    ):
        before = sent_bytes() or 0
        reader = threading.Thread(target=read_all, args=(other,))
        reader.start()
        one.sendall(b"x" * SIZE)
        reader.join()
        assert (sent_bytes() or 0) - before == SIZE


def test_files_and_other_sockets_are_not_counted() -> None:
    before = sent_bytes() or 0
    one, other = socket.socketpair()
    with one, other:
        one.sendall(b"x" * 100)
        assert (sent_bytes() or 0) == before
