"""Log-likelihoods and answers beside those of the harness's own model of transformers."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from inspected import loaded
from lm_eval.api.instance import Instance
from lm_eval.api.registry import get_model
from lm_eval.models.huggingface import HFLM
from lmkernel_lm_eval import LmkernelLM
from lmkernel_lm_eval.agreement import Outcome, likelihood_budget
from small import HF_CONFIG
from vocabulary_samples import TEMPLATE, byte_level

from lmkernel.errors import InputError
from lmkernel.tokenizers import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = {**HF_CONFIG, "vocab_size": 340, "max_position_embeddings": 40, "eos_token_id": 0}
PAIRS = [
    ("the cat", " sat on the mat"),
    ("the cat ", "sat"),
    ("", "你好, the hat"),
    ("the cat " * 20, "sat on"),
    ("a", " cat" * 12),
    ("12 +", " 34"),
]
TEXTS = ["the cat sat", "the cat sat on the mat, and the hat " * 9, "你好"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("models") / "tiny"
    special = {
        "eos_token": "<|endoftext|>",
        "bos_token": "<|endoftext|>",
        "tokenizer_class": "PreTrainedTokenizerFast",
    }
    loaded(made, CONFIG, Tokenizer(byte_level(), special, templates={"default": TEMPLATE}))
    return made


@pytest.fixture(scope="module")
def ours(folder: Path) -> LmkernelLM:
    return LmkernelLM(str(folder), batch_size=2)


@pytest.fixture(scope="module")
def theirs(folder: Path) -> Any:
    return HFLM(pretrained=str(folder), device="cpu", dtype="float32", batch_size=2)


def instances(kind: Any, arguments: list[Any]) -> list[Instance]:
    return [Instance(kind, {}, one, i) for i, one in enumerate(arguments)]


@pytest.fixture(scope="module")
def exact(folder: Path) -> LmkernelLM:
    """The same in float64, from which others are off by rounding alone."""
    return LmkernelLM(str(folder), dtype="float64")


def budget(ours: list[float], exact: list[float]) -> float:
    """How far a log-likelihood may be off that ours is off by so much."""
    return likelihood_budget(Outcome({}, [ours]), Outcome({}, [exact]))


def test_log_likelihoods_are_those_of_transformers(
    ours: LmkernelLM, exact: LmkernelLM, theirs: Any
) -> None:
    asked = instances("loglikelihood", PAIRS)
    found = [m.loglikelihood(asked, disable_tqdm=True) for m in (ours, theirs, exact)]
    own, other, true = ([value for value, _ in one] for one in found)
    allowed = budget(own, true)
    assert allowed < 1e-2
    for pair, expected, got in zip(PAIRS, true, other, strict=True):
        assert abs(got - expected) <= allowed, (pair, expected, got)
    assert [greedy for _, greedy in found[0]] == [greedy for _, greedy in found[1]]


def test_the_likeliest_continuation_is_greedy(ours: LmkernelLM) -> None:
    answer = ours.model.generate("the cat", max_new_tokens=4).tokens
    ids = ours.model.token_ids("the cat")
    [(_, greedy), (_, other)] = ours._loglikelihood_tokens(
        [(None, ids, answer), (None, ids, [*answer[:-1], (answer[-1] + 1) % 340])],
        disable_tqdm=True,
    )
    assert (greedy, other) == (True, False)


def test_rolling_windows_are_those_of_transformers(
    ours: LmkernelLM, exact: LmkernelLM, theirs: Any
) -> None:
    asked = instances("loglikelihood_rolling", [(text,) for text in TEXTS])
    own, other, true = (
        m.loglikelihood_rolling(asked, disable_tqdm=True) for m in (ours, theirs, exact)
    )
    allowed = budget(own, true)
    assert allowed < 1e-2
    for text, expected, got in zip(TEXTS, true, other, strict=True):
        assert abs(got - expected) <= allowed, (text, expected, got)


@pytest.mark.parametrize("until", [[], ["e"], [" ", "zzz"]])
def test_answers_are_those_of_transformers(ours: LmkernelLM, theirs: Any, until: list[str]) -> None:
    wanted = {"until": until, "max_gen_toks": 8, "do_sample": False}
    asked = instances("generate_until", [(text, wanted) for text in (*TEXTS, "the hat")])
    assert ours.generate_until(asked, disable_tqdm=True) == theirs.generate_until(
        asked, disable_tqdm=True
    )


def test_a_chat_has_one_first_token(ours: LmkernelLM, theirs: Any) -> None:
    text = ours.apply_chat_template([{"role": "user", "content": "the cat?"}])
    assert text == theirs.apply_chat_template([{"role": "user", "content": "the cat?"}])
    begun = f"<|endoftext|>{text}"
    assert ours.tok_encode(begun) == theirs.tok_encode(begun)
    assert ours.tok_encode(begun)[:2].count(ours.prefix_token_id) == 1


def test_the_model_is_known_by_its_name() -> None:
    assert get_model("lmkernel") is LmkernelLM


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ({"max_gen_toks": 40}, "max_gen_toks: expected less than the 40 tokens"),
        ({"num_beams": 3, "max_gen_toks": 4}, "not known here: num_beams"),
    ],
)
def test_what_cannot_be_done_is_refused(
    ours: LmkernelLM, wanted: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        ours.generate_until(instances("generate_until", [("the cat", wanted)]), disable_tqdm=True)


def test_the_program_is_the_harness_with_the_model() -> None:
    command = [sys.executable, "-m", "lmkernel_lm_eval", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "usage: " in done.stdout
