"""Texts from texts: languages, prefixes, batches, scores, and the commands."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import pytest
from sequence_models import sequence_model
from small import small_config
from tokenizers import AddedToken
from vocabulary_samples import byte_level

import lmkernel as lk
from lmkernel.cli.main import main
from lmkernel.errors import InputError, MissingDependencyError, UnknownNameError
from lmkernel.rewriting.scores import score_texts
from lmkernel.rewriting.sources import Direction, source_rows
from lmkernel.tokenizers import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = ["the cat", "a hat of the cat", "that"]
SHORT: dict[str, Any] = {"max_new_tokens": 5, "progress": False}
LANGUAGES = ("en_XX", "de_DE", "__fr__", ">>nds<<")


def polyglot() -> Tokenizer:
    """A tokenizer with tokens of languages."""
    library = byte_level()
    library.add_special_tokens([AddedToken(name, special=True) for name in LANGUAGES])
    return Tokenizer(library, {"eos_token": "<|endoftext|>"})


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root, made = tmp_path_factory.mktemp("models"), polyglot()
    return {name: sequence_model(root / name, name, made) for name in ("t5", "m2m 100", "marian")}


@pytest.fixture(scope="module")
def models(folders: dict[str, Path]) -> dict[str, lk.LanguageModel]:
    return {name: lk.load(folder) for name, folder in folders.items()}


def test_languages_in_words_stand_before_the_text(models: dict[str, lk.LanguageModel]) -> None:
    model = models["t5"]
    one = lk.translate(model, TEXTS[0], source="English", target="German", **SHORT)
    plain = model.generate("translate English to German: the cat", max_new_tokens=5)
    assert (one.source, one.text) == (TEXTS[0], plain.text.strip())  # type: ignore[union-attr]  # one text
    assert one.log_prob == pytest.approx(sum(plain.log_probs))  # type: ignore[union-attr]  # the same
    own = lk.translate(model, TEXTS[0], source="a", target="b", prefix="to: ", **SHORT)
    assert str(own) == model.generate("to: the cat", max_new_tokens=5).text.strip()


def test_tokens_of_languages_stand_where_the_family_has_them(
    models: dict[str, lk.LanguageModel],
) -> None:
    many, pair = models["m2m 100"], models["marian"]
    english, german, french, low = (many.tokenizer.token_id(name) for name in LANGUAGES)
    end = many.end_ids[0]
    told = Direction.of(many, "en_XX", "fr", None)
    text = many.tokenizer.encode("that")
    assert source_rows(many, ["that"], told, truncate=False) == [[english, *text, end]]
    assert told.forced == (french,)
    told = Direction.of(many, None, "de_DE", None)
    assert source_rows(many, ["that"], told, truncate=False) == [[*text, end]]
    assert told.forced == (german,)
    told = Direction.of(pair, None, "nds", None)
    assert source_rows(pair, ["that"], told, truncate=False) == [[low, *text, end]]
    answer = lk.translate(many, ["that"], source="en_XX", target="fr", **SHORT)
    forced = many.generate([english, *text, end], forced_bos_token_id=french, max_new_tokens=5)
    assert answer[0].text == forced.text.strip()  # type: ignore[index]  # several


def test_what_a_model_is_not_told_is_refused(models: dict[str, lk.LanguageModel]) -> None:
    with pytest.raises(UnknownNameError, match=r"target language.*'xx'.*de_DE"):
        lk.translate(models["m2m 100"], "that", target="xx", **SHORT)
    with pytest.raises(UnknownNameError, match=r"target language.*udc80.*de_DE"):
        lk.translate(models["m2m 100"], "that", target="\udc80", **SHORT)
    with pytest.raises(InputError, match="expected both languages"):
        lk.translate(models["t5"], "that", target="German", **SHORT)
    for texts in ([], "", [""], " ", 3, [3], None):
        with pytest.raises(InputError, match=r"expected (a|one) text"):
            lk.translate(models["t5"], texts, **SHORT)  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(InputError, match="batch: expected a whole number of at least 1"):
        lk.translate(models["t5"], TEXTS, batch=0, **SHORT)
    with pytest.raises(UnknownNameError, match="beams"):
        lk.translate(models["t5"], TEXTS, beams=3, **SHORT)


def test_another_sort_of_model_says_what_it_is_for(tmp_path: Path) -> None:
    from lmkernel.checkpoints.directory import write_directory
    from lmkernel.families.llama import Llama
    from lmkernel.families.names import from_ours
    from lmkernel.model import Model

    config = small_config()
    model = Model(lk.load_backend(), config)
    tensors = from_ours(model.initial(1), Llama().rules(config), model.declare())
    write_directory(tmp_path / "m", config=Llama().write(config), tensors=tensors)
    with pytest.raises(InputError, match=r"expected an encoder-decoder.*got a llama model"):
        lk.summarize(tmp_path / "m", "that", **SHORT)


def test_batches_of_any_size_say_the_same(models: dict[str, lk.LanguageModel]) -> None:
    calls: list[tuple[str, int, int]] = []
    one = lk.translate(models["t5"], TEXTS, batch=3, max_new_tokens=5, progress=False)
    two = lk.translate(
        models["t5"], TEXTS, batch=1, max_new_tokens=5, progress=lambda *c: calls.append(c)
    )
    assert [x.text for x in one] == [x.text for x in two]  # type: ignore[union-attr]  # several
    assert calls[-1] == ("texts", 3, 3)


def test_long_texts_are_refused_or_cut(models: dict[str, lk.LanguageModel]) -> None:
    model, text = models["m2m 100"], "the cat " * 30
    with pytest.raises(InputError, match="the model's context only 20; truncate"):
        lk.translate(model, text, **SHORT)
    for told in (Direction(), Direction.of(model, "en_XX", "fr", None)):
        [cut] = source_rows(model, [text], told, truncate=True)
        assert len(cut) == 20
        assert cut[-1] == model.end_ids[0]


def test_a_summary_has_the_prefix_of_the_files(tmp_path: Path) -> None:
    folder = sequence_model(tmp_path / "m", "t5")
    config = json.loads((folder / "config.json").read_text())
    config["task_specific_params"] = {"summarization": {"prefix": "summarize: "}}
    (folder / "config.json").write_text(json.dumps(config))
    model = lk.load(folder)
    own = lk.summarize(model, "the cat", **SHORT)
    assert str(own) == model.generate("summarize: the cat", max_new_tokens=5).text.strip()
    bare = lk.summarize(model, "the cat", prefix="", **SHORT)
    assert str(bare) == model.generate("the cat", max_new_tokens=5).text.strip()


def test_a_word_error_rate_is_the_librarys(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[list[str], list[str]]] = []

    class Library:
        @staticmethod
        def wer(right: list[str], said: list[str]) -> float:
            asked.append((right, said))
            return 0.25

    monkeypatch.setitem(sys.modules, "jiwer", Library)  # type: ignore[arg-type]  # as a module
    assert score_texts(["a b"], ["a c"], ["wer"])["wer"] == 25
    assert asked == [(["a c"], ["a b"])]
    with pytest.raises(InputError, match="a word or more"):
        score_texts(["a"], [" "], ["wer"])


def test_scores_are_those_of_the_libraries(monkeypatch: pytest.MonkeyPatch) -> None:
    class Found:
        score = 50.0

    class Library:
        @staticmethod
        def corpus_bleu(texts: list[str], references: list[list[str]]) -> Found:
            assert (texts, references) == (["a"], [["b"]])
            return Found()

        corpus_chrf = corpus_bleu

    monkeypatch.setitem(sys.modules, "sacrebleu", Library)  # type: ignore[arg-type]  # as a module
    scores = score_texts(["a"], ["b"])
    assert scores.json() == {"bleu": 50.0, "chrf": 50.0, "texts": 1}
    assert scores["bleu"] == 50
    with pytest.raises(UnknownNameError, match="metric 'meteor'"):
        score_texts(["a"], ["b"], ["meteor"])
    for texts, right in (([], []), (["a"], []), (["a"], ["b", "c"])):
        with pytest.raises(InputError, match="expected one reference for each"):
            score_texts(texts, right)
    monkeypatch.setitem(sys.modules, "rouge_score.rouge_scorer", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'lmkernel\[metrics\]'"):
        score_texts(["a"], ["b"], ["rouge1"])


def test_commands_print_what_the_verbs_give(
    folders: dict[str, Path],
    models: dict[str, lk.LanguageModel],
    capsys: pytest.CaptureFixture[str],
) -> None:
    model, folder = models["t5"], str(folders["t5"])
    expected = lk.translate(model, TEXTS, **SHORT)
    assert main(["translate", folder, *TEXTS, "--max-new-tokens", "5", "--json"]) == 0
    shown = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert shown == expected.json()
    assert main(["summarize", folder, *TEXTS, "--max-new-tokens", "5", "--batch", "2"]) == 0
    lines = capsys.readouterr().out.split("\n")
    assert lines[:-1] == [" ".join(one.text.split()) for one in expected]  # type: ignore[union-attr]  # several


def test_data_are_read_and_scored(
    folders: dict[str, Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    file, folder = tmp_path / "rows.jsonl", str(folders["t5"])
    rows = [{"en": text, "target": text} for text in TEXTS]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    asked = ["--data", str(file), "--column", "source=en", "--max-new-tokens", "5"]
    assert main(["translate", folder, *asked]) == 0
    assert capsys.readouterr().out.count("\n") == 3
    monkeypatch.setitem(sys.modules, "sacrebleu", None)
    assert main(["translate", folder, *asked, "--score", "bleu"]) == 1
    assert "lmkernel[metrics]" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["a", "--data", "b"], "got both"),
        (["a", "--score"], "--score: expected --data"),
        (["a", "--batch", "0"], "--batch: expected a whole number of at least 1"),
        (["a", "--num-beams", "0"], "num_beams: expected 1 to 1024"),
        (["a", "--to", "de"], "expected both languages"),
    ],
)
def test_what_makes_no_sense_is_one_sentence(
    folders: dict[str, Path],
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["translate", str(folders["t5"]), *arguments]) == 1
    assert message in capsys.readouterr().err
