"""What a loaded model refuses, and what it takes."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from inspected import small_llama
from letters import TEMPLATE, letters
from tokenizers import decoders

import lmkernel as lk
from lmkernel.errors import CapabilityError, CheckpointError, InputError, UnknownNameError
from lmkernel.generation import GenerationOptions
from lmkernel.language_model import LanguageModel
from lmkernel.tokenizers import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    return small_llama(tmp_path_factory.mktemp("models") / "llama")


NO_IDS = (bytearray(b"ab"), memoryview(b"ab"), [bytearray(b"ab")], np.array(3))


@pytest.mark.parametrize("asked", [None, 3, 2.5, True, object(), b"ab", [3.5], [[3], [4]], *NO_IDS])
@pytest.mark.parametrize("verb", ["generate", "decode"])
def test_m13_what_is_no_prompt_is_refused(model: LanguageModel, verb: str, asked: Any) -> None:
    with pytest.raises(InputError, match="expected"):
        getattr(model, verb)(asked)


@pytest.mark.parametrize("asked", ["text", b"text", [3, 4], {"a": 1}])
def test_what_is_no_batch_is_refused(model: LanguageModel, asked: Any) -> None:
    with pytest.raises(InputError, match="expected"):
        model.generate_batch(asked)


@pytest.mark.parametrize("asked", [range(10**9), range(10**30), itertools.count()])
@pytest.mark.parametrize("verb", ["generate", "generate_batch", "chat", "logits", "embed"])
def test_ids_and_rows_without_an_end_are_refused(
    model: LanguageModel, verb: str, asked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmkernel.arguments.MOST_ITEMS", 10_000)
    with pytest.raises(InputError, match="expected"):
        str(getattr(model, verb)(asked))


@pytest.mark.parametrize("asked", NO_IDS)
@pytest.mark.parametrize("verb", ["logits", "log_probs"])
def test_what_is_no_row_of_ids_is_refused(model: LanguageModel, verb: str, asked: Any) -> None:
    with pytest.raises(InputError, match=r"expected .*token ids"):
        getattr(model, verb)(asked)


@pytest.mark.parametrize(
    "asked", [None, 3, "ab", b"ab", [3, 4], [], {"input_ids": [3]}, np.array([3, 4]), np.array(3)]
)
@pytest.mark.parametrize("verb", ["generate_batch", "generate_tokens"])
def test_what_is_not_several_prompts_is_refused(
    model: LanguageModel, verb: str, asked: Any
) -> None:
    with pytest.raises(InputError, match="expected several prompts"):
        getattr(model, verb)(asked)


@pytest.mark.parametrize("asked", [[np.array(1), np.array(2)], *NO_IDS])
@pytest.mark.parametrize("verb", ["generate_batch", "generate_tokens"])
def test_what_holds_no_rows_of_ids_is_refused(model: LanguageModel, verb: str, asked: Any) -> None:
    with pytest.raises(InputError, match="expected"):
        getattr(model, verb)(asked)


@pytest.mark.parametrize(
    "asked", [None, 3, [], {}, {"role": "user"}, ["hi"], iter(()), " ", *NO_IDS]
)
def test_what_is_no_conversation_is_refused(model: LanguageModel, asked: Any) -> None:
    with pytest.raises(InputError, match="expected"):
        model.chat(asked)


def test_a_tilde_is_the_users_folder(
    model: LanguageModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    model.save("~/copy")
    assert (tmp_path / "copy" / "config.json").is_file()


def without_tokenizer(model: LanguageModel, folder: Path) -> Path:
    model.save(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).unlink()
    return folder


def test_a_model_without_a_tokenizer_is_saved_as_it_is(
    model: LanguageModel, tmp_path: Path
) -> None:
    bare = lk.load(without_tokenizer(model, tmp_path / "bare"))
    bare.save(tmp_path / "copy")
    assert {p.name for p in (tmp_path / "copy").iterdir()} == {
        path.name for path in (tmp_path / "bare").iterdir()
    }
    asked = [[3, 4, 5]]
    assert np.array_equal(lk.load(tmp_path / "copy").logits(asked), bare.logits(asked))


def test_a_tokenizer_that_is_not_read_is_not_left_out_of_what_is_saved(
    model: LanguageModel, tmp_path: Path
) -> None:
    folder = without_tokenizer(model, tmp_path / "bare")
    (folder / "vocab.txt").write_text("a")
    with pytest.raises(CheckpointError, match=r"the model has no tokenizer\.json"):
        lk.load(folder).save(tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def test_ids_are_decoded(model: LanguageModel) -> None:
    assert model.decode([]) == ""
    assert model.decode(np.array(model.token_ids("ab"))) == model.decode(model.token_ids("ab"))


def test_a_special_token_may_be_a_stop(model: LanguageModel) -> None:
    first: dict[str, Any] = {"forced_bos_token_id": 1, "max_new_tokens": 4, "ignore_eos": True}
    assert len(model.generate([3], **first).tokens) == 4
    stopped = {**first, "stop": ["never", "<start>"]}
    alone = model.generate([3], **stopped)
    [row] = model.generate_batch([[3]], **stopped)
    for answer in (alone, row):
        assert (answer.tokens, answer.text, answer.finish_reason) == ([1], "", "stop")


def test_seeds_may_be_of_numpy(model: LanguageModel) -> None:
    drawn = [
        model.generate([3], seed=seed, temperature=2.0, max_new_tokens=6).tokens
        for seed in (5, np.int64(5), np.uint64(5))
    ]
    assert drawn[0] == drawn[1] == drawn[2]


def test_answers_of_a_batch_say_how_long_they_took(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks = itertools.count()
    monkeypatch.setattr("lmkernel.generation.answers.time.perf_counter", lambda: float(next(ticks)))
    answers = model.generate_batch([[3], [4, 5]], max_new_tokens=4, ignore_eos=True)
    assert [answer.seconds for answer in answers] == [4.0, 4.0]


@pytest.mark.parametrize("asked", [None, 3, b"x", ["cpu"]])
def test_what_is_no_name_is_unknown(model: LanguageModel, asked: Any) -> None:
    path = model.files.path
    for option, error in (("device", CapabilityError), ("weights", InputError)):
        if asked is not None:
            with pytest.raises(error):
                lk.load(path, **{option: asked})
    for option in ("subject", "level", "dtype"):
        with pytest.raises(UnknownNameError, match=f"unknown {option} "):
            lk.verify(path, **{"subject": "file", option: asked})


@pytest.mark.parametrize("path", [None, 3, 2.5, b"x", [1], {}, object()])
def test_what_is_no_path_is_refused(model: LanguageModel, path: Any) -> None:
    for take, what in (
        (lk.load, "model"),
        (model.save, "directory"),
        (lk.pull, "name"),
        (lambda one: lk.compare(one, ["numpy"]), "model"),
        (lambda one: lk.twin(one, "out"), "path"),
    ):
        with pytest.raises(InputError, match=f"{what}: expected a name or a path, got "):
            take(path)


@pytest.mark.parametrize("token", [61, -1, 10**9])
@pytest.mark.parametrize("verb", ["generate", "generate_batch", "generate_tokens"])
def test_stop_id_outside_the_vocabulary_is_refused(
    model: LanguageModel, verb: str, token: int
) -> None:
    prompt: Any = [3] if verb == "generate" else [[3]]
    with pytest.raises(InputError, match=rf"stop_ids: expected token ids in 0 … 60, got {token}"):
        getattr(model, verb)(prompt, stop_ids=token)


def test_a_name_is_a_text(model: LanguageModel) -> None:
    with pytest.raises(InputError, match="backend: expected a name, got 3"):
        model.to(3)  # type: ignore[arg-type]  # the wrong type is the point


def test_a_backend_itself_may_be_asked_for(model: LanguageModel) -> None:
    assert model.to(model.backend).backend is model.backend


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda p: p | {"decoder.layers.9.x": np.ones(2)}, r"got one of 'decoder\.layers\.9\.x'"),
        (lambda p: p | {min(p): p[min(p)].astype(np.int64)}, "floating values, got int64"),
        (lambda p: p | {min(p): p[min(p)].tolist()}, "floating values, got list"),
    ],
)
def test_values_that_are_not_the_models_are_not_saved(
    model: LanguageModel,
    tmp_path: Path,
    change: Callable[[dict[str, Any]], dict[str, Any]],
    message: str,
) -> None:
    with pytest.raises(CheckpointError, match=message):
        model.save(tmp_path / "a" / "b", change(model.parameters()))
    assert list(tmp_path.iterdir()) == []


def test_b27_texts_join_their_prompts_alone_and_in_batches_and_a_message_is_its_own(
    model: LanguageModel,
) -> None:
    """Of a tokenizer that drops the space before the first word that it decodes."""
    backend = letters()._backend
    backend.decoder = decoders.Sequence([decoders.Fuse(), decoders.Strip(" ", 1, 0)])
    tokenizer = Tokenizer(backend, {}, templates={"default": TEMPLATE})
    own = LanguageModel(model.model, model.params, replace(model.origin, own_tokenizer=tokenizer))
    space = tokenizer.encode(" ")[0]
    prompts = [tokenizer.encode(text) for text in ("ab", "a: b'c")]
    options = {"max_new_tokens": 6, "temperature": 3.0, "ignore_eos": True}
    answers = [
        *own.generate_batch(prompts, **options),
        *(own.generate(p, **options) for p in prompts),
    ]
    for prompt, answer in zip(prompts * 2, answers, strict=True):
        joined = tokenizer.decode(prompt) + answer.text
        assert joined == tokenizer.decode([*prompt, *answer.tokens])
        assert answer.json()["text"] == answer.text
    steps = [(space, -0.5), *((token, -0.5) for token in tokenizer.encode("ab"))]
    assert own._answer(GenerationOptions(), steps, prompts[0]).text == " ab"
    assert own._answer(GenerationOptions(), steps).text == "ab"
    first = own.chat("hi", max_new_tokens=1, ignore_eos=True)
    assert first.text == tokenizer.decode(first.tokens)
