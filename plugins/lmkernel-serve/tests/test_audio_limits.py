"""Limits of sounds, clients that leave, and how transcripts and other requests take turns."""

from __future__ import annotations

import http.client
import threading
import time
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np
import openai
import pytest
from lmkernel_serve import hearing
from lmkernel_serve.app import Limits
from lmkernel_serve.served import Served
from made_sounds import wave_bytes
from small_waves import RATE, wave_model

import lmkernel
from lmkernel.errors import InputError
from lmkernel.speech.outcome import Segment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

PATH = "/v1/audio/transcriptions"
QUIET = wave_bytes(np.zeros((RATE, 1)), RATE)
HEAD = (
    b'--x\r\nContent-Disposition: form-data; name="model"\r\n\r\nwaves\r\n'
    b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\n'
)
FORM = HEAD + QUIET + b"\r\n--x--\r\n"
PARTS = [Segment(0, 0.5, " one "), Segment(0.5, 1, " two")]


def until(holds: Callable[[], object]) -> None:
    for _ in range(2000):
        if holds():
            return
        time.sleep(0.005)
    raise AssertionError


class Held:
    """A server whose model that hears says two parts, each of which waits for a permit."""

    def __init__(self, address: str, served: Served, permits: threading.Semaphore) -> None:
        self.address, self.worker, self.permits = address, served.worker, permits
        self.begun: list[float] = []
        """Seconds of the sounds that the model has begun with."""
        self.said: list[str] = []

    def sent(self, body: bytes = FORM, **headers: str) -> http.client.HTTPConnection:
        """A connection with a request on its way."""
        connection = http.client.HTTPConnection(self.address.removeprefix("http://"), timeout=60)
        kind = {"Content-Type": "multipart/form-data; boundary=x"}
        connection.request("POST", PATH, body, {**kind, **headers})
        return connection

    def client(self) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.address}/v1", api_key="-", max_retries=0)


@pytest.fixture
def held(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serving: Any, tiny: Any
) -> Iterator[Held]:
    permits = threading.Semaphore(0)
    waves = Served("waves", lmkernel.load(wave_model(tmp_path / "waves")), most_rows=1)
    waves.worker._most = 2
    text = Served("tiny", tiny(tmp_path / "tiny"))
    limits = Limits(form=40_000, sound=2.0)

    def scripted(_: Any, sound: Any, options: Any) -> Iterator[Segment]:
        del options
        made.begun.append(sound.seconds)
        for one in PARTS:
            permits.acquire()
            made.said.append(f"{sound.seconds:.2f}{one.text}")
            yield one

    monkeypatch.setattr(hearing, "segments_of", scripted)
    with serving(waves, text, limits=limits) as address:
        made = Held(address, waves, permits)
        yield made
        permits.release(1000)


def told(connection: http.client.HTTPConnection) -> tuple[int, bytes]:
    with closing(connection):
        answer = connection.getresponse()
        return answer.status, answer.read()


def test_parts_of_two_sounds_take_turns(held: Held) -> None:
    body = HEAD + wave_bytes(np.zeros((RATE // 2, 1)), RATE) + b"\r\n--x--\r\n"
    first = held.sent()
    until(lambda: held.begun)
    second = held.sent(body)
    until(lambda: held.worker._sent)  # its turn comes after the one that waits for a permit
    held.permits.release(4)
    assert [told(one)[0] for one in (first, second)] == [200, 200]
    assert held.said == ["1.00 one ", "0.50 one ", "1.00 two", "0.50 two"]


def test_a_model_of_text_answers_while_a_sound_is_heard(held: Held) -> None:
    waiting = held.sent()
    until(lambda: held.worker._places == 1)
    with held.client() as client:
        answer = client.completions.create(model="tiny", prompt="the cat", max_tokens=3)
        assert answer.choices[0].finish_reason
    assert held.said == []
    held.permits.release(2)
    assert told(waiting)[0] == 200


def test_a_full_queue_refuses_who_comes_and_nobody_who_is_heard(held: Held) -> None:
    heard = held.sent(), held.sent()
    until(lambda: held.worker._places == 2)
    status, answer = told(held.sent())
    assert (status, b"queue_full" in answer) == (429, True)
    held.permits.release(4)
    assert [told(one)[0] for one in heard] == [200, 200]
    until(lambda: held.worker._places == 0)


@pytest.mark.parametrize("stream", [b"false", b"true"])
def test_a_client_that_goes_away_is_heard_no_further(held: Held, stream: bytes) -> None:
    field = b'--x\r\nContent-Disposition: form-data; name="stream"\r\n\r\n'
    connection = held.sent(field + stream + b"\r\n" + FORM)
    until(lambda: held.worker._places == 1)
    connection.close()
    until(lambda: held.worker._places == 0)
    held.permits.release(9)
    other = held.sent()
    assert told(other)[0] == 200
    assert held.said.count("1.00 two") == 1


def test_deltas_come_as_parts_settle(held: Held) -> None:
    held.permits.release(1)
    with held.client() as client:
        stream = client.audio.transcriptions.create(
            model="waves", file=("a.wav", QUIET), stream=True
        )
        events = iter(stream)
        first: Any = next(events)
        assert (first.delta, held.said) == ("one", ["1.00 one "])
        held.permits.release(1)
        rest: list[Any] = list(events)
    assert [one.type for one in rest] == ["transcript.text.delta", "transcript.text.done"]
    assert (rest[0].delta, rest[1].text) == ("  two", "one  two")


def test_the_time_of_a_transcript_is_limited(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serving: Any
) -> None:
    go = threading.Event()
    monkeypatch.setattr(hearing, "segments_of", lambda *_: iter(lambda: go.wait(60), None))
    waves = Served("waves", lmkernel.load(wave_model(tmp_path / "waves")))
    with serving(waves, limits=Limits(seconds=0.05)) as address:
        status, answer = told(Held(address, waves, threading.Semaphore()).sent())
        go.set()
    assert (status, b"the time of this request is over" in answer) == (504, True)


def test_an_error_within_a_stream_is_its_last_event(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> Iterator[Segment]:
        yield PARTS[0]
        raise InputError("expected finite samples")

    monkeypatch.setattr(hearing, "segments_of", broken)
    with held.client() as client:
        stream = client.audio.transcriptions.create(
            model="waves", file=("a.wav", QUIET), stream=True
        )
        events = iter(stream)
        assert next(events).type == "transcript.text.delta"
        with pytest.raises(openai.APIError, match="expected finite samples"):
            next(events)


def test_what_fails_is_the_servers_fault_and_ends_nothing_else(
    held: Held, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(hearing, "segments_of", lambda *_: iter([1 / 0]))
        status, answer = told(held.sent())
        assert (status, b"division" in answer) == (500, False)
    held.permits.release(2)
    assert told(held.sent())[0] == 200


def test_a_long_form_is_refused_before_it_is_read(held: Held) -> None:
    host = held.address.removeprefix("http://")
    with closing(http.client.HTTPConnection(host)) as connection:
        connection.putrequest("POST", PATH)
        connection.putheader("Content-Type", "multipart/form-data; boundary=x")
        connection.putheader("Content-Length", "100000000")
        connection.endheaders()
        assert connection.getresponse().status == 413


def test_a_long_form_that_nobody_announced_is_refused_before_its_end(held: Held) -> None:
    host = held.address.removeprefix("http://")
    with closing(http.client.HTTPConnection(host)) as connection:
        connection.putrequest("POST", PATH)
        connection.putheader("Content-Type", "multipart/form-data; boundary=x")
        connection.putheader("Transfer-Encoding", "chunked")
        connection.endheaders()
        connection.send(2 * (b"5000\r\n" + b" " * 0x5000 + b"\r\n"))
        assert connection.getresponse().status == 413


def test_a_long_sound_is_refused(held: Held) -> None:
    body = HEAD + wave_bytes(np.zeros((RATE * 2 + 1, 1)), RATE) + b"\r\n--x--\r\n"
    status, answer = told(held.sent(body))
    assert (status, b"expected 2 s of sound at most" in answer) == (400, True)


def test_a_client_that_goes_within_a_stream_is_heard_no_further(held: Held) -> None:
    held.permits.release(1)
    with held.client() as client:
        stream = client.audio.transcriptions.create(
            model="waves", file=("a.wav", QUIET), stream=True
        )
        assert next(iter(stream)).type == "transcript.text.delta"
        stream.close()
    until(lambda: held.worker._places == 0)
    assert held.said == ["1.00 one "]
