"""What a plugin prints goes to standard error, and its warnings at import are its own."""
# ruff: noqa: T201 - printing is what is tested

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import warnings
from typing import TYPE_CHECKING

import pytest
from bad_plugins import HOOK

from lmkernel.backend import load_backend
from lmkernel.cli.main import main
from lmkernel.errors import LmkernelError, PluginError
from lmkernel.plugins import Registry
from lmkernel.plugins.guard import plugin_code

if TYPE_CHECKING:
    from bad_plugins import Site

NOISY = f"""
import sys, warnings
def noise(where):
    print(f"printed in {{where}}")
    sys.stdout.write(f"written in {{where}}\\n")
    warnings.warn(f"warned in {{where}}", stacklevel=1)

noise("import")

{HOOK}():
    noise("hook")
    return [BackendSpec(name="noisy", **(GOOD | dict(load="noisy_plugin:create")))]

def create(device):
    noise("create")
    import lmkernel_numpy.backend
    return lmkernel_numpy.backend.create(device)
"""
EXITING = "raise SystemExit(0)"
LOADED_AND_LISTED = """
from lmkernel.backend import load_backend
from lmkernel.cli.main import main
load_backend("noisy")
raise SystemExit(main(["backends", "--json"]))
"""


@pytest.mark.parametrize("options", [[], ["-W", "error"]])
def test_json_stays_json_and_nothing_ends_in_silence(site: Site, options: list[str]) -> None:
    site.add("noisy", NOISY)
    site.add("exiting", EXITING)
    command = [sys.executable, *options, "-c", LOADED_AND_LISTED]
    environment = {**os.environ, "PYTHONPATH": str(site.folder)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert {"numpy", "good", "noisy"} <= {row["name"] for row in json.loads(done.stdout)}
    assert "plugin 'exiting' cannot be imported: SystemExit: 0" in done.stderr
    for how in ("printed", "written", "warned"):
        assert all(f"{how} in {where}" in done.stderr for where in ("import", "hook", "create"))


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_list_comes_beside_a_plugin_that_closes_a_stream(site: Site, name: str) -> None:
    site.add("closing", f"import sys; sys.{name}.close()")
    environment = {**os.environ, "PYTHONPATH": str(site.folder)}
    command = [sys.executable, "-m", "lmkernel.cli", "backends", "--json"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "numpy" in {row["name"] for row in json.loads(done.stdout)}


def test_help_lists_the_commands_beside_a_plugin_that_exits(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.add("exiting", EXITING)
    assert main(["--help"], registry=Registry()) == 0
    assert "generate" in capsys.readouterr().out


def test_a_command_whose_class_exits_is_an_error(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = "CommandSpec(name='leave', load='leaving_plugin:Leave', contract='1.0', help='leave')"
    site.add(
        "leaving",
        f"""
from lmkernel.cli import Command
class Leave(Command):
    def __init__(self, registry): raise SystemExit(0)
    def configure(self, parser): pass
    def run(self, args): return 0
@hookimpl
def lmkernel_register_commands():
    return [{spec}]
""",
    )
    assert main(["leave"], registry=Registry()) == 1
    assert "command 'leave', leaving_plugin:Leave: SystemExit: 0" in capsys.readouterr().err


def test_standard_output_that_is_kept_serves_afterwards(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with plugin_code("test"):
        kept = sys.stdout
        print("aside", file=kept)
    print("kept", file=kept)
    print("own")
    assert capsys.readouterr() == ("kept\nown\n", "aside\n")


def test_other_threads_print_where_they_did(capsys: pytest.CaptureFixture[str]) -> None:
    with plugin_code("test"):
        thread = threading.Thread(target=print, args=("thread",))
        thread.start()
        thread.join()
        print("plugin")
    assert capsys.readouterr() == ("thread\n", "plugin\n")


def test_blocks_that_overlap_in_threads_leave_standard_output(
    capsys: pytest.CaptureFixture[str],
) -> None:
    inside, leave = threading.Event(), threading.Event()

    def hold() -> None:
        with plugin_code("thread"):
            inside.set()
            leave.wait()

    thread = threading.Thread(target=hold)
    with plugin_code("test"):
        thread.start()
        inside.wait()
    print("first has ended")
    leave.set()
    thread.join()
    print("both have ended")
    assert capsys.readouterr() == ("first has ended\nboth have ended\n", "")


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_blocks_that_overlap_leave_no_more_than_one_in_the_place_of_a_stream(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    before = getattr(sys, name)
    monkeypatch.setattr(sys, name, before)  # puts it back
    for _ in range(3):
        first, second = plugin_code("first"), plugin_code("second")
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        second.__exit__(None, None, None)
    with plugin_code("alone"):
        assert getattr(sys, name).own is before


@pytest.mark.parametrize("missing", ["stdout", "stderr"])
def test_a_process_without_a_stream(monkeypatch: pytest.MonkeyPatch, missing: str) -> None:
    monkeypatch.setattr(sys, missing, None)
    with plugin_code("test"):
        print("nowhere to go")


def test_a_filter_that_raises_is_back_afterwards() -> None:
    before = list(warnings.filters)
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("error")
        with plugin_code("test"):
            warn("shown")
        with pytest.raises(UserWarning, match="shown"):
            warn("shown")
    assert [str(warning.message) for warning in shown] == ["shown"]
    assert list(warnings.filters) == before


def test_a_filter_that_a_framework_sets_for_good_stays() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with plugin_code("test"):
            warnings.filterwarnings("ignore", message="of the framework")
        warn("of the framework")
        with pytest.raises(UserWarning, match="of the user"):
            warn("of the user")


def warn(text: str) -> None:
    warnings.warn(text, UserWarning, stacklevel=1)


def test_what_is_let_through_is_raised_as_it_is() -> None:
    with pytest.raises(LmkernelError, match="meant") as caught, plugin_code("test", LmkernelError):
        raise LmkernelError("meant")
    assert not isinstance(caught.value, PluginError)
    with pytest.raises(PluginError, match="test: meant"), plugin_code("test"):
        raise LmkernelError("meant")


def test_a_backend_that_warns_is_loaded_where_warnings_are_errors(site: Site) -> None:
    site.add("noisy", NOISY)
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("error")
        assert load_backend("noisy", registry=Registry()).device == "cpu"
    assert "warned in create" in [str(warning.message) for warning in shown]


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_plugin_that_closes_a_stream_closes_nothing_of_the_programs(
    capsys: pytest.CaptureFixture[str], name: str
) -> None:
    with plugin_code("plugin 'bad'"):
        getattr(sys, name).close()
    print("out")
    print("err", file=sys.stderr)
    assert capsys.readouterr() == ("out\n", "err\n")


@pytest.mark.parametrize("name", ["stdout", "stderr"])
@pytest.mark.parametrize("left", [None, 5, "text"])
def test_what_is_no_stream_does_not_stay_in_the_place_of_one(
    monkeypatch: pytest.MonkeyPatch, name: str, left: object
) -> None:
    before = getattr(sys, name)
    monkeypatch.setattr(sys, name, before)  # puts it back if this fails
    with plugin_code("plugin 'bad'"):
        setattr(sys, name, left)
    assert getattr(sys, name) is before


@pytest.mark.parametrize("name", ["stdout", "stderr"])
def test_a_stream_that_was_deleted_is_back(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    before = getattr(sys, name)
    monkeypatch.setattr(sys, name, before)  # puts it back if this fails
    with plugin_code("plugin 'bad'"):
        delattr(sys, name)
    assert getattr(sys, name) is before
