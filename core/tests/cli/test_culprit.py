"""What a plugin raises within a built-in command names it, what it was asked for, and its line."""

from __future__ import annotations

import re
import sys
from typing import TYPE_CHECKING

import pytest
from inspected import small_llama
from own_backends import Own, install

from lmkernel.cli.main import main
from lmkernel.plugins import Registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

OVERRIDING = """
def overrides(parts):
    {function}
    return {{"linear": fast}}
"""
MANDATORY = """
from lmkernel_numpy.ops import NumpyOps

class Ops(NumpyOps):
    def matmul(self, x, y):
        return 1 / 0  # here

def create(device):
    parts = honest(device)
    return replace(parts, mandatory=Ops(), overrides={})
"""
SCOPE = """
def scope():
    raise LookupError("no context")  # here

def create(device):
    return replace(honest(device), scope=scope)
"""
COMPONENT = """
from lmkernel.components.attention import MultiHeadAttention

class Own(MultiHeadAttention):
    def declare(self):
        return {}["width"]  # here

def create(device):
    return replace(honest(device), components={"attention:multi_head": Own})
"""
DECORATED = """
import functools

def noted(function):
    @functools.wraps(function)
    def call(*given, **more):
        return function(*given, **more)
    return call

@noted
def fast(x, weight, bias=None, delta=None):
    return helper()

def helper():
    import json
    return json.loads("no JSON")  # here

def overrides(parts):
    return {"linear": fast}
"""


def overriding(does: str) -> str:
    """A backend with one operation of its own, by another name."""
    head = "def fast(x, weight, bias=None, delta=None):"
    return OVERRIDING.format(function=f"{head}\n        {does}  # here")


@pytest.fixture
def generate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Callable[[str], str]]:
    """A function that generates on a backend of a source; what is said."""
    small_llama(tmp_path / "model")
    monkeypatch.syspath_prepend(str(tmp_path))

    def said(source: str) -> str:
        install(tmp_path, "culprit_own", Own(source=source))
        asked = ["generate", str(tmp_path / "model"), "ab", "--backend", "culprit_own"]
        assert main(asked, registry=Registry()) == 1
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1), err
        return err.removeprefix("lmkernel: error: ").rstrip("\n")

    yield said
    for name in [name for name in sys.modules if name.startswith("culprit_own")]:
        del sys.modules[name]


@pytest.mark.parametrize(
    ("source", "asked", "why"),
    [
        (MANDATORY, "matmul", "ZeroDivisionError: division by zero"),
        (overriding("1 / 0"), "linear", "ZeroDivisionError: division by zero"),
        (overriding("raise OSError('elsewhere')"), "linear", "OSError: elsewhere"),
        (overriding("raise GeneratorExit('odd')"), "linear", "GeneratorExit: odd"),
        (overriding("raise SystemExit(0)"), "linear", "SystemExit: 0"),
        (overriding("raise StopIteration"), "linear", "RuntimeError: generator raised StopIt"),
        (overriding("parts.mandatory.matmul(x, x[:0])"), "linear", "ValueError: "),
        (DECORATED, "linear", "JSONDecodeError: Expecting value"),
        (COMPONENT, "Own.declare", "KeyError: 'width'"),
        (SCOPE, "scope", "LookupError: no context"),
    ],
)
def test_h4_what_a_backend_raises_names_it_the_operation_and_the_line(
    generate: Callable[[str], str], tmp_path: Path, source: str, asked: str, why: str
) -> None:
    told = generate(source)
    file = tmp_path / "culprit_own" / "backend.py"
    lines = file.read_text("utf-8").splitlines()
    line = next(number for number, text in enumerate(lines, 1) if text.endswith("# here"))
    assert told.startswith(f"backend 'culprit_own', {asked}, {file}, line {line}: {why}")


@pytest.mark.parametrize(
    ("does", "told"),
    [
        ("raise MemoryError", "there is not enough memory: none is left"),
        ("open('/no/such')", "/no/such: No such file or directory"),
    ],
)
def test_what_has_a_sentence_of_its_own_keeps_it(
    generate: Callable[[str], str], does: str, told: str
) -> None:
    assert generate(overriding(does)) == told


def test_what_the_core_raises_keeps_its_traceback(generate: Callable[[str], str]) -> None:
    with pytest.raises(Exception, match=re.escape("'NoneType'")):
        generate(overriding("return None"))
