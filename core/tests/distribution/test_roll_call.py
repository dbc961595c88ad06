"""All come and ask for the same, or each hears one sentence."""

from __future__ import annotations

import contextlib
import socket
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from lmkernel.contract.distribution import Processes
from lmkernel.distribution.roll_call import call_roll
from lmkernel.errors import PeerError, RunError

if TYPE_CHECKING:
    from collections.abc import Mapping


@pytest.fixture
def port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        free: int = server.getsockname()[1]
    return free


def answers(
    port: int, count: int, facts: Mapping[int, dict[str, str]], timeout: float = 20
) -> dict[int, str]:
    """What each process hears, by rank; empty where all is well."""

    def call(rank: int) -> str:
        own = Processes(count=count, rank=rank, port=port, timeout=timeout)
        try:
            call_roll(own, facts[rank])
        except RunError as error:
            return f"{type(error).__name__}: {error}"
        return ""

    with ThreadPoolExecutor(len(facts)) as pool:
        return dict(zip(facts, pool.map(call, facts), strict=True))


def test_all_that_ask_for_the_same_go_on(port: int) -> None:
    assert answers(port, 3, {rank: {"steps": "4"} for rank in range(3)}) == dict.fromkeys(
        range(3), ""
    )


def test_the_port_is_free_afterwards(port: int) -> None:
    answers(port, 2, {0: {}, 1: {}})
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_those_that_disagree_are_named_to_all(port: int) -> None:
    heard = answers(port, 2, {0: {"steps": "4"}, 1: {"steps": "5"}})
    sentence = "steps: expected the same in all processes, got 4 in process 0 and 5 in process 1"
    assert heard == {0: f"RunError: {sentence}", 1: f"PeerError: {sentence}"}


def test_one_that_does_not_come_is_named_to_all(port: int) -> None:
    heard = answers(port, 3, {0: {}, 2: {}}, timeout=1)
    sentence = "expected 3 processes within 1 s, but process 1 did not come"
    assert heard == {0: f"RunError: {sentence}", 2: f"PeerError: {sentence}"}


def test_process_0_that_does_not_come_is_named(port: int) -> None:
    heard = answers(port, 2, {1: {}}, timeout=0.5)
    assert f"expected process 0 at 127.0.0.1:{port}, which cannot be reached" in heard[1]


def test_a_port_in_use_is_named(port: int) -> None:
    with socket.create_server(("127.0.0.1", port)), pytest.raises(RunError, match="cannot listen"):
        call_roll(Processes(count=2, rank=0, port=port, timeout=1), {})


def test_two_of_one_number_are_refused(port: int) -> None:
    with ThreadPoolExecutor(3) as pool:
        numbers = (0, 1, 1)
        calls = [
            pool.submit(call_roll, Processes(count=3, rank=rank, port=port, timeout=20), {})
            for rank in numbers
        ]
    with pytest.raises(RunError, match="two of number 1"):
        calls[0].result()


@pytest.mark.parametrize(
    "said", [b"", b"GET / HTTP/1.1\r\n\r\n", b"\x00\x00\x00\x02{}", b"\xff" * 9]
)
def test_strangers_are_passed_over(port: int, said: bytes) -> None:
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(call_roll, Processes(count=2, rank=0, port=port, timeout=20), {})
        for _ in range(200):
            with contextlib.suppress(ConnectionRefusedError):
                with socket.create_connection(("127.0.0.1", port)) as stranger:
                    stranger.sendall(said)
                break
        call_roll(Processes(count=2, rank=1, port=port, timeout=20), {})
        first.result()


def test_another_number_of_processes_is_a_difference(port: int) -> None:
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(call_roll, Processes(count=2, rank=0, port=port, timeout=20), {})
        with pytest.raises(PeerError, match="processes: expected the same"):
            call_roll(Processes(count=3, rank=1, port=port, timeout=20), {})
        with pytest.raises(RunError, match="got 2 in process 0 and 3 in process 1"):
            first.result()
