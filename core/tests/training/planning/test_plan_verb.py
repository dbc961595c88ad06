"""The verb and the command: a configuration alone is enough, and what is wrong is named."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from training_samples import GPT2

import lmkernel as lk
from lmkernel.cli.main import main
from lmkernel.errors import ConfigError, InputError, UnknownNameError
from lmkernel.training.planning.hardware import HARDWARE, parse_hardware

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "config.json"
    path.write_text(json.dumps(GPT2), "utf-8")
    return path


def test_a_configuration_alone_is_enough(config: Path) -> None:
    found = lk.plan(config, mesh="data=2,fsdp=2", hardware="h200", batch=4, dtype="bfloat16")
    assert found.parameters == 61 * 24 + 8 * 24 + 2 * (12 * 24**2 + 13 * 24) + 2 * 24
    assert found.tokens == 4 * 8
    assert found.fits
    assert set(found.bounds) == {"compute", "memory", "network"}
    assert found.sent.activations == 0


def test_the_command_prints_what_the_verb_gives(
    config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", str(config), "--mesh", "data=2", "--json"]) == 0
    expected = lk.plan(config, mesh="data=2").json()
    assert json.loads(capsys.readouterr().out) == expected
    assert main(["plan", str(config), "--mesh", "data=2"]) == 0
    said = capsys.readouterr().out
    assert "sends gradients" in said
    assert "bounds it" in said


def test_a_device_that_is_too_small_is_seen(config: Path) -> None:
    found = lk.plan(config, hardware="h100,memory=1e5")
    assert not found.fits
    assert "does not fit in its 100 kB" in str(found)


def test_hardware_is_a_name_or_numbers() -> None:
    assert parse_hardware("h100").flops == HARDWARE["h100"].flops
    assert parse_hardware("h100,network=5e10").network == 5e10
    own = parse_hardware("flops=1e11,memory=8e9,bandwidth=2e10,network=1e9")
    assert (own.flops, own.memory, own.bandwidth, own.network) == (1e11, 8e9, 2e10, 1e9)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("h1000", "expected one of a100, .* got 'h1000'"),
        ("h100,network=-1", "got 'network=-1'"),
        ("h100,wire=1", "got 'wire=1'"),
        ("flops=1e12", "expected memory, bandwidth, network too"),
    ],
)
def test_hardware_that_is_not_known_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=f"hardware: .*{message}|hardware: {message}"):
        parse_hardware(text)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch": 0}, "batch: expected a whole number in 1 … 2147483647, got 0"),
        ({"dtype": "float16"}, "unknown dtype 'float16'.*float32"),
        ({"mesh": "data=3"}, "batch: expected a multiple of 3 with data=3, got 8"),
        ({"mesh": "fsdp=4,model=5", "batch": 4}, "expected sizes that divide by model=5"),
        ({"optimizer": "adafactor"}, "optimizer: expected one whose state has"),
    ],
)
def test_what_cannot_be_planned_is_named(
    config: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises((ConfigError, InputError, UnknownNameError), match=message):
        lk.plan(config, **options)
