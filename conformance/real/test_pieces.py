"""SentencePiece models of two languages beside transformers' own tokenizer of them."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

import pytest
import sentencepiece
from number_words import english, german
from transformers import MarianTokenizer, T5Tokenizer

from lmkernel.tokenizers.load import load_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

TEXTS = [
    *(english(n) for n in (0, 7, 21, 341, 9876)),
    ">>deu<< two hundred",
    "an unknown café, with  two spaces ",
    "nine 9 ８ ﬁve",
    "ten </s> eleven",
    "\tone\ntwo",
]
ANSWERS = [german(n) for n in (0, 7, 21, 341, 9876)]


def learnt(texts: list[str], **more: int) -> bytes:
    made = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=made,
        vocab_size=70,
        hard_vocab_limit=False,
        minloglevel=2,
        **more,
    )
    return made.getvalue()


@pytest.fixture(scope="module", params=[False, True])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("pieces")
    sides = {"source": english, "target": german}
    pieces: dict[str, list[str]] = {}
    for side, words in sides.items():
        data = learnt([words(n) for n in range(0, 10_000, 7)])
        (place / f"{side}.spm").write_bytes(data)
        model = sentencepiece.SentencePieceProcessor(model_proto=data)
        # the last pieces have no number, as rare ones have none there
        pieces[side] = [model.id_to_piece(i) for i in range(3, model.get_piece_size() - 2)]
    first = ["</s>", "<unk>", ">>deu<<"]
    both = [*pieces["source"], *pieces["target"]]
    vocabularies = {"vocab.json": pieces["source"], "target_vocab.json": pieces["target"]}
    for name, known in vocabularies.items() if request.param else [("vocab.json", both)]:
        listed = dict.fromkeys([*first, *known, "<pad>"])
        (place / name).write_text(json.dumps({piece: i for i, piece in enumerate(listed)}))
    config = {"source_lang": "eng", "target_lang": "deu", "separate_vocabs": request.param}
    (place / "tokenizer_config.json").write_text(json.dumps(config))
    return place


@pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
def test_ids_and_texts_are_those_of_transformers(folder: Path) -> None:
    ours, theirs = load_tokenizer(folder), MarianTokenizer.from_pretrained(folder)
    for text in TEXTS:
        assert ours.encode(text) == theirs(text)["input_ids"], text
    for text in ANSWERS:
        ids = theirs(text_target=text)["input_ids"]
        assert ours.for_targets.encode(text) == ids, text
        assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=True)


@pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
@pytest.mark.parametrize(
    "config",
    [
        {"additional_special_tokens": ["<q>", ">>deu<<"]},
        {"added_tokens_decoder": {"%": {"content": "<q>", "lstrip": True, "special": True}}},
        {
            "bos_token": "<b>",
            "mask_token": {"content": "<q>", "single_word": True, "__type": "AddedToken"},
        },
        {"pad_token": "<q>", "extra_special_tokens": {"image_token": "ten"}},
    ],
)
def test_tokens_that_files_name_are_those_of_transformers(
    folder: Path, tmp_path: Path, config: dict[str, Any]
) -> None:
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    old = json.loads((folder / "tokenizer_config.json").read_text())
    free = len(json.loads((folder / "vocab.json").read_text()))
    text = json.dumps({**old, **config}).replace("%", str(free))
    (tmp_path / "tokenizer_config.json").write_text(text)
    ours, theirs = load_tokenizer(tmp_path), MarianTokenizer.from_pretrained(tmp_path)
    assert ours.vocab_size == len(theirs)
    for text in (*TEXTS, "one<q> two", "<b> one <q>  two <pad></s>>>deu<< ten tens"):
        ids = theirs(text)["input_ids"]
        assert ours.encode(text) == ids, text
        if not old["separate_vocabs"]:
            for skip in (True, False):
                expected = theirs.decode(ids, skip_special_tokens=skip)
                assert ours.decode(ids, skip_special=skip) == expected, text


NAMED = [
    ({"additional_special_tokens": ["<q>"]}, {}),
    ({"added_tokens_decoder": {"%": {"content": "<q>", "special": True, "lstrip": True}}}, {}),
    ({}, {"<q>": "%"}),
    ({"bos_token": "<b>", "pad_token": "<q>"}, {}),
]
"""What names tokens beside a model: a configuration, and ``added_tokens.json``."""


@pytest.mark.parametrize(("config", "added"), NAMED)
def test_tokens_that_files_beside_a_model_name_are_those_of_transformers(
    config: dict[str, Any], added: dict[str, Any], tmp_path: Path
) -> None:
    data = learnt([english(n) for n in range(500)], pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    free = sentencepiece.SentencePieceProcessor(model_proto=data).get_piece_size() + 2
    (tmp_path / "spiece.model").write_bytes(data)
    for name, said in ("tokenizer_config", {"extra_ids": 2, **config}), ("added_tokens", added):
        text = json.dumps(said).replace('"<q>": "%"', f'"<q>": {free}').replace("%", str(free))
        (tmp_path / f"{name}.json").write_text(text)
    ours, theirs = load_tokenizer(tmp_path), T5Tokenizer.from_pretrained(tmp_path)
    assert ours.vocab_size == len(theirs)
    for text in ("one<q>two", "<b> one <q>  two <pad></s>"):
        assert ours.encode(text) == theirs(text)["input_ids"], text


@pytest.mark.parametrize("extra", [0, 5])
def test_ids_and_texts_of_one_model_are_those_of_transformers(extra: int, tmp_path: Path) -> None:
    texts = [words(n) for n in range(0, 10_000, 11) for words in (english, german)]
    data = learnt(texts, pad_id=0, eos_id=1, unk_id=2, bos_id=-1)
    (tmp_path / "spiece.model").write_bytes(data)
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"extra_ids": extra}))
    ours, theirs = load_tokenizer(tmp_path), T5Tokenizer.from_pretrained(tmp_path)
    assert ours.vocab_size == len(theirs)
    blanks = ["one <extra_id_0> three"] if extra else []
    for text in (*TEXTS, *ANSWERS, *blanks):
        ids = theirs(text)["input_ids"]
        assert ours.encode(text) == ids, text
        assert ours.decode(ids) == theirs.decode(ids, skip_special_tokens=True), text
    (tmp_path / "saved").mkdir()
    ours.save(tmp_path / "saved")
    assert load_tokenizer(tmp_path / "saved").encode(TEXTS[3]) == ours.encode(TEXTS[3])
