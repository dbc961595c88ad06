"""The layers: the core imports no framework and knows no backend by name; its surface is light."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lmkernel
from lmkernel.plugins import FamilySpec, default_registry
from lmkernel.plugins.registry import DEFAULT_BACKEND

ROOT = Path(lmkernel.__file__).parent
FRAMEWORKS = {"torch", "tensorflow", "jax", "autograd", "keras", "mlx", "transformers"}
BACKENDS = {"numpy", "torch", "tensorflow", "jax", "mlx"}
FILES = sorted(ROOT.rglob("*.py"))


def imported_roots(tree: ast.AST) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_core_imports_no_framework_and_no_backend(path: Path) -> None:
    names = imported_roots(ast.parse(path.read_text("utf-8")))
    assert not names & FRAMEWORKS
    assert not {name for name in names if name.startswith("lmkernel_")}


def comparisons_with_names(tree: ast.AST) -> list[int]:
    """Lines that compare something with a backend's name, or look one up by it."""
    lines = []
    for node in ast.walk(tree):
        parts: list[ast.AST] = []
        if isinstance(node, ast.Compare):
            parts = [node.left, *node.comparators]
        elif isinstance(node, ast.MatchValue):
            parts = [node.value]
        elif isinstance(node, ast.Subscript):
            parts = [node.slice]
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            parts = list(node.args) if node.func.attr in ("get", "startswith") else []
        constants = {
            c.value for part in parts for c in ast.walk(part) if isinstance(c, ast.Constant)
        }
        if constants & BACKENDS:
            lines.append(node.lineno)  # type: ignore[attr-defined]  # every node above has a line
    return lines


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_core_never_branches_on_a_backends_name(path: Path) -> None:
    assert comparisons_with_names(ast.parse(path.read_text("utf-8"))) == []


def test_the_check_itself_sees_branches() -> None:
    code = "if name == 'torch': pass\nx = {}['jax']\ny = {}.get('numpy')\nz = name in ('mlx',)\n"
    assert comparisons_with_names(ast.parse(code)) == [1, 2, 3, 4]


# in the order in which one is built on another: a package imports from those before it
ORDER = (
    *(
        "start",
        "errors",
        "arguments",
        "files",
        "paths",
        "contract",
        "numerics",
        "random",
        "atomic",
        "progress",
        "own_thread",
    ),
    *(
        "settings",
        "results",
        "plugins",
        "machine",
        "config",
        "interfaces",
        "composed",
        "parameters",
    ),
    *("components", "factory", "backend", "distribution", "checkpoints", "tokenizers"),
    *("families", "gguf", "pictures", "sources", "structured", "model", "generation"),
    *(
        "origin",
        "inspection",
        "tasks",
        "native",
        "description",
        "prompts",
        "tool_calling",
        "language_model",
        "loading",
        "rewriting",
        "speech",
        "captions",
    ),
    *(
        "quantization",
        "comparison",
        "verification",
        "listing",
        "benchmark",
        "training",
        "outside",
        "verbs",
        "scaffolds",
        "cli",
        "__main__",
    ),
)


def package(path: Path) -> str:
    return path.relative_to(ROOT).with_suffix("").parts[0]


def imported_packages(tree: ast.Module, *, anywhere: bool) -> set[str]:
    """What a module imports of the core: when it is imported, or at any time."""
    nodes = list(ast.walk(tree)) if anywhere else list(tree.body)
    names = {n.module for n in nodes if isinstance(n, ast.ImportFrom) and n.module}
    return {name.split(".")[1] for name in names if name.startswith("lmkernel.")}


def test_every_package_has_its_place_in_the_order() -> None:
    there = {package(path) for path in FILES} - {"__init__"}
    assert there == set(ORDER)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_imports_what_is_built_on_it(path: Path) -> None:
    if path == ROOT / "__init__.py":
        return  # which names everything, and imports it when it is used
    tree, own = ast.parse(path.read_text("utf-8")), ORDER.index(package(path))
    above = {n for n in imported_packages(tree, anywhere=False) if ORDER.index(n) > own}
    assert not above
    # the start module stands below all, and imports the program when it runs
    own_program = package(path) in ("cli", "start")
    assert own_program or "cli" not in imported_packages(tree, anywhere=True)


def family_names(tree: ast.AST) -> list[int]:
    """Lines with a family's name as a string of its own, which no sentence is."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and node.value in FAMILIES
    ]


# gradients are clipped, so that CLIP's name is also a word of training
FAMILIES = set(default_registry().all(FamilySpec)) - {"clip"}
# GGUF calls kinds of tokenizers gpt2 and llama, and one of pre-tokenizers qwen2
TOKENIZERS = {ROOT / "gguf" / name for name in ("pre_tokenizers.py", "tokenizer.py")}


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_a_family_is_named_in_its_own_room_alone(path: Path) -> None:
    if package(path) != "families" and path not in TOKENIZERS:
        assert family_names(ast.parse(path.read_text("utf-8"))) == []


def test_that_check_sees_a_name() -> None:
    assert family_names(ast.parse("x = ('a', 'bert')\ny = {'llama': 1}\nz = 'a bert'")) == [1, 2]


def test_few_signatures_carry_a_registry() -> None:
    """A backend remembers where it was found, so that most code need not be told."""
    carrying = [
        f"{path.relative_to(ROOT)}:{node.name}"
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.FunctionDef)
        and any(a.arg == "registry" for a in (*node.args.args, *node.args.kwonlyargs))
    ]
    assert len(carrying) <= 10, carrying


def test_the_default_is_the_only_name() -> None:
    assert DEFAULT_BACKEND == "numpy"


@pytest.mark.parametrize("argument", ["import lmkernel", "import lmkernel; lmkernel.load_backend"])
def test_import_brings_no_framework(argument: str) -> None:
    code = f"{argument}\nimport sys\nprint(sorted({FRAMEWORKS!r} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_are_what_all_says() -> None:
    for name in lmkernel.__all__:
        assert getattr(lmkernel, name).__name__ == name
    with pytest.raises(AttributeError, match="nothing"):
        getattr(lmkernel, "nothing")  # noqa: B009 - the name is not there


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_are_small(path: Path) -> None:
    assert len(path.read_text("utf-8").splitlines()) <= 350
