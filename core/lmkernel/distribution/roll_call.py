"""Before the framework's engine starts, process 0 sees that all are there and asked for the same.

Constraint: what comes over the network is bounded and compared, never run. Engines differ in what
they do when one process does not come, or has a port that is in use, up to an abort; here each
process gets one sentence.
"""

from __future__ import annotations

import json
import os
import socket
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from lmkernel.errors import PeerError, RunError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.contract.distribution import Processes

__all__ = ["call_roll"]

_MOST = 2**20
"""Bytes of one message."""
_PAUSE, _LEAVING = 0.1, 5.0
Facts = dict[str, str]


def call_roll(processes: Processes, facts: Mapping[str, str]) -> None:
    """Wait until all processes are there.

    Args:
        processes: which one this is.
        facts: what must be the same in each, by name.

    Raises:
        RunError: the port is in use, or one did not come in time.
        PeerError: process 0 cannot be reached, or says what is wrong with another.
    """
    own = {**facts, "processes": str(processes.count)}
    if processes.rank:
        _answer(processes, own)
    else:
        _ask(processes, own)


def _port(processes: Processes) -> int:
    # torchrun itself listens at the port that it names
    return processes.port + (os.environ.get("TORCHELASTIC_USE_AGENT_STORE") == "True")


def _ask(processes: Processes, own: Facts) -> None:
    """As process 0: hear all others, then tell each the same."""
    port, end = _port(processes), time.monotonic() + processes.timeout
    with ExitStack() as stack:
        here = "127.0.0.1" if processes.host in ("127.0.0.1", "localhost") else ""
        try:
            server = stack.enter_context(socket.create_server((here, port)))
        except OSError as error:
            raise RunError(
                f"process 0 cannot listen at port {port}: {error.strerror}; name another, such as "
                "MASTER_PORT=29600"
            ) from error
        came, wrong = _hear_all(server, stack, processes, own, end)
        missing = sorted(set(range(1, processes.count)) - came.keys())
        if missing and not wrong:
            named = f"{'es' * (len(missing) > 1)} {', '.join(map(str, missing[:8]))}"
            wrong = (
                f"expected {processes.count} processes within {processes.timeout:g} s, but "
                f"process{named} did not come"
            )
        for peer in came.values():
            _tell(peer, {"wrong": wrong})
    if wrong:
        raise RunError(wrong)


def _hear_all(
    server: socket.socket, stack: ExitStack, processes: Processes, own: Facts, end: float
) -> tuple[dict[int, socket.socket], str]:
    """Those that came, by rank, and what is wrong with one of them."""
    came: dict[int, socket.socket] = {}
    while len(came) < processes.count - 1:
        server.settimeout(max(end - time.monotonic(), 0.001))
        try:
            peer, _ = server.accept()
        except TimeoutError:
            break
        stack.enter_context(peer)
        told = _hear(peer, min(end, time.monotonic() + _LEAVING))  # a stranger may say nothing
        rank, facts = told.get("rank"), told.get("facts")
        if type(rank) is not int or rank < 1 or not isinstance(facts, dict):
            continue  # somebody else's connection
        if rank in came:
            return came, f"expected one process of each number, got two of number {rank}"
        came[rank] = peer
        if wrong := _difference(own, facts, rank):
            return came, wrong
    return came, ""


def _difference(own: Facts, other: Mapping[str, Any], rank: int) -> str:
    for name in sorted(own.keys() | other.keys()):
        if own.get(name) != other.get(name):
            return (
                f"{name}: expected the same in all processes, got {own.get(name)} in process 0 and "
                f"{str(other.get(name))[:200]} in process {rank}"
            )
    return ""


def _answer(processes: Processes, own: Facts) -> None:
    """As another process: find process 0, say what is asked for, and hear whether all is well."""
    end = time.monotonic() + processes.timeout
    address = processes.host, _port(processes)
    who = f"process {processes.rank}: expected process 0 at {address[0]}:{address[1]}"
    with _connect(address, end, who) as peer:
        _send(peer, {"rank": processes.rank, "facts": own})
        # process 0 may have come later, and then waits for longer
        told = _hear(peer, end + processes.timeout)
    wrong = told.get("wrong")
    if wrong is None:
        raise PeerError(f"{who}, which came and ended")
    if wrong:
        raise PeerError(str(wrong))


def _connect(address: tuple[str, int], end: float, who: str) -> socket.socket:
    while True:
        left = end - time.monotonic()
        try:
            return socket.create_connection(address, timeout=max(left, 0.001))
        except OSError as error:
            if left <= _PAUSE:
                raise PeerError(f"{who}, which cannot be reached: {error}") from error
        time.sleep(_PAUSE)


def _send(peer: socket.socket, message: Mapping[str, Any]) -> None:
    data = json.dumps(message).encode()
    peer.sendall(len(data).to_bytes(4, "big") + data)


def _tell(peer: socket.socket, message: Mapping[str, Any]) -> None:
    """Send, and let the other side leave first, so that the port is free at once."""
    try:
        _send(peer, message)
        peer.settimeout(_LEAVING)
        peer.recv(1)
    except OSError:
        pass  # gone; the engine finds out


def _hear(peer: socket.socket, end: float) -> dict[str, Any]:
    """One message; empty where there is none."""
    try:
        size = int.from_bytes(_read(peer, 4, end), "big")
        told = json.loads(_read(peer, size, end)) if 0 < size <= _MOST else {}
    except (OSError, ValueError, RecursionError):
        return {}
    return told if isinstance(told, dict) else {}


def _read(peer: socket.socket, size: int, end: float) -> bytes:
    data = b""
    while len(data) < size:
        peer.settimeout(max(end - time.monotonic(), 0.001))
        more = peer.recv(size - len(data))
        if not more:
            raise OSError("the connection ended")
        data += more
    return data
