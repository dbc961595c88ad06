"""Trackers are told everything; what is wrong with one stops neither the run nor another."""

from __future__ import annotations

from concurrent.futures import Future
from typing import TYPE_CHECKING, Any

import pytest
from made_trackers import Rogue, Stuck, registry

from lmkernel import own_thread
from lmkernel.errors import RunError, UnknownNameError
from lmkernel.training.run import trackers as module
from lmkernel.training.run.trackers import Trackers, open_trackers
from lmkernel.training.trackers import RunInfo

if TYPE_CHECKING:
    from pathlib import Path


def opened(folder: Path, *names: str, said: list[str] | None = None) -> Trackers:
    run = RunInfo(name="first", folder=folder, step=3)
    lines: list[str] = [] if said is None else said
    with registry().use():
        return open_trackers(names, run, say=lines.append)


def diary(folder: Path) -> list[str]:
    path = folder / "diary"
    return path.read_text().splitlines() if path.exists() else []


def test_tracker_is_opened_told_and_closed(tmp_path: Path) -> None:
    with opened(tmp_path, "diary") as trackers:
        trackers.log(4, {"train/loss": 1.5})
    assert diary(tmp_path) == [
        "diary open first 3",
        "diary log 4 {'train/loss': 1.5}",
        "diary close finished",
    ]


def test_name_that_is_there_twice_opens_one(tmp_path: Path) -> None:
    opened(tmp_path, "diary", "diary").close("finished")
    assert diary(tmp_path) == ["diary open first 3", "diary close finished"]


def test_closing_twice_closes_once(tmp_path: Path) -> None:
    with opened(tmp_path, "diary") as trackers:
        trackers.close("interrupted")
    assert diary(tmp_path)[1:] == ["diary close interrupted"]


@pytest.mark.parametrize(
    ("error", "status"), [(KeyboardInterrupt, "interrupted"), (OSError, "failed")]
)
def test_end_of_the_run_is_told(tmp_path: Path, error: type[BaseException], status: str) -> None:
    with pytest.raises(error), opened(tmp_path, "diary"):
        raise error
    assert diary(tmp_path)[-1] == f"diary close {status}"


def test_what_one_tracker_does_to_the_values_no_other_sees(tmp_path: Path) -> None:
    values = {"train/loss": 1.0}
    opened(tmp_path, "diary", "brittle").log(1, values)
    assert diary(tmp_path)[-1] == "brittle log 1 {'train/loss': 1.0}"
    assert values == {"train/loss": 1.0}


def test_unknown_name_opens_none(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown tracker 'dairy'. Did you mean 'diary'\?"):
        opened(tmp_path, "diary", "dairy")
    assert diary(tmp_path) == []


def test_tracker_that_cannot_be_opened_stops_the_run(tmp_path: Path) -> None:
    expected = "tracker 'shut' cannot be opened: ConnectionError: no server for first"
    with pytest.raises(RunError, match=expected):
        opened(tmp_path, "diary", "shut")
    assert diary(tmp_path) == ["diary open first 3", "diary close failed"]


def test_tracker_that_fails_is_named_once_and_left_out(tmp_path: Path) -> None:
    said: list[str] = []
    with opened(tmp_path, "brittle", "diary", said=said) as trackers:
        for step in (1, 2, 3):
            trackers.log(step, {})
    assert said == ["tracker 'brittle' fails and is left out from here on: ValueError: broken"]
    assert [line for line in diary(tmp_path) if "brittle" in line] == [
        "brittle log 1 {}",
        "brittle log 2 {}",
        "brittle close failed",
    ]
    assert "diary log 3 {}" in diary(tmp_path)


def test_tracker_that_cannot_be_closed_keeps_no_other_from_it(tmp_path: Path) -> None:
    said: list[str] = []
    opened(tmp_path, "sticky", "diary", said=said).close("finished")
    assert said == ["tracker 'sticky' cannot be closed: OSError: cannot write finished"]
    assert diary(tmp_path)[-1] == "diary close finished"


class MuteError(Exception):
    def __str__(self) -> str:
        raise ValueError


@pytest.mark.parametrize(
    ("error", "named"),
    [
        (SystemExit(0), "SystemExit: 0"),
        (GeneratorExit(), "GeneratorExit: "),
        (MuteError(), "MuteError: its message cannot be had, ValueError"),
    ],
)
def test_whatever_a_tracker_raises_the_run_goes_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    error: BaseException,
    named: str,
) -> None:
    monkeypatch.setattr(Rogue, "error", error, raising=False)
    said: list[str] = []
    with opened(tmp_path, "rogue", "diary", said=said) as trackers:
        trackers.log(1, {})
        trackers.log(2, {})
    assert said == [f"tracker 'rogue' fails and is left out from here on: {named}".rstrip()]
    assert diary(tmp_path)[-2:] == ["diary log 2 {}", "diary close finished"]
    assert capsys.readouterr() == ("", "rogue")


def test_an_interrupt_inside_a_tracker_stops_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Rogue, "error", KeyboardInterrupt(), raising=False)
    with pytest.raises(KeyboardInterrupt):
        opened(tmp_path, "rogue").log(1, {})


class Attended(Future[Any]):
    """Is waited for until it comes, or until its tracker is stuck, however slow the machine is."""

    def result(self, timeout: float | None = None) -> Any:
        while timeout is not None and not self.done():
            if Stuck.reached.wait(0.01):
                Stuck.reached.clear()
                raise TimeoutError
        return super().result()


@pytest.mark.parametrize(
    ("at", "sentence", "calls"),
    [
        ("log", "fails and is left out from here on", ["log"]),
        ("close", "cannot be closed", ["log", "log", "close"]),
    ],
)
def test_tracker_that_does_not_come_back_is_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str, sentence: str, calls: list[str]
) -> None:
    monkeypatch.setattr(module, "PATIENCE", 2.0)
    monkeypatch.setattr(own_thread, "Future", Attended)
    monkeypatch.setattr(Stuck, "at", at, raising=False)
    said: list[str] = []
    with opened(tmp_path, "stuck", "diary", said=said) as trackers:
        trackers.log(1, {})
        trackers.log(2, {})
    assert said == [f"tracker 'stuck' {sentence}: no answer within 2 seconds"]
    assert Stuck.calls == calls
    assert diary(tmp_path)[-2:] == ["diary log 2 {}", "diary close finished"]


def test_tracker_is_called_in_one_thread(tmp_path: Path) -> None:
    said: list[str] = []
    with opened(tmp_path, "bound", said=said) as trackers:
        trackers.log(1, {})
    assert said == []
