"""``generate``, ``chat`` and ``compare`` on a small model, without a terminal."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from letters import letters
from small import small_config, write_small

from lmkernel.backend import load_backend
from lmkernel.loading import open_language_model
from lmkernel.model import Model

if TYPE_CHECKING:
    from pathlib import Path

COMMAND = [sys.executable, "-m", "lmkernel.cli"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("models") / "small"
    write_small(place, Model(load_backend(), small_config()), letters())
    return place


def run(*arguments: str, given: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *arguments], input=given, capture_output=True, check=False, timeout=120
    )


def error_line(done: subprocess.CompletedProcess[bytes]) -> str:
    """The one line of an error."""
    assert done.returncode == 1, done
    text = done.stderr.decode()
    assert text.startswith("lmkernel: error: ")
    assert text.count("\n") == 1
    return text


def test_standard_output_holds_the_completion_alone(folder: Path) -> None:
    done = run("generate", str(folder), "--max-new-tokens", "6", "Hello")
    expected = "".join(open_language_model(folder, load_backend()).generate("Hello"))
    assert done.returncode == 0, done
    assert done.stdout.decode() == expected[: len(done.stdout.decode())]
    assert done.stdout
    assert done.stderr == b"[cut at 6 tokens; --max-new-tokens N allows more]\n"


def test_answer_that_fills_the_context_says_so(folder: Path) -> None:
    for command in (["generate", str(folder)], ["chat", "--model", str(folder)]):
        done = run(*command, "Hello")
        assert done.stderr == b"[cut where the model's context is full]\n"


def test_prompt_may_come_on_standard_input(folder: Path) -> None:
    by_argument = run("generate", str(folder), "Hi there", "--max-new-tokens", "5")
    by_input = run("generate", str(folder), "--max-new-tokens", "5", given=b"Hi there")
    assert by_argument.stdout == by_input.stdout != b""


def test_json_says_what_ran(folder: Path) -> None:
    done = run("generate", str(folder), "abc", "--max-new-tokens", "4", "--json")
    result = json.loads(done.stdout)
    assert (result["backend"], result["dtype"], result["prompt"]) == ("numpy", "float32", "abc")
    assert len(result["tokens"]) == 4
    assert result["finish_reason"] == "length"


def test_seed_and_temperature_decide_the_answer(folder: Path) -> None:
    answers = [
        run("generate", str(folder), "x", "--temperature", "3", "--seed", seed).stdout
        for seed in ("1", "1", "2")
    ]
    assert answers[0] == answers[1] != answers[2]


def test_chat_answers_one_question(folder: Path) -> None:
    done = run("chat", "--model", str(folder), "--max-new-tokens", "5", "How are you")
    assert done.returncode == 0, done
    assert done.stdout.endswith(b"\n")
    system = run(
        "chat", "How are you", "--model", str(folder), "--max-new-tokens", "5", "--system", "Sing"
    )
    assert system.stdout != done.stdout


def test_chat_with_a_model_in_place_of_a_question_says_how_to_name_it(folder: Path) -> None:
    for name in (str(folder), "smollm2-135m-instruct"):
        assert f"lmkernel chat --model {name}" in error_line(run("chat", name))


def test_model_without_template_points_to_generate(tmp_path: Path) -> None:
    write_small(tmp_path / "m", Model(load_backend(), small_config()), letters(template=None))
    assert "no chat template; use generate" in error_line(
        run("chat", "--model", str(tmp_path / "m"), "x")
    )
    assert folder


def test_template_that_misbehaves_is_one_line(tmp_path: Path) -> None:
    bad = "{{ messages.__class__.__mro__ }}"
    write_small(tmp_path / "m", Model(load_backend(), small_config()), letters(bad))
    assert "template" in error_line(run("chat", "--model", str(tmp_path / "m"), "x"))


@pytest.mark.parametrize(
    ("arguments", "given", "message"),
    [
        (["abc", "--temperature", "-1"], None, "temperature"),
        (["abc", "--dtype", "bfloat16"], None, "declares the dtypes float32, float64"),
        (["abc", "--device", "cuda"], None, "declares the devices cpu; got 'cuda'"),
        (["abc", "--backend", "nunpy"], None, "Did you mean 'numpy'?"),
        ([""], None, "empty"),
        ([], b"", "empty"),
        ([], b"ab\xffc", "0xff at offset 2"),
        (["a" * 60], None, "at most 48 tokens, the model's context, got 60"),
    ],
)
def test_bad_input_is_one_line(
    folder: Path, arguments: list[str], given: bytes | None, message: str
) -> None:
    assert message in error_line(run("generate", str(folder), *arguments, given=given))


def test_argument_in_another_encoding_is_refused(folder: Path) -> None:
    bad = os.fsdecode(b"caf\xe9")
    assert "UTF-8" in error_line(run("generate", str(folder), bad))


def test_missing_path_is_said_to_be_missing() -> None:
    assert "no such folder or file: ./nowhere" in error_line(run("generate", "./nowhere", "x"))


SLOW = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where it was ignored at the start
from lmkernel.cli import main
import lmkernel.generation.text as text
original = text.TextGeneration._take
def slowly(self, piece, **options):
    time.sleep(0.2)
    original(self, piece, **options)
text.TextGeneration._take = slowly
sys.exit(main.main(sys.argv[1:]))
"""


def test_interrupt_in_an_answer_ends_quietly(folder: Path) -> None:
    arguments = ["generate", str(folder), "abc", "--max-new-tokens", "40"]
    with subprocess.Popen(
        [sys.executable, "-c", SLOW, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as child:
        assert child.stdout is not None
        first = child.stdout.read(1)
        child.send_signal(signal.SIGINT)
        out, err = child.communicate(timeout=60)
    assert child.returncode == 130
    assert first + out
    assert err.decode().strip() == "interrupted"


def test_compare_judges_each_backend(folder: Path) -> None:
    prompts = ("--prompt", "Hi", "--prompt", "Name a tree")
    done = run(
        "compare", str(folder), *prompts, "--backends", "numpy", "--max-new-tokens", "8", "--json"
    )
    result = json.loads(done.stdout)
    assert done.returncode == 0, done
    [row] = result["backends"]
    assert row["passed"]
    assert row["error"] <= row["budget"]
    assert [len(answer["tokens"]) for answer in result["reference"]] == [8, 8]


def test_compare_shows_a_table(folder: Path) -> None:
    done = run("compare", str(folder), "--backends", "numpy", "--prompt", "Hi")
    assert done.stdout.decode().splitlines()[1].split()[:3] == ["numpy", "1/1", "equal"]


def test_compare_names_an_unknown_backend_before_it_runs(folder: Path) -> None:
    assert "'nimpy'" in error_line(run("compare", str(folder), "--backends", "numpy,nimpy"))
