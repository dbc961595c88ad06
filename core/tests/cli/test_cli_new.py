"""``lmkernel new``: what it writes runs at once; what it can't do is told and leaves nothing."""

from __future__ import annotations

import ast
import inspect
from typing import TYPE_CHECKING

import pytest
from made_install import environment_with, run_python

from lmkernel.cli import new, plugin
from lmkernel.cli.main import main
from lmkernel.contract.mandatory import MandatoryOps
from lmkernel.contract.version import CONTRACT_VERSION
from lmkernel.plugins import ComponentSpec, Registry, hookimpl, hookspecs
from lmkernel.scaffolds import Names, hooks, write_scaffold

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

OTHERS = [hook for hook in hooks() if hook != "backends"]
OPERATIONS = [name for name in vars(MandatoryOps) if name in MandatoryOps.__abstractmethods__]


class HuberPlugin:
    @hookimpl
    def lmkernel_register_components(self) -> list[ComponentSpec]:
        return [
            ComponentSpec(name="huber", load="a.b:C", contract=CONTRACT_VERSION, interface="loss")
        ]


@pytest.fixture
def registry() -> Registry:
    return Registry({"commands": plugin, "taken": HuberPlugin()})


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def own_tests(project: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Its own tests, with the project installed."""
    return run_python(
        project, environment_with(project, site), "-m", "pytest", "-q", "-p", "no:cacheprovider"
    )


def test_hooks_are_those_of_the_specifications() -> None:
    assert [f"lmkernel_register_{hook}" for hook in hooks()] == [
        name for name in vars(hookspecs) if name.startswith("lmkernel_register_")
    ]


@pytest.mark.parametrize("hook", OTHERS)
def test_plugin_passes_its_own_tests(here: Path, registry: Registry, hook: str) -> None:
    assert main(["new", "plugin", "two-words", "--hook", hook], registry=registry) == 0
    done = own_tests(here / "lmkernel-two-words", here / "site")
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


def test_backend_is_listed_and_says_what_to_write(here: Path, registry: Registry) -> None:
    assert main(["new", "backend", "toy"], registry=registry) == 0
    project = here / "lmkernel-toy"
    environment = environment_with(project, here / "site")
    listed = run_python(here, environment, "-m", "lmkernel.cli", "backends")
    assert (listed.returncode, listed.stderr) == (0, "")
    assert "   toy " in listed.stdout
    done = run_python(project, environment, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert "1 failed, 1 passed" in done.stdout
    assert f"{len(OPERATIONS)} of {len(OPERATIONS)} operations are missing" in done.stdout
    assert "1. level document: asarray, to_numpy, " in done.stdout


def test_backend_fails_the_suite_at_each_case(here: Path, registry: Registry) -> None:
    main(["new", "backend", "toy"], registry=registry)
    environment = environment_with(here / "lmkernel-toy", here / "site")
    arguments = ("certify", "toy", "--level", "document", "--profile", "inference")
    done = run_python(here, environment, "-m", "lmkernel.cli", *arguments)
    assert done.returncode == 1
    assert "the operation 'asarray' is not written yet" in done.stdout
    assert "what to write next for toy: " in done.stdout


def test_stubs_have_the_contracts_signatures_and_words(here: Path) -> None:
    write_scaffold("backends", Names("toy"), here / "toy")
    tree = ast.parse((here / "toy" / "lmkernel_toy" / "ops.py").read_text("utf-8"))
    written = {n.name: n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)}
    assert list(written) == OPERATIONS
    for name, stub in written.items():
        source = ast.parse(inspect.cleandoc(inspect.getsource(getattr(MandatoryOps, name)))).body[0]
        assert isinstance(source, ast.FunctionDef)
        assert ast.unparse(stub.args) == ast.unparse(source.args)
        assert ast.get_docstring(stub) == ast.get_docstring(source)
        assert ast.unparse(stub.body[-1]) == f"raise NotWrittenError('{name}')"


def test_stubs_use_no_name_that_is_not_imported(here: Path) -> None:
    write_scaffold("backends", Names("toy"), here / "toy")
    tree = ast.parse((here / "toy" / "lmkernel_toy" / "ops.py").read_text("utf-8"))
    imports = [n for n in ast.walk(tree) if isinstance(n, (ast.Import, ast.ImportFrom))]
    known = {alias.asname or alias.name for node in imports for alias in node.names}
    known |= {"int", "float", "bool", "str", "tuple", "list", "dict"}
    loaded = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Load)]
    assert {n.id for n in loaded} <= known


def test_paths_are_printed_and_the_next_command_is_told(
    registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["new", "backend", "my_toy", "--folder", "a b"], registry=registry)
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        f"a b/{path}"
        for path in (
            "README.md",
            "lmkernel_my_toy/__init__.py",
            "lmkernel_my_toy/backend.py",
            "lmkernel_my_toy/ops.py",
            "lmkernel_my_toy/plugin.py",
            "pyproject.toml",
            "tests/test_lmkernel_my_toy.py",
            "tox.ini",
        )
    ]
    assert err.splitlines()[1:] == [
        "next:",
        "  pip install -e 'a b'",
        "  lmkernel backends",
        "  lmkernel certify my_toy",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["backend", "My Toy"], "got 'My Toy'; 'my-toy' would do"),
        (["backend", "1toy"], "got '1toy'; 'toy' would do"),
        (["backend", "toy-"], "got 'toy-'; 'toy' would do"),
        (["backend", "ü"], "single hyphens or underscores between words, got 'ü'"),
        (["backend", "numpy"], "'numpy' is the name of a plugin that is installed"),
        (["backend", "conformance"], "'conformance' is the name of a plugin that is installed"),
        (["plugin", "compare", "--hook", "commands"], "'compare' is the name of a command"),
        (["plugin", "huber", "--hook", "components"], "'huber' is the name of a component"),
        (["plugin", "mine"], "new plugin: expected --hook and one of backends, components"),
        (
            ["plugin", "mine", "--hook", "tracker"],
            "unknown hook 'tracker'. Did you mean 'trackers'",
        ),
        (["backend", "mine", "--hook", "sources"], "expected no hook but backends, got 'sources'"),
    ],
)
def test_refusal_is_one_line_and_leaves_nothing(
    here: Path,
    registry: Registry,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
) -> None:
    assert main(["new", *arguments], registry=registry) == 1
    out, err = capsys.readouterr()
    assert (out, len(err.splitlines())) == ("", 1)
    assert message in err
    assert list(here.iterdir()) == []


def test_package_that_is_installed_is_not_hidden(
    registry: Registry,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    here: Path,
) -> None:
    (here / "path" / "lmkernel_there").mkdir(parents=True)
    (here / "path" / "lmkernel_there" / "__init__.py").touch()
    monkeypatch.syspath_prepend(here / "path")
    assert main(["new", "backend", "there"], registry=registry) == 1
    assert "'lmkernel_there' is the name of a package that is installed" in capsys.readouterr().err


def test_folder_that_is_not_empty_is_left_alone(
    here: Path, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = here / "lmkernel-toy"
    folder.mkdir()
    (folder / "mine.txt").touch()
    assert main(["new", "backend", "toy"], registry=registry) == 1
    assert "lmkernel-toy: expected a folder that is new or empty" in capsys.readouterr().err
    assert [path.name for path in here.rglob("*")] == ["lmkernel-toy", "mine.txt"]


def test_empty_folder_is_filled_where_it_stands(here: Path, registry: Registry) -> None:
    before = here.stat().st_ino
    assert main(["new", "backend", "toy", "--folder", "."], registry=registry) == 0
    names = ["README.md", "lmkernel_toy", "pyproject.toml", "tests", "tox.ini"]
    assert sorted(path.name for path in here.iterdir()) == names
    assert here.stat().st_ino == before


def test_file_in_place_of_the_folder_is_left_alone(
    here: Path, registry: Registry, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "lmkernel-toy").write_text("mine", "utf-8")
    assert main(["new", "backend", "toy"], registry=registry) == 1
    assert "expected a folder that is new or empty" in capsys.readouterr().err
    assert (here / "lmkernel-toy").read_text("utf-8") == "mine"


@pytest.mark.parametrize("there", [False, True])
def test_what_fails_leaves_nothing(
    here: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch, *, there: bool
) -> None:
    def full(hook: str, names: Names, folder: Path) -> list[str]:
        write_scaffold(hook, names, folder)
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(new, "write_scaffold", full)
    folder = here / "toy"
    if there:
        folder.mkdir()
    assert main(["new", "backend", "toy", "--folder", "toy"], registry=registry) == 1
    assert [path.name for path in here.rglob("*")] == (["toy"] if there else [])


def test_full_name_of_a_hook_will_do(here: Path, registry: Registry) -> None:
    hook = "lmkernel_register_trackers"
    assert main(["new", "plugin", "mine", "--hook", hook], registry=registry) == 0
    assert (here / "lmkernel-mine" / "lmkernel_mine" / "tracker.py").is_file()
