"""A settings file becomes dataclasses, or an error that says where it is wrong."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

import pytest

from lmkernel.config.check import require
from lmkernel.errors import ConfigError
from lmkernel.settings.file import (
    flat,
    load_settings,
    merge,
    parse_overrides,
    read_settings,
    settings_from,
)

if TYPE_CHECKING:
    from pathlib import Path


@final
@dataclass(frozen=True, kw_only=True)
class Circle:
    radius: float
    kind: str = "circle"


@final
@dataclass(frozen=True, kw_only=True)
class Box:
    sides: tuple[int, ...] = (1, 1)
    tags: tuple[str, ...] = ()


@final
@dataclass(frozen=True, kw_only=True)
class Speed:
    rate: float = 0.5
    warmup: int = 0

    def __post_init__(self) -> None:
        require(self, "rate", "a positive number", ok=self.rate > 0)


@final
@dataclass(frozen=True, kw_only=True)
class Settings:
    steps: int
    name: str = "run"
    fast: bool = False
    names: tuple[str, ...] = ()
    limit: int | None = None
    speed: Speed = field(default_factory=lambda: Speed(rate=0.25, warmup=7))
    shape: Circle | None = None
    shapes: tuple[Box, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.limit is not None and self.limit > self.steps:
            raise ConfigError(f"expected a limit of at most {self.steps} steps")


WHOLE = """\
steps = 3
name = "näme"
fast = true
names = ["x", "y"]
limit = 2

[speed]
rate = 1

[shape]
radius = 2

[[shapes]]
tags = ["t"]
sides = [2, 3, 4]
[[shapes]]

[options]
any = [1, {thing = 2.5}]
"""


def written_to(folder: Path, text: str | bytes) -> Path:
    path = folder / "run.toml"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def complaint(folder: Path, text: str | bytes, overrides: dict[str, Any] | None = None) -> str:
    """What is said of a file, without the folder's name."""
    path = written_to(folder, text)
    with pytest.raises(ConfigError) as caught:
        read_settings(path, Settings, overrides)
    return str(caught.value).replace(f"{folder}/", "")


def test_every_type_is_read(tmp_path: Path) -> None:
    settings = read_settings(written_to(tmp_path, WHOLE), Settings)
    assert settings == Settings(
        steps=3,
        name="näme",
        fast=True,
        names=("x", "y"),
        limit=2,
        speed=Speed(rate=1.0, warmup=7),
        shape=Circle(radius=2.0),
        shapes=(Box(tags=("t",), sides=(2, 3, 4)), Box()),
        options={"any": [1, {"thing": 2.5}]},
    )
    assert isinstance(settings.speed.rate, float)


def test_what_a_table_leaves_out_is_the_default_of_its_field(tmp_path: Path) -> None:
    settings = read_settings(written_to(tmp_path, "steps = 1\nspeed = {warmup = 3}"), Settings)
    assert settings.speed == Speed(rate=0.25, warmup=3)


def test_none_is_a_word(tmp_path: Path) -> None:
    text = 'steps = 1\nlimit = "none"\nshape = "none"\nname = "none"'
    settings = read_settings(written_to(tmp_path, text), Settings)
    assert (settings.limit, settings.shape, settings.name) == (None, None, "none")


def test_byte_order_mark_is_no_key(tmp_path: Path) -> None:
    assert read_settings(written_to(tmp_path, b"\xef\xbb\xbfsteps = 1"), Settings).steps == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("stepz = 1", "line 1: stepz: unknown key. Did you mean 'steps'? Available: steps, name"),
        ("steps = 1\n\n[speed]\nrat = 1", "line 4: speed.rat: unknown key. Did you mean 'rate'?"),
        ("steps = 1\nspeed.'a b' = 1", 'line 2: speed."a b": unknown key. Available: rate, warmup'),
        ("name = ''", "run.toml: steps: expected a whole number, got no such key"),
        ("steps = 1\n[shape]\nkind = 'circle'", "line 2: shape.radius: expected a number, got no"),
        ("steps = 1.5", "line 1: steps: expected a whole number, got 1.5"),
        ("steps = true", "line 1: steps: expected a whole number, got true"),
        ("steps = '1'", "line 1: steps: expected a whole number, got '1'"),
        ("steps = 1\nname = 2", "line 2: name: expected a string, got 2"),
        ("steps = 1\nfast = 1", "line 2: fast: expected true or false, got 1"),
        ("steps = 1\nspeed = 3", "line 2: speed: expected a table, got 3"),
        ("steps = {a = 1}", "line 1: steps: expected a whole number, got a table"),
        ("steps = 1\nspeed = {rate = nan}", "line 2: speed.rate: expected a positive number, got"),
        ("steps = 1\n[speed]\n\nrate = -1", "line 4: speed.rate: expected a positive number, got"),
        ("steps = 1\nspeed.rate = false", "line 2: speed.rate: expected a number, got false"),
        (f"steps = 1\nspeed.rate = 1{'0' * 400}", "line 2: speed.rate: expected a number, got 100"),
        ("steps = 1\nnames = 'x'", "line 2: names: expected a list of strings, got 'x'"),
        ("steps = 1\nnames = [\n'x',\n3]", "line 4: names[1]: expected a string, got 3"),
        ("steps = 1\nlimit = 'x'", "line 2: limit: expected a whole number, got 'x'"),
        ("steps = 1\nlimit = 2", "run.toml: expected a limit of at most 1 steps"),
        ("steps = 1\nshape = 1", "line 2: shape: expected a table, got 1"),
        ("steps = 1\nshapes = 'x'", "line 2: shapes: expected a list, got 'x'"),
        ("steps = 1\nshapes = [{sides = 1}]", "shapes[0].sides: expected a list of whole numbers"),
        ("steps = 1\n[[shapes]]\n[[shapes]]\nside = 1", "line 4: shapes[1].side: unknown key. Did"),
        ("steps = 1\noptions = 1", "line 2: options: expected a table, got 1"),
    ],
)
def test_wrong_setting_is_named_with_its_line(tmp_path: Path, text: str, said: str) -> None:
    assert said in complaint(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1\nb = ", "run.toml, line 2: expected TOML: Invalid value"),
        ("a = 1\n\na = 2", "run.toml, line 3: expected TOML: Cannot overwrite a value"),
        ("a = '''\n\n\nb", "run.toml, line 4: expected TOML: "),
        ("a = 1\n[b\n", "run.toml, line 2: expected TOML: Expected ']'"),
        (b"a = 1\nb = '\xff'\n", "run.toml, line 2: expected UTF-8, invalid start byte"),
        ("a = " + "[" * 100_000, "run.toml: expected TOML, got values nested over 100 deep"),
        ("a." * 100_000 + "a = 1", "run.toml: expected TOML, got values nested over 100 deep"),
        ("['a' . " + '"b".' * 100_000 + "a]", "expected TOML, got values nested over 100 deep"),
        (
            "steps = 1" + "0" * 400,
            "run.toml, line 1: steps: expected a whole number, got one of over",
        ),
    ],
)
def test_malformed_file_is_named_with_its_line(
    tmp_path: Path, text: str | bytes, said: str
) -> None:
    assert said in complaint(tmp_path, text)


def test_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: cannot be read: No such file"):
        read_settings(tmp_path / "none.toml", Settings)


def test_override_takes_the_place_of_the_file(tmp_path: Path) -> None:
    path = written_to(tmp_path, "steps = 1\n[speed]\nrate = 2")
    settings = read_settings(path, Settings, {"speed.rate": 3, "name": "other"})
    assert (settings.steps, settings.speed.rate, settings.name) == (1, 3.0, "other")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("speed.rate", "x", "among the arguments: speed.rate: expected a number, got 'x'"),
        ("speed.rat", 1, "among the arguments: speed.rat: unknown key. Did you mean 'rate'?"),
        ("steps.a", 1, "steps.a: expected steps to be a table, got 1"),
        ("a..b", 1, "expected a dotted key such as optimizer.rate, got 'a..b'"),
        ("a = 1\nb", 1, "expected a dotted key such as optimizer.rate, got"),
        ("a." * 100_000 + "b", 1, "expected a dotted key such as optimizer.rate, got 'a.a."),
        (
            "steps",
            2**64,
            "among the arguments: steps: expected a whole number, got one of over 64 bits: 1844",
        ),
    ],
)
def test_wrong_override_is_no_fault_of_the_file(
    tmp_path: Path, key: str, value: object, said: str
) -> None:
    assert complaint(tmp_path, "steps = 1\n", {key: value}).startswith(said)


def test_wrong_line_beside_an_override_is_named(tmp_path: Path) -> None:
    said = complaint(tmp_path, "steps = 1\n[speed]\nwarmup = 'x'", {"speed.rate": 1})
    assert said.startswith("run.toml, line 3: speed.warmup")


def test_merge_leaves_both_as_they_were() -> None:
    values = {"a": {"b": 1, "c": 2}}
    assert merge(values, {"a.b": 3, "d.e": 4}) == {"a": {"b": 3, "c": 2}, "d": {"e": 4}}
    assert values == {"a": {"b": 1, "c": 2}}


def test_flags_are_toml_or_else_strings() -> None:
    texts = ["a=1", "b.c = 2.5", "d=[1, 2]", "e=true", "f=texts/a.txt", "g='1'", "a=3", "h=x=y"]
    assert parse_overrides(texts) == {
        "a": 3,
        "b.c": 2.5,
        "d": [1, 2],
        "e": True,
        "f": "texts/a.txt",
        "g": "1",
        "h": "x=y",
    }


@pytest.mark.parametrize("text", ["speed", "=1", "a b=1"])
def test_malformed_flag_is_refused(text: str) -> None:
    with pytest.raises(ConfigError, match="expected"):
        parse_overrides([text])


def test_values_from_elsewhere_are_read_the_same() -> None:
    assert settings_from({"steps": 2, "limit": None}, Settings, "the flags") == Settings(steps=2)
    with pytest.raises(ConfigError, match="the flags: steps: expected a whole number, got 'x'"):
        settings_from({"steps": "x"}, Settings, "the flags")


def test_loaded_values_know_their_lines(tmp_path: Path) -> None:
    values, places = load_settings(written_to(tmp_path, "a = 1\n[b]\nc = 2"))
    assert values == {"a": 1, "b": {"c": 2}}
    assert places.of(("b", "c")).endswith("run.toml, line 3")


def test_flat_settings_are_plain() -> None:
    values = flat(Settings(steps=1, names=("x", "y"), shape=Circle(radius=1.0)))
    assert values["speed.rate"] == 0.25
    assert values["names"] == "x, y"
    assert values["shape.kind"] == "circle"
    assert {type(value) for value in values.values()} <= {str, int, float, bool}


@pytest.mark.parametrize("value", ["[" * 100_000, "{a." + "b." * 100_000 + "c = 1}"])
def test_a_flag_of_endless_depth_is_a_text(value: str) -> None:
    assert parse_overrides([f"name={value}"]) == {"name": value}
