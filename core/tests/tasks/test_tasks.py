"""Tasks by name: results, batches, windows and what is refused."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from inspected import small_encoder, small_llama
from task_models import TAGS, task_bert

import lmkernel as lk
from lmkernel import tasks
from lmkernel.errors import CheckpointError, InputError, UnknownNameError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lmkernel.language_model import LanguageModel

MASK = "[MASK]"
QUESTION = ("ab?", "cdefgh ijklmn opqrst")
RANKED = ("ab", ["cd", "efg", "", "hij"])


def tagger(folder: Path) -> LanguageModel:
    return task_bert(folder, "TokenClassification", TAGS)


def filler(folder: Path) -> LanguageModel:
    return task_bert(folder, "MaskedLM")


def finder(folder: Path) -> LanguageModel:
    return task_bert(folder, "QuestionAnswering")


def ranker(folder: Path) -> LanguageModel:
    return task_bert(folder, "SequenceClassification", num_labels=1)


TASKS: list[tuple[Callable[..., Any], Callable[..., LanguageModel], list[Any]]] = [
    (tasks.tag, tagger, ["ab cd", "x", "a longer text than the context has room for"]),
    (tasks.fill, filler, [f"a{MASK}c", MASK, f"{MASK} b {MASK}"]),
    (tasks.answer, finder, [QUESTION, ("x", "y"), ("?", "a document of many windows " * 3)]),
    (tasks.rerank, ranker, [RANKED, ("x", ["y"])]),
    (tasks.perplexity, small_llama, ["abc", "ab", "hello"]),
]
IDS = [task.__name__ for task, *_ in TASKS]


@pytest.mark.parametrize(("task", "make", "inputs"), TASKS, ids=IDS)
def test_one_input_is_found_as_among_several_in_batches_of_any_size(
    task: Callable[..., Any], make: Callable[..., LanguageModel], inputs: list[Any], tmp_path: Path
) -> None:
    model = make(tmp_path / "m")
    alone = [task(model, one).json() for one in inputs]
    for batch in (1, 2, 9):
        several = task(model, inputs, batch=batch)
        assert len(several) == len(inputs)
        assert same(several.json(), alone)
        assert [json.loads(line) for line in str(several).splitlines()] == several.json()
        header, *rows = several.rows()
        assert [len(row) for row in rows] == [len(header)] * len(inputs)


def same(found: Any, expected: Any) -> bool:
    """Equal but for the rounding of scores, which are written with six digits."""
    if isinstance(found, dict):
        return found.keys() == expected.keys() and all(same(found[k], expected[k]) for k in found)
    if isinstance(found, list):
        return all(same(a, b) for a, b in zip(found, expected, strict=True))
    near = pytest.approx(expected, abs=2e-6, rel=1e-5) if isinstance(found, float) else expected
    return bool(found == near)


@pytest.mark.parametrize(("task", "make", "inputs"), TASKS, ids=IDS)
@pytest.mark.parametrize("given", [[], None, 3, [3], [None], [("a", 1)], [("a", "b", "c")]])
def test_what_is_no_input_is_refused(
    task: Callable[..., Any],
    make: Callable[..., LanguageModel],
    inputs: list[Any],
    given: Any,
    tmp_path: Path,
) -> None:
    model = make(tmp_path / "m")
    with pytest.raises(InputError, match=r"expected (one|a) "):
        task(model, given)
    with pytest.raises(InputError, match="batch: expected a whole number of at least 1, got"):
        task(model, inputs, batch=0)


@pytest.mark.parametrize(
    ("task", "given", "message"),
    [
        (tasks.tag, "a", "objective tagging, got a bert model that is not"),
        (tasks.answer, QUESTION, "objective answers, got a bert model that is not"),
        (tasks.fill, MASK, "a masked language model, .* got a bert model that does not"),
        (tasks.perplexity, "ab", "a model that predicts each token from those before"),
    ],
)
def test_a_model_of_another_kind_is_refused(
    task: Callable[..., Any], given: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message):
        task(small_encoder(tmp_path / "m"), given)


def test_the_verbs_load_a_model_by_its_folder(tmp_path: Path) -> None:
    tagger(tmp_path / "t"), filler(tmp_path / "f"), finder(tmp_path / "a"), ranker(tmp_path / "r")
    small_llama(tmp_path / "p")
    how: Any = {"backend": "numpy", "progress": False}
    assert lk.tag(tmp_path / "t", "ab cd", **how).json()["text"] == "ab cd"
    assert len(lk.fill(tmp_path / "f", MASK, top=3, **how).masks[0]) == 3
    assert lk.answer(tmp_path / "a", QUESTION, **how).question == QUESTION[0]
    assert len(lk.rerank(tmp_path / "r", RANKED, top=2, **how).ranked) == 2
    assert lk.perplexity(tmp_path / "p", "abc", **how).tokens == 2


def test_every_way_to_join_tokens_is_listed(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="average, first, max, none, simple"):
        tasks.tag(tagger(tmp_path), "a", words="last")


def test_tags_lie_where_they_say(tmp_path: Path) -> None:
    model, text = tagger(tmp_path), "ab cd efg, h ij klmno pqr stu v"
    for words in tasks.tagging.WORDS:
        found = tasks.tag(model, text, words=words).found
        assert found
        for one in found:
            assert text[one.start : one.end] == one.text
            assert 1 / len(TAGS) <= one.score <= 1


def test_tags_of_other_schemes_are_cut_at_their_hyphen(tmp_path: Path) -> None:
    """As transformers' pipeline names its groups: what follows the first hyphen."""
    schemes = ("S-PER", "E-PER", "B-A-B", "I-A-B", "TAG")
    model = task_bert(tmp_path / "m", "TokenClassification", schemes)
    text = "ab cd efg, h ij klmno pqr stu v"
    apart = {one.label for one in tasks.tag(model, text, words="none").found}
    joined = {one.label for one in tasks.tag(model, text, words="simple").found}
    assert apart <= {*schemes}
    assert joined == {label.split("-", 1)[-1] for label in apart}
    assert apart & {"S-PER", "E-PER"}


def test_a_mask_that_the_model_lacks_is_refused_and_padding_is_not(tmp_path: Path) -> None:
    """Neither is in ``tokenizer.json``, so that each gets an id beyond the model's vocabulary."""
    filler(tmp_path)
    (tmp_path / "special_tokens_map.json").unlink()
    config = tmp_path / "tokenizer_config.json"
    said = json.loads(config.read_text())
    config.write_text(json.dumps({**said, "pad_token": "[OTHER]"}))
    assert len(tasks.fill(lk.load(tmp_path), f"a{MASK}", top=1).masks) == 1
    config.write_text(json.dumps({**said, "mask_token": "[OTHER]"}))
    with pytest.raises(InputError, match=r"expected token ids in 0 … \d+, got \d+"):
        tasks.fill(lk.load(tmp_path), "a[OTHER]")


def test_a_text_without_a_mask_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'ab': expected at least one \[MASK\], got none"):
        tasks.fill(filler(tmp_path), ["ab"])


@pytest.mark.parametrize("top", [0, 262, "3", True])
def test_so_many_guesses_there_are_not(top: Any, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="top: expected a whole number in 1 … 261, got"):
        tasks.fill(filler(tmp_path), MASK, top=top)


def test_all_guesses_are_probabilities(tmp_path: Path) -> None:
    [guesses] = tasks.fill(filler(tmp_path), f"a{MASK}", top=261).masks
    assert sum(guess.score for guess in guesses) == pytest.approx(1)
    assert [g.score for g in guesses] == sorted((g.score for g in guesses), reverse=True)


def test_there_may_be_no_answer(tmp_path: Path) -> None:
    model = finder(tmp_path)
    surely = tasks.answer(model, QUESTION, no_answer=False)
    assert QUESTION[1][surely.start : surely.end] == surely.text != ""
    found = tasks.answer(model, QUESTION)
    assert found.no_answer == surely.no_answer
    assert found.text == ("" if found.no_answer > surely.score else surely.text)
    assert found.score == max(found.no_answer, surely.score)


def test_an_answer_is_no_longer_than_asked(tmp_path: Path) -> None:
    model = finder(tmp_path)
    one = tasks.answer(model, QUESTION, no_answer=False, longest=1)
    assert len(model.token_ids(one.text, special_tokens=False)) == 1


def test_a_question_that_leaves_no_room_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"'long.*': expected a first text that leaves room in 16"):
        tasks.answer(finder(tmp_path), ("long" * 9, "document"))


def test_a_decoder_writes_an_answer_with_its_probability(tmp_path: Path) -> None:
    model = small_llama(tmp_path, max_position_embeddings=1024)
    found = tasks.answer(model, [QUESTION, ("x", "y")], longest=3)
    for one in found:
        assert 0 < one.score <= 1
        assert one.no_answer is None


@pytest.mark.parametrize("said", ["no answer", "No answer.", '"no answer"'])
def test_a_decoder_says_that_there_is_none(said: str) -> None:
    from lmkernel.tasks.answering import _read

    assert _read("q", "text", said, [-1.0], may_fail=True).text == ""
    assert _read("q", "text", said, [-1.0], may_fail=False).text == said
    assert _read("q", "a text", "text", [-1.0], may_fail=True).json()["start"] == 2


def test_a_cross_encoder_has_one_score(tmp_path: Path) -> None:
    model = task_bert(tmp_path, "SequenceClassification", ("a", "b"))
    with pytest.raises(InputError, match="a cross-encoder with one score, got a model of 2 class"):
        tasks.rerank(model, RANKED)


def test_what_follows_a_cross_encoder_is_named(tmp_path: Path) -> None:
    said = {"sentence_transformers": {"activation_fn": "torch.nn.Tanh"}}
    model = task_bert(tmp_path, "SequenceClassification", num_labels=1, **said)
    with pytest.raises(
        CheckpointError, match="activation_fn: expected Sigmoid or Identity of torch, got"
    ):
        tasks.rerank(model, RANKED)


@pytest.mark.parametrize("name", ["my.own.Identity", "Identity", ["torch.nn.Identity"]])
def test_a_name_that_is_not_of_torch_is_refused(name: Any, tmp_path: Path) -> None:
    said = {"sentence_transformers": {"activation_fn": name}}
    model = task_bert(tmp_path, "SequenceClassification", num_labels=1, **said)
    with pytest.raises(CheckpointError, match="activation_fn: expected Sigmoid or Identity of"):
        tasks.rerank(model, RANKED)


def test_a_newer_folder_names_what_follows_beside_config_json(tmp_path: Path) -> None:
    """sentence-transformers 6 writes it into a file of its own, which goes before."""
    model = task_bert(tmp_path, "SequenceClassification", num_labels=1)
    bounded = {one.index: one.score for one in tasks.rerank(model, RANKED).ranked}
    about = {"activation_fn": "torch.nn.modules.linear.Identity"}
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps(about), "utf-8")
    plain = {one.index: one.score for one in tasks.rerank(model, RANKED).ranked}
    for index, score in plain.items():
        assert bounded[index] == pytest.approx(1 / (1 + np.exp(-score)))
        assert bounded[index] != pytest.approx(score)


def test_a_cross_encoder_puts_its_usual_prompt_before_the_query(tmp_path: Path) -> None:
    model = task_bert(tmp_path, "SequenceClassification", num_labels=1)
    query, documents = RANKED
    expected = tasks.rerank(model, (f"xy {query}", documents)).ranked
    assert expected != tasks.rerank(model, RANKED).ranked
    about = {"prompts": {"web": "xy "}, "default_prompt_name": "web", "activation_fn": None}
    (tmp_path / "config_sentence_transformers.json").write_text(json.dumps(about), "utf-8")
    found = tasks.rerank(model, RANKED)
    assert found.ranked == expected
    assert found.query == query


def test_probabilities_that_round_to_one_keep_the_order_of_the_outputs(tmp_path: Path) -> None:
    task_bert(tmp_path / "a", "SequenceClassification", num_labels=1)
    model = lk.load(tmp_path / "a", backend="numpy")
    values = model.parameters()
    values["head.bias"] = values["head.bias"] + 400
    values["head.weight"] = values["head.weight"] * 50
    model.save(tmp_path / "b", values)
    identity = {"activation_fn": "torch.nn.Identity"}
    surer = lk.load(tmp_path / "b", backend="numpy")
    bounded = tasks.rerank(surer, RANKED).ranked
    (tmp_path / "b" / "config_sentence_transformers.json").write_text(json.dumps(identity), "utf-8")
    plain = tasks.rerank(surer, RANKED).ranked
    assert {one.score for one in bounded} == {1.0}
    assert [one.index for one in bounded] == [one.index for one in plain]
    assert [one.index for one in plain] != sorted(one.index for one in plain)


def test_documents_that_fit_alike_keep_their_order(tmp_path: Path) -> None:
    found = tasks.rerank(small_encoder(tmp_path), ("ab", ["x", "ab", "x", "ab"])).ranked
    assert [one.index for one in found] == [1, 3, 0, 2]
    assert found[0].score == pytest.approx(1)


def test_perplexity_in_windows_scores_each_token_once(tmp_path: Path) -> None:
    model = small_llama(tmp_path, max_position_embeddings=16)
    text = "hello there and more than there is room for"
    ids = model.token_ids(text)
    with pytest.raises(InputError, match=r"at most 16 tokens, .*; stride \(--stride N\) reads"):
        tasks.perplexity(model, text)
    found = tasks.perplexity(model, text, stride=8)
    assert found.tokens == len(ids) - 1
    first = model.log_probs(ids[:16])
    rest = [model.log_probs(ids[k : k + 16]).values[-8:] for k in range(8, len(ids) - 16, 8)]
    assert found.log_prob < first.sum
    assert len(rest) > 0
    exact = [*first.values]
    for begin in range(8, len(ids), 8):
        window = ids[begin : begin + 16]
        done = 1 + len(exact) - begin
        exact += model.log_probs(window).values[done - 1 :].tolist()
        if begin + 16 >= len(ids):
            break
    np.testing.assert_allclose(found.log_prob, np.sum(exact), rtol=1e-6)


def test_an_empty_text_that_special_tokens_stand_around_has_no_bytes() -> None:
    found = tasks.Perplexity("", 1, -2.0)
    assert found.bits_per_byte == np.inf
    assert found.json()["bits_per_byte"] is None


@pytest.mark.parametrize("stride", [-1, 16, 1.5])
def test_a_stride_that_leaves_tokens_out_is_refused(stride: Any, tmp_path: Path) -> None:
    model = small_llama(tmp_path, max_position_embeddings=16)
    with pytest.raises(InputError, match="stride: expected a whole number in 0 … 15, got"):
        tasks.perplexity(model, "abc", stride=stride)
