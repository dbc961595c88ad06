"""What a benchmark says, on figures that are given; and that its parts measure something."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import pytest
from fuzzing.configs import CONFIGS
from fuzzing.models import write_model
from inspected import small_encoder, small_llama

import lmkernel as lk
from lmkernel.benchmark.limits import Others, product_rate, read_rate
from lmkernel.benchmark.outcome import Benchmark
from lmkernel.benchmark.speed import Speed, numbers_of_a_token
from lmkernel.cli.main import main
from lmkernel.errors import InputError
from lmkernel.parameters import flatten

if TYPE_CHECKING:
    from pathlib import Path

HERE = {
    "processor": "A processor",
    "processors": {"there": 4, "usable": 2},
    "system": "A system",
    "python": "3.11.7",
    "packages": {"numpy": "2.0"},
}


def speed(**changes: Any) -> Speed:
    usual: dict[str, Any] = {
        "backend": "numpy",
        "dtype": "float32",
        "weights": "",
        "first_seconds": 1.25,
        "decode": 20.0,
        "decode_batch": 80.0,
        "prefill": 500.0,
        "step_bytes": 5e8,
        "token_operations": 2.5e8,
        "product_rate": 2.5e11,
        "others": 0.01,
        "environment": HERE,
    }
    return Speed(**{**usual, **changes})


def benchmark(*speeds: Speed) -> Benchmark:
    return Benchmark(
        model="m",
        parameters=125_000_000,
        read_rate=2e10,
        prompt_tokens=512,
        new_tokens=32,
        repeats=5,
        speeds=speeds,
    )


def test_shares_are_of_what_the_machine_allows() -> None:
    other = speed(backend="torch", decode=32.0, prefill=1000.0, product_rate=5e11)
    rows = benchmark(speed(), other).rows()
    head = ["BACKEND", "DECODE", "OF READING", "BATCH 8", "PREFILL", "OF PRODUCTS", "FIRST RUN"]
    assert rows == [
        head,
        ["numpy", "20.0", "50%", "80.0", "500", "25%", "1.2 s"],
        ["torch", "32.0", "80%", "80.0", "1000", "50%", "1.2 s"],
    ]


def test_a_quick_one_says_nothing_of_eight_rows() -> None:
    rows = benchmark(speed(decode_batch=None)).rows()
    assert "BATCH 8" not in rows[0]
    assert len(rows[0]) == len(rows[1])


def test_notes_say_where_it_was_and_who_disturbed() -> None:
    notes = benchmark(speed(), speed(backend="torch", others=0.3, weights="8 bits")).notes()
    assert "A processor, 2 of 4 processors, A system" in notes
    assert "python 3.11.7, numpy 2.0" in notes
    assert "torch: weights 8 bits" in notes
    [busy] = [note for note in notes if "other programs" in note]
    assert busy.startswith("torch: other programs took 30% of the processors' time")


def test_json_has_every_figure() -> None:
    found = json.loads(json.dumps(benchmark(speed()).json()))
    assert found["speeds"][0]["share_of_reading"] == 0.5
    assert found["product_rate"] == 2.5e11
    assert found["speeds"][0]["environment"] == HERE


def test_the_command_measures_a_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    small_llama(tmp_path / "m")
    options = ["--backends", "numpy", "--quick", "--json"]
    assert main(["bench", str(tmp_path / "m"), *options]) == 0
    [one] = json.loads(capsys.readouterr().out)["speeds"]
    assert one["backend"] == "numpy"
    assert one["decode_batch"] is None
    assert min(one["decode"], one["prefill"], one["first_seconds"], one["product_rate"]) > 0


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"new_tokens": 1}, "new_tokens: expected a whole number of at least 2, got 1"),
        ({"new_tokens": 10**6}, "new_tokens: expected fewer than the context of"),
        ({"repeats": 0}, "repeats: expected a whole number of at least 1, got 0"),
        ({"backends": []}, "backends: expected strings that are not empty"),
    ],
)
def test_what_makes_no_sense_is_refused(
    asked: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    small_llama(tmp_path / "m")
    with pytest.raises(InputError, match=expected):
        lk.bench(str(tmp_path / "m"), **{"backends": ["numpy"], "progress": False, **asked})


def test_a_model_that_writes_nothing_is_refused(tmp_path: Path) -> None:
    small_encoder(tmp_path / "m")
    with pytest.raises(InputError, match="expected a decoder, which writes after a prompt"):
        lk.bench(tmp_path / "m", ["numpy"], progress=False)


def test_a_token_meets_the_numbers_of_a_tied_table_and_of_each_matrix(tmp_path: Path) -> None:
    model = small_llama(tmp_path / "m")
    described = model.describe()
    own = (
        0
        if model.config.head is not None and model.config.head.tied
        else described.by_part["embedding"]
    )
    assert numbers_of_a_token(model) == described.parameters - own


def test_of_experts_a_token_meets_those_that_it_chooses(tmp_path: Path) -> None:
    write_model(tmp_path / "m", "mixtral")
    model = lk.load(tmp_path / "m", progress=False)
    every = flatten(model.model.declare()["decoder"])
    sizes = {name: math.prod(param.shape) for name, param in every.items()}
    experts = sum(size for name, size in sizes.items() if ".experts." in name)
    assert experts
    chosen, count = (
        CONFIGS["mixtral"][key] for key in ("num_experts_per_tok", "num_local_experts")
    )
    tied = model.describe().by_part["embedding"] if model.config.head.tied else 0
    head = model.describe().by_part.get("head", 0)
    expected = tied + head + sum(sizes.values()) - experts * (1 - chosen / count)
    assert numbers_of_a_token(model) == expected


def test_limits_are_measured_and_others_are_seen() -> None:
    with Others() as others:
        assert read_rate() > 0
        assert product_rate(lk.load_backend("numpy")) > 0
    assert others.share is None or 0 <= others.share <= 1
