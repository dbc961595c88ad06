"""One process fails, and every other says so; the engine is left as the process ends."""

from __future__ import annotations

import json

import pytest

from lmkernel.backend import load_backend
from lmkernel.composed.alone import Alone
from lmkernel.contract.distribution import Processes
from lmkernel.distribution.agreement import agree, any_of, joined, tell_failure
from lmkernel.errors import InputError, PeerError


class Engine:  # as much of a `Distribution` as is asked for
    """One of two processes, whose other one says what it is given."""

    def __init__(self, other: bytes = b"") -> None:
        self.processes = Processes(count=2, rank=1)
        self.other = other
        self.said: list[bytes] = []
        self.codes: list[int] = []

    def exchange(self, data: bytes) -> list[bytes]:
        self.said.append(data)
        return [self.other, data]

    def is_loss(self, error: Exception) -> bool:
        return "peer" in str(error)

    def close(self, code: int = 0) -> None:
        self.codes.append(code)


def test_what_process_0_says_is_given_back() -> None:
    engine = Engine(json.dumps({"data": "x", "own_folder": "run"}).encode())
    assert agree(engine, data="x", own_folder="")["own_folder"] == "run"


def test_a_difference_is_named() -> None:
    engine = Engine(json.dumps({"data": "y"}).encode())
    with pytest.raises(PeerError, match=r"data: .* got y in process 0 and x in process 1"):
        agree(engine, data="x")


def test_the_failure_of_another_is_named() -> None:
    engine = Engine(json.dumps({"error": "no room"}).encode())
    with pytest.raises(PeerError, match=r"^process 0 of 2: no room$"):
        agree(engine, data="x")


def test_a_failure_is_told_once_and_raised() -> None:
    engine = Engine()
    with pytest.raises(InputError, match="no rows"), tell_failure(engine):
        raise InputError("no rows")
    assert [json.loads(one) for one in engine.said] == [{"error": "no rows"}]


def test_a_lost_process_is_named_in_one_sentence() -> None:
    engine = Engine()
    sentence = r"process 1 of 2: .* cannot be reached \(Connection closed by peer\)$"
    with pytest.raises(PeerError, match=sentence), joined(engine):
        raise RuntimeError("[/a/gloo/pair.cc:553] Connection closed by peer. This is typical\nat …")
    assert engine.codes == [PeerError.exit_code]


def test_another_error_is_itself_and_leaves_at_once() -> None:
    engine = Engine()
    with pytest.raises(RuntimeError, match="a bug"), joined(engine):
        raise RuntimeError("a bug")
    assert engine.codes == [1]


def test_the_engine_is_left_in_peace_where_all_is_well() -> None:
    engine = Engine()
    with joined(engine):
        pass
    assert engine.codes == [0]


class Deserted(Engine):
    """The other one is gone when this one waits for it at the end."""

    def close(self, code: int = 0) -> None:
        super().close(code)
        if not code:
            raise RuntimeError("Connection closed by peer")


def test_one_that_is_gone_at_the_end_is_named_too() -> None:
    engine = Deserted()
    with pytest.raises(PeerError, match="cannot be reached"), joined(engine):
        pass
    assert engine.codes == [0, PeerError.exit_code]


@pytest.mark.parametrize(("other", "asked"), [(b"0", False), (b"1", False), (b"0", True)])
def test_any_process_can_ask(other: bytes, asked: bool) -> None:
    assert any_of(Engine(other), asked=asked) is (asked or other == b"1")


def test_one_process_agrees_with_itself() -> None:
    alone = Alone(load_backend("numpy").ops)
    assert agree(alone, data="x") == {"data": "x"}
    assert not any_of(alone, asked=False)
