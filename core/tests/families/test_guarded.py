"""Whatever a method of a plugin's family does is reported by the family's name."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import pytest
from small import HF_CONFIG, small_config

from lmkernel.contract.version import CONTRACT_VERSION
from lmkernel.errors import CheckpointError, PluginError
from lmkernel.families.family import Family, HfConfig, find_family
from lmkernel.families.guarded import GuardedFamily
from lmkernel.families.llama import Llama
from lmkernel.plugins import FamilySpec, Registry, hookimpl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

CONFIG = HfConfig(HF_CONFIG, "here")


class MuteError(Exception):
    def __str__(self) -> str:
        raise ValueError


class Odd(Llama):
    """A Llama, one method of which a test replaces."""


class Plugin:
    @hookimpl
    def lmkernel_register_families(self) -> list[FamilySpec]:
        load = f"{__name__}:Odd"
        return [
            FamilySpec(contract=CONTRACT_VERSION, name="odd", load=load),
            FamilySpec(contract=CONTRACT_VERSION, name="none", load="builtins:dict"),
        ]


@pytest.fixture(autouse=True)
def _registered() -> Iterator[None]:
    with Registry({"odd": Plugin()}).use():
        yield


def raising(error: BaseException) -> Callable[..., Any]:
    def method(*_: Any) -> Any:
        raise error

    return method


def asked(method: str) -> Any:
    family: Family = find_family("odd", "here")
    arguments: dict[str, Any] = {
        "read": (CONFIG,),
        "rules": (small_config(),),
        "ignored": (small_config(),),
        "gguf": (),
    }
    return getattr(family, method)(*arguments[method])


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (SystemExit(0), "SystemExit: 0"),
        (GeneratorExit(), "GeneratorExit"),
        (KeyError("x"), "KeyError: 'x'"),
        (MuteError(), "MuteError: its message cannot be had"),
    ],
)
@pytest.mark.parametrize("method", ["read", "rules"])
def test_what_a_method_raises_is_named(
    monkeypatch: pytest.MonkeyPatch, method: str, error: BaseException, said: str
) -> None:
    monkeypatch.setattr(Odd, method, raising(error), raising=False)
    with pytest.raises(PluginError, match=f"^model family 'odd', {method}: {said}"):
        asked(method)


@pytest.mark.parametrize(
    ("method", "given", "said"),
    [
        ("read", None, "expected ModelConfig, got NoneType"),
        ("rules", None, r"expected tuple \| list, got NoneType"),
        ("rules", [("a", "b")], "expected Rule, got tuple"),
        ("ignored", [1], "expected str, got int"),
        ("gguf", 3, r"expected .*GgufArchitecture.*None, got int"),
    ],
)
def test_what_a_method_gives_is_checked(
    monkeypatch: pytest.MonkeyPatch, method: str, given: Any, said: str
) -> None:
    monkeypatch.setattr(Odd, method, lambda *_: given)
    with pytest.raises(PluginError, match=f"^model family 'odd', {method}: {said}"):
        asked(method)


def test_heads_that_cannot_be_told_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Odd, "heads", lambda _: None)
    with pytest.raises(PluginError, match=r"^model family 'odd', heads: expected Mapping, got"):
        find_family("odd", "here")


def test_what_makes_a_head_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Odd, "heads", lambda _: {"tagging": raising(SystemExit(0))})
    make = find_family("odd", "here").heads()["tagging"]
    assert make is not None
    with pytest.raises(PluginError, match=r"^model family 'odd', the head 'tagging': SystemExit"):
        make(CONFIG, ())


def test_errors_of_ours_are_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Odd, "read", raising(CheckpointError("here: no key")))
    with pytest.raises(CheckpointError, match=r"^here: no key$"):
        asked("read")


def test_an_interrupt_is_no_error_of_a_family(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Odd, "read", raising(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        asked("read")


def test_what_a_method_prints_goes_to_standard_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Odd, "gguf", lambda _: sys.stdout.write("odd") and None)
    assert asked("gguf") is None
    assert capsys.readouterr() == ("", "odd")


def test_what_is_no_family_is_named() -> None:
    with pytest.raises(
        PluginError, match=r"^model family 'none', load: expected Family, got dict$"
    ):
        find_family("none", "here")


def test_every_method_of_a_family_is_guarded() -> None:
    """What were not would be that of the base class, in place of the plugin's own."""
    methods = {name for name, one in vars(Family).items() if callable(one) and name[0] != "_"}
    assert methods <= vars(GuardedFamily).keys()
