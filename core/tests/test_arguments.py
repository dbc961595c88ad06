"""What is passed to verbs and methods is taken, or refused in words, whatever it is."""

from __future__ import annotations

import inspect
import sys
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from inspected import small_llama

import lmkernel as lk
from lmkernel.arguments import (
    as_items,
    as_names,
    as_strings,
    is_absent,
    is_empty,
    require_count,
    require_flag,
    require_known,
    require_number,
)
from lmkernel.errors import InputError, LmkernelError, UnknownNameError, shown
from lmkernel.pictures.reading import read_picture
from lmkernel.speech.sounds import Sound

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def nested(outer: Callable[[Any], Any]) -> Any:
    """A value that is deeper than Python's own stack."""
    value: Any = None
    for _ in range(100_000):
        value = outer(value)
    return value


def endless() -> list[Any]:
    """A list that holds itself."""
    value: list[Any] = []
    value.append(value)
    return value


class Mute:
    """Without a text."""

    def __repr__(self) -> str:
        raise ValueError


class Posing(Mute):
    """Of the name of another class, by which a text of it would be made."""


Posing.__name__ = "deque"
DEEP = (nested(lambda value: [value]), nested(lambda value: {"a": value}), endless())
ODD: tuple[Any, ...] = (
    *(-1, 1.5, float("nan"), 10**30, True, None, "", "a\0b", "\ud800", b"x"),
    *(["x", None], (), {"a": 1}, set(), object(), np.float32(3), np.array([1, 2])),
    *(10**5000, [-(10**5000)], Mute(), Posing(), [Posing()]),
    *DEEP,
)
QUIET = {"progress": False}
ONE = {"max_new_tokens": 1}
VERBS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "load": (("MODEL",), QUIET),
    "load_backend": (("numpy",), {}),
    "compare": (("MODEL",), {"backends": ["numpy"], "prompts": ["a"], **ONE, **QUIET}),
    "compare_layers": (("MODEL",), {"backends": ["numpy"], "prompts": ["a"], **QUIET}),
    "perplexity": (("MODEL", "a b c"), QUIET),
    "plan": (("MODEL",), {}),
    "quantize": (("MODEL", "OUT"), {"weights": "int8", **QUIET}),
    "resume": (("OUT",), QUIET),
    "twin": (("MODEL", "OUT"), QUIET),
}
METHODS: dict[str, tuple[tuple[Any, ...], dict[str, Any]]] = {
    "generate": (("a b",), ONE),
    "generate_batch": ((["a"],), ONE),
    "chat": (("a",), ONE),
    "chat_with_tools": (("a", ()), ONE),
    "embed": ((["a"],), {}),
    "save": (("OUT",), {}),
    "to": (("numpy",), {}),
}
# what would ask every framework that is there
LEFT_OUT = {"backends": (None,)}


def flags(calls: dict[str, Any]) -> list[tuple[str, str]]:
    """Each parameter of each callable that is True or False, with the callable's name."""
    return [
        (name, one.name)
        for name, call in calls.items()
        if inspect.isfunction(call)
        for one in inspect.signature(call).parameters.values()
        if one.annotation in ("bool", "bool | None")
    ]


VERB_FLAGS = flags({name: getattr(lk, name) for name in lk.__all__})
METHOD_FLAGS = flags({name: one for name, one in vars(lk.LanguageModel).items() if name[0] != "_"})


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> lk.LanguageModel:
    return small_llama(tmp_path_factory.mktemp("arguments") / "m")


def odd_arguments(call: Callable[..., Any]) -> list[tuple[str, Any]]:
    """Each argument of a callable with each odd value."""
    there = inspect.signature(call).parameters.values()
    return [
        (one.name, odd)
        for one in there
        if one.kind is not inspect.Parameter.VAR_KEYWORD
        for odd in ODD
        if not any(odd is left for left in LEFT_OUT.get(one.name, ()))
    ]


def check_call(
    call: Callable[..., Any], usual: tuple[Any, ...], named: dict[str, Any], places: dict[str, Any]
) -> None:
    signature = inspect.signature(call)
    for number, (name, odd) in enumerate(odd_arguments(call)):
        here = {**places, "OUT": places["OUT"] / str(number)}
        filled = [here.get(one, one) if isinstance(one, str) else one for one in usual]
        arguments = signature.bind_partial(*filled, **named).arguments
        more = arguments.pop("where", None) or arguments.pop("options", None) or {}
        try:
            str(call(**{**arguments, **more, name: odd}))
        except LmkernelError:
            continue
        except Exception as error:  # noqa: BLE001 - whatever comes is what the test is about
            pytest.fail(
                f"{name}={shown(odd)}: expected a result or one of our errors, got {error!r}"
            )


@pytest.mark.parametrize("name", VERBS)
def test_verbs_take_or_refuse_whatever_is_passed(
    name: str, model: lk.LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where an odd name of a folder may be written
    places = {"MODEL": str(model.files.path), "OUT": tmp_path}
    check_call(getattr(lk, name), *VERBS[name], places)


@pytest.mark.parametrize("name", METHODS)
def test_methods_take_or_refuse_whatever_is_passed(
    name: str, model: lk.LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # where an odd name of a folder may be written
    check_call(getattr(model, name), *METHODS[name], {"OUT": tmp_path})


def check_flag(call: Callable[..., Any], flag: str, stand_in: object) -> None:
    """A flag is looked at before any other argument, which may thus be a stand-in."""
    parameters = inspect.signature(call).parameters.values()
    needed = {one.name: stand_in for one in parameters if one.default is one.empty}
    needed.pop("where", None)
    needed.pop("changes", None)
    for odd in ("no", 0, np.array([1, 2])):
        with pytest.raises(InputError, match=f"^{flag}: expected True or False, got "):
            call(**needed, **{flag: odd})


@pytest.mark.parametrize(("name", "flag"), VERB_FLAGS)
def test_every_flag_of_a_verb_is_true_or_false(
    name: str, flag: str, model: lk.LanguageModel
) -> None:
    check_flag(getattr(lk, name), flag, model)


@pytest.mark.parametrize(("name", "flag"), METHOD_FLAGS)
def test_every_flag_of_a_method_is_true_or_false(
    name: str, flag: str, model: lk.LanguageModel
) -> None:
    check_flag(getattr(model, name), flag, "a")


def test_a_folder_stays_where_overwrite_is_a_text(model: lk.LanguageModel, tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(InputError, match="overwrite: expected True or False, got 'no'"):
        model.save(tmp_path, overwrite="no")  # type: ignore[arg-type]  # what is tested
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize("value", [True, False, np.True_])
def test_a_flag_is_taken(value: object) -> None:
    require_flag("flag", value)


@pytest.mark.parametrize("value", [1, 3, np.int64(2)])
def test_a_count_in_its_bounds_is_taken(value: object) -> None:
    require_count("count", value, most=3)


@pytest.mark.parametrize("value", [0, 4, True, 2.0, "2", None, float("nan")])
def test_what_is_no_count_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="count: expected a whole number in 1 … 3, got "):
        require_count("count", value, most=3)


def test_a_count_that_no_size_can_be_is_refused() -> None:
    require_count("count", sys.maxsize)
    require_count("count", 1 << 64, most=1 << 64)
    with pytest.raises(InputError, match=rf"count: expected .* in 1 … {sys.maxsize}, got "):
        require_count("count", sys.maxsize + 1)
    with pytest.raises(InputError, match="count: expected a whole number of at least 1, got 0"):
        require_count("count", 0)


@pytest.mark.parametrize("value", [0, float("nan"), True, "1", None])
def test_what_is_no_number_above_its_bound_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="limit: expected a number above 0, got "):
        require_number("limit", value, above=0)


@pytest.mark.parametrize("value", ["c", 5, None, ["a"]])
def test_what_is_not_known_is_refused(value: object) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown letter .* Available: a, b"):
        require_known("letter", value, ["a", "b"])


@pytest.mark.parametrize("value", ["a", [], ["a", ""], ["a", 5], 5, None])
def test_what_is_no_list_of_strings_is_refused(value: object) -> None:
    with pytest.raises(InputError, match="names: expected strings that are not empty, got "):
        as_strings("names", value)


def test_a_name_that_is_there_again_is_refused() -> None:
    assert as_names("names", ["a", "b"]) == ("a", "b")
    with pytest.raises(InputError, match="names: expected each once, got 'b' 3000 times"):
        as_names("names", ["a", *["b"] * 3000, "c", "c"])
    with pytest.raises(InputError, match="names: expected strings that are not empty"):
        as_names("names", ["a", ""])


def test_none_and_an_empty_text_say_nothing() -> None:

    assert [value for value in (None, "", "a", 0, []) if is_absent(value)] == [None, ""]


@pytest.mark.parametrize("value", [[1, 2], (1, 2), iter((1, 2)), np.array([1, 2])])
def test_what_holds_several_is_listed(value: object) -> None:
    assert as_items(value) == [1, 2]


@pytest.mark.parametrize("value", ["ab", b"ab", bytearray(b"ab"), None, 3, np.array(3)])
def test_what_holds_nothing_is_no_list(value: object) -> None:
    assert as_items(value) is None


def test_only_what_has_a_length_is_empty() -> None:
    values: list[Any] = ["", (), np.zeros(0), [0], None, 0, np.array(0), iter(())]
    assert [is_empty(value) for value in values] == [True, True, True, *[False] * 5]


@pytest.mark.parametrize(
    ("what", "take", "array"),
    [
        ("token ids", lambda model, ids: model.logits(ids), np.ma.masked_equal([1, 2], 2)),
        ("pixels", lambda _, x: read_picture(x), np.ma.masked_equal(np.eye(8, dtype=np.uint8), 1)),
        ("samples", lambda _, x: Sound(x, 16000), np.ma.masked_invalid([0.5, np.nan])),
    ],
)
def test_masked_arrays_are_refused(
    tmp_path: Path, what: str, take: Callable[[Any, Any], object], array: Any
) -> None:
    with pytest.raises(InputError, match=f"expected {what}, got an array of which some are masked"):
        take(small_llama(tmp_path / "llama"), array)


def test_a_masked_array_with_nothing_masked_is_an_array(tmp_path: Path) -> None:
    model = small_llama(tmp_path / "llama")
    given = np.ma.masked_array([1, 2])
    np.testing.assert_array_equal(model.logits(given), model.logits([1, 2]))


@pytest.mark.parametrize(
    ("what", "take", "array"),
    [
        ("token ids", lambda model, ids: model.logits(ids), np.zeros((), np.int32)),
        ("samples", lambda _, x: Sound(x.reshape(-1), 16000), np.zeros((), np.float32)),
    ],
)
def test_arrays_without_strides_are_as_large_as_they_say(
    tmp_path: Path, what: str, take: Callable[[Any, Any], object], array: Any
) -> None:
    wide = np.lib.stride_tricks.as_strided(array, (2**20, 2**20), (0, 0))
    flat = np.lib.stride_tricks.as_strided(array, (2**40,), (0,))
    with pytest.raises(InputError, match=f"expected at most [0-9]+ {what}.*got {2**40}$"):
        take(small_llama(tmp_path / "llama"), wide if what == "token ids" else flat)
