"""What is written of settings reads back as equal settings."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar, final

import pytest

from lmkernel.errors import ConfigError
from lmkernel.settings.file import read_settings, to_toml
from lmkernel.training.config import LoraConfig, OptimizerConfig, ScheduleConfig

if TYPE_CHECKING:
    from pathlib import Path


@final
@dataclass(frozen=True)
class Everything:
    text: str = ""
    number: float = 0.0
    whole: int = 0
    word: str | None = None
    limit: int | None = 5
    many: tuple[float, ...] = ()
    lora: LoraConfig | None = None
    optimizer: OptimizerConfig = field(default_factory=lambda: OptimizerConfig(kind="sgd"))
    schedules: tuple[ScheduleConfig, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)


_T = TypeVar("_T")
TEXTS = (
    "",
    'a"b\\c',
    "line\nline\ttab\r",
    "\x00\x1f\x7f\x80",
    "'''\"\"\"",
    "日本 🙂 # = [x]",
    "none ",
)


def again(folder: Path, settings: _T) -> _T:
    path = folder / "again.toml"
    path.write_text(to_toml(settings), encoding="utf-8")
    return read_settings(path, type(settings))


@pytest.mark.parametrize("text", TEXTS)
def test_strings_read_back(tmp_path: Path, text: str) -> None:
    settings = Everything(text=text, options={text: {text: [text]}})
    assert again(tmp_path, settings) == settings


@pytest.mark.parametrize("number", [0.1, 1e-8, 1e300, -0.0, 5e-324, 123456789.123456789, 1e16])
def test_floats_read_back_with_every_bit(tmp_path: Path, number: float) -> None:
    back = again(tmp_path, Everything(number=number, many=(number,)))
    assert back.number.hex() == number.hex()
    assert back.many[0].hex() == number.hex()


def test_what_is_not_finite_reads_back(tmp_path: Path) -> None:
    back = again(tmp_path, Everything(number=math.nan, many=(math.inf, -math.inf)))
    assert math.isnan(back.number)
    assert back.many == (math.inf, -math.inf)


def test_nested_and_left_out_values_read_back(tmp_path: Path) -> None:
    settings = Everything(
        whole=-(2**62),
        word="x",
        limit=None,
        lora=LoraConfig(rank=3, targets=("q",)),
        optimizer=OptimizerConfig(kind="lion", options={"when": dt.date(2020, 1, 2)}),
        schedules=(ScheduleConfig(), ScheduleConfig(kind="cosine", warmup=4)),
    )
    assert again(tmp_path, settings) == settings


def test_defaults_are_written_too() -> None:
    assert "beta1 = 0.9" in to_toml(Everything())


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (Everything(word="none"), "word: 'none' would be read as None"),
        (Everything(options={"a": {"b": None}}), "options.a.b: None cannot be written as TOML"),
        (Everything(options={"a": [{1, 2}]}), r"options.a: \{1, 2\} cannot be written as TOML"),
        (Everything(options={"a": {3: 4}}), "options.a: expected keys that are strings, got 3"),
        (Everything(text="\udc80"), "cannot be written as UTF-8"),
    ],
)
def test_what_toml_cannot_hold_is_refused(settings: Everything, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        to_toml(settings)
