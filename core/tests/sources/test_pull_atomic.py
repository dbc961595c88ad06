"""A pull is all or nothing, whatever stops it, and one at a time."""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from made_sources import registry

from lmkernel.errors import PluginError, PullError
from lmkernel.sources import Progress, pull
from lmkernel.sources.store import folder_of, pulled_models, size_of

if TYPE_CHECKING:
    from collections.abc import Callable

KILLED = """
import sys
from made_sources import registry
from lmkernel.sources import Progress, pull
pull("tiny", registry=registry("Endless", "tiny"), progress=Progress(sys.stdout), force=True)
"""


def leftovers(models: Path) -> list[str]:
    return [f.name for f in models.iterdir() if f.name.endswith((".part", ".rest"))]


def content(path: Path) -> int:
    return int(json.loads((path / "config.json").read_text())["count"])


def until(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + 30
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def kill_in_the_middle() -> None:
    here = str(Path(__file__).parents[1] / "support")
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True, cwd=here
    ) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "half of tiny\n"
        child.kill()


def test_killed_pull_leaves_nothing_visible(models: Path) -> None:
    kill_in_the_middle()
    assert pulled_models() == {}
    (left,) = leftovers(models)
    assert re.fullmatch(r"\.tiny\.[0-9a-f]{12}\.part", left)


def test_pull_after_a_killed_one_completes(models: Path) -> None:
    kill_in_the_middle()
    path = pull("tiny", registry=registry("Whole", "tiny"))
    assert content(path) == 1
    assert leftovers(models) == []


@pytest.mark.usefixtures("models")
def test_killed_forced_pull_keeps_what_was_there() -> None:
    path = pull("tiny", registry=registry("Whole", "tiny"))
    kill_in_the_middle()
    assert content(path) == 1


def test_m4_what_a_killed_forced_pull_left_goes_with_the_next_pull_of_anything(
    models: Path,
) -> None:
    pull("tiny", registry=registry("Whole", "tiny"))
    kill_in_the_middle()
    pull("other", registry=registry("Whole", "other"))
    assert leftovers(models) == []


@pytest.mark.usefixtures("models")
def test_pull_again_says_so_and_fetches_nothing() -> None:
    said = io.StringIO()
    served = registry("Whole", "tiny")
    pull("tiny", registry=served)
    path = pull("tiny", registry=served, progress=Progress(said))
    assert said.getvalue() == "tiny is there already; --force pulls it anew\n"
    assert content(path) == 1


def test_force_replaces(models: Path) -> None:
    served = registry("Whole", "tiny")
    pull("tiny", registry=served)
    path = pull("tiny", registry=served, force=True)
    assert content(path) == 2
    assert leftovers(models) == []


@pytest.mark.parametrize("kind", ["DiskFull", "Nothing"])
def test_failed_pull_leaves_nothing(models: Path, kind: str) -> None:
    with pytest.raises(PullError):
        pull("tiny", registry=registry(kind, "tiny"))
    assert pulled_models() == {}
    assert leftovers(models) == []


def test_interrupt_leaves_nothing(models: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        pull("tiny", registry=registry("InterruptedSource", "tiny"))
    assert pulled_models() == {}
    assert leftovers(models) == []


def test_full_disk_names_folder_and_variable(models: Path) -> None:
    with pytest.raises(PullError, match=rf"{models}: .*No space left on device; LMKERNEL_HOME"):
        pull("tiny", registry=registry("DiskFull", "tiny"))


def test_unwritable_home_is_an_error_of_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("LMKERNEL_HOME", str(tmp_path / "file"))
    with pytest.raises(PullError, match=r"set LMKERNEL_HOME to another$"):
        pull("tiny", registry=registry("Whole", "tiny"))


@pytest.mark.usefixtures("models")
def test_spec_that_gives_no_source_is_named() -> None:
    with pytest.raises(PluginError, match=r"'made': expected made_sources:NoSource to give a Sou"):
        pull("tiny", registry=registry("NoSource", "tiny"))


def test_concurrent_pulls_fetch_once(models: Path) -> None:
    said = io.StringIO()
    served = registry("Patient", "tiny")
    first = threading.Thread(target=pull, args=("tiny",), kwargs={"registry": served})
    first.start()
    until(lambda: list(models.glob(".tiny.*.part/tiny")))
    second = threading.Thread(
        target=pull, args=("tiny",), kwargs={"registry": served, "progress": Progress(said)}
    )
    second.start()
    until(said.getvalue)
    (models.parent / "go").touch()
    first.join()
    second.join()
    assert said.getvalue() == "waiting for another process that pulls tiny\n"
    assert content(folder_of("tiny")) == 1


@pytest.mark.usefixtures("models")
def test_size_counts_all_files() -> None:
    path = pull("tiny", registry=registry("Whole", "tiny"))
    before = size_of(path)
    (path / "sub").mkdir()
    (path / "sub" / "more").write_bytes(bytes(99))
    assert size_of(path) == before + 99


def test_a_source_that_would_end_the_program_is_named(models: Path) -> None:
    with pytest.raises(PluginError, match=r"^model source 'made', 'tiny': SystemExit: 0$"):
        pull("tiny", registry=registry("Leaving", "tiny"))
    assert pulled_models() == {}
    assert leftovers(models) == []
