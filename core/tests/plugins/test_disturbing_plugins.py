"""What a plugin does to the process while it is loaded is put back, and told by its name."""

from __future__ import annotations

import builtins
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from bad_plugins import HOOK

from lmkernel.plugins import BackendSpec, Registry
from lmkernel.plugins.process import kept_process

if TYPE_CHECKING:
    from bad_plugins import Site

DISTURBS = {
    "limit": ("sys.setrecursionlimit(70)", "the limit of recursion"),
    "folder": ("os.chdir(os.path.dirname(__file__))", "the working directory"),
    "print": ("builtins.print = lambda *_, **__: None", "builtins.print"),
    "deleted": ("del builtins.sorted", "builtins.sorted"),
    "all": (
        "sys.setrecursionlimit(70); os.chdir('/'); builtins.abs = builtins.print = None",
        "the limit of recursion, the working directory, builtins.abs, builtins.print",
    ),
}
IMPORTS = "import atexit, builtins, os, sys, threading\n"
LATE = "BackendSpec(name='late', **(GOOD | dict(load='late_plugin:create')))"
LOADED = f"{HOOK}():\n    return [{LATE}]\n"


def listed(site: Site) -> tuple[int, str, str]:
    """What the program says of the backends, beside the plugins of a site."""
    environment = {**os.environ, "PYTHONPATH": str(site.folder)}
    command = [sys.executable, "-m", "lmkernel", "backends", "--json"]
    done = subprocess.run(
        command, env=environment, capture_output=True, text=True, check=False, timeout=120
    )
    return done.returncode, done.stdout, done.stderr


def parametrize_disturbs() -> pytest.MarkDecorator:
    return pytest.mark.parametrize(("does", "changed"), list(DISTURBS.values()), ids=list(DISTURBS))


def told(who: str, changed: str) -> str:
    return f"{who} changed {changed} while it was loaded; what was before is back"


@parametrize_disturbs()
@pytest.mark.parametrize("at", ["import", "hook"])
def test_what_is_changed_is_back_and_told_once(
    site: Site, does: str, changed: str, at: str
) -> None:
    hook = f"{HOOK}():\n    {does if at == 'hook' else 'pass'}\n    return []\n"
    site.add("bad", f"{IMPORTS}{does if at == 'import' else ''}\n{hook}")
    code, out, err = listed(site)
    who = "plugin 'bad'" + (", lmkernel_register_backends" if at == "hook" else "")
    assert code == 0, err
    assert {"numpy", "good"} <= {row["name"] for row in json.loads(out)}
    assert err.splitlines() == [f"lmkernel: warning: {told(who, changed)}"]


@parametrize_disturbs()
def test_what_a_backend_changes_is_back_too(site: Site, does: str, changed: str) -> None:
    does = does.replace("70", "900")  # pytest has called more than 70 functions
    site.add("late", f"{IMPORTS}{LOADED}def create(device):\n    {does}\n    return 1\n")
    spec = Registry().get(BackendSpec, "late")
    before = sys.getrecursionlimit(), Path.cwd(), dict(vars(builtins))
    with pytest.warns(UserWarning, match="back$") as warned:
        assert spec.create("cpu") == 1
    assert [str(one.message) for one in warned] == [told("backend 'late'", changed)]
    assert (sys.getrecursionlimit(), Path.cwd(), dict(vars(builtins))) == before


def test_a_plugin_that_fails_as_well_is_told_of_both(site: Site) -> None:
    site.add("bad", f"{IMPORTS}sys.setrecursionlimit(900)\nraise ValueError('odd')")
    said = [str(error) for name, error in Registry().problems if name == "bad"]
    fault = "plugin 'bad' cannot be imported: ValueError: odd"
    assert said == [told("plugin 'bad'", "the limit of recursion"), fault]


def test_a_limit_that_was_raised_and_a_name_that_was_added_stay(site: Site) -> None:
    site.add("fine", f"{IMPORTS}sys.setrecursionlimit(5000); builtins._ = str\n")
    code, _, err = listed(site)
    assert (code, err) == (0, "")
    before = sys.getrecursionlimit()
    try:
        with kept_process("plugin 'fine'", pytest.fail):
            sys.setrecursionlimit(before + 1)
        assert sys.getrecursionlimit() == before + 1
    finally:
        sys.setrecursionlimit(before)


def test_a_working_directory_that_was_removed_is_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with kept_process("plugin 'good'", pytest.fail):
        os.chdir(tmp_path)


def test_what_is_printed_at_the_end_is_no_result(site: Site) -> None:
    kept = "out = sys.stdout\natexit.register(lambda: (print('end'), out.write('kept\\n')))\n"
    site.add("bad", f"{IMPORTS}{kept}")
    code, out, err = listed(site)
    assert code == 0
    json.loads(out)
    assert err == "end\nkept\n"


@pytest.mark.parametrize("at", ["import", "hook"])
def test_a_thread_that_does_not_end_keeps_no_command(site: Site, at: str) -> None:
    does = "threading.Thread(target=threading.Event().wait).start()"
    hook = f"{HOOK}():\n    {does if at == 'hook' else 'pass'}\n    return []\n"
    site.add("bad", f"{IMPORTS}{does if at == 'import' else ''}\n{hook}")
    end = "atexit.register(lambda: sys.stderr.write('ended\\n'))"
    site.add("tidy", f"{IMPORTS}{end}\n")
    code, out, err = listed(site)
    assert (code, err) == (0, "ended\n")
    json.loads(out)


def test_threads_of_the_program_are_waited_for(site: Site) -> None:
    script = (
        "import sys, threading, time\n"
        "from lmkernel.start import main\n"
        "asked = threading.Event()\n"
        "def last():\n"
        "    asked.wait()\n"
        "    print('waited', file=sys.stderr)\n"
        "threading.Thread(target=last).start()\n"
        "code = main()\n"
        "asked.set()\n"
        "sys.exit(code)\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(site.folder)}
    command = [sys.executable, "-c", script, "--version"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stderr == "waited\n"
