"""Tasks by name, beside transformers' own pipelines and sentence-transformers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers
from transformers import PreTrainedTokenizerFast, pipeline

import lmkernel as lk
from lmkernel.families.bert import Bert
from lmkernel.families.roberta import Roberta
from lmkernel.training.data.vocabulary import train_tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lmkernel.families.family import Family

SIZES: Mapping[str, Any] = {
    "hidden_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "intermediate_size": 48,
    "max_position_embeddings": 128,
    "initializer_range": 0.5,
}
TAGS = {0: "O", 1: "B-PER", 2: "I-PER", 3: "B-LOC", 4: "I-LOC"}
TEXTS = [
    "Ada Lovelace wrote to Charles Babbage in London.",
    "Nothing",
    "Zürich, Genève; it's é 😀 far-away",
]
QUESTIONS = [
    ("Who wrote?", "Ada Lovelace wrote to Charles Babbage in London."),
    ("Where?", "The letter came from Zürich, and " + "went on and on, " * 40 + "to the sea."),
]
WORDPIECES = ["a", "b", "c", "d", "e", "in", "wro", "##te", "the", "##r", "Lo", "##n", "##d"]


def tokenizer_of(family: Family, folder: Path) -> Any:
    train_tokenizer([*TEXTS, "the lamp"] * 3, 300, family.special_tokens()).save(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


def wordpieces(folder: Path) -> Any:
    """A tokenizer of BERT's own kind, whose tokens say that they go on a word."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    letters = sorted(set("".join(TEXTS)) - {" "})
    tokens = [*special, *letters, *(f"##{x}" for x in letters), *WORDPIECES]
    table = {token: i for i, token in enumerate(dict.fromkeys(tokens))}
    made = Tokenizer(models.WordPiece(table, unk_token="[UNK]"))  # noqa: S106 - a token
    made.normalizer = normalizers.BertNormalizer(lowercase=False)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    names = {f"{token[1:-1].lower()}_token": token for token in special}
    inputs = ["input_ids", "token_type_ids", "attention_mask"]
    made = PreTrainedTokenizerFast(tokenizer_object=made, model_input_names=inputs, **names)
    made.save_pretrained(folder)
    return PreTrainedTokenizerFast.from_pretrained(folder)


def written(folder: Path, architecture: str, **said: Any) -> Any:
    torch.manual_seed(5)
    kind = architecture.partition("For")[0].removesuffix("Model")
    config = getattr(transformers, f"{kind}Config")(**{"vocab_size": 300, **SIZES, **said})
    model = getattr(transformers, architecture)(config).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    return model


@pytest.mark.parametrize("words", ["none", "simple", "first", "average", "max"])
@pytest.mark.parametrize("pieces", [True, False])
@pytest.mark.filterwarnings("ignore:Tokenizer does not support real words:UserWarning")
def test_tags_are_those_of_the_pipeline(tmp_path: Path, words: str, *, pieces: bool) -> None:
    tokenizer = wordpieces(tmp_path) if pieces else tokenizer_of(Bert(), tmp_path)
    theirs = pipeline(
        "token-classification",
        model=written(tmp_path, "BertForTokenClassification", id2label=TAGS),
        tokenizer=tokenizer,
        aggregation_strategy=words,
    )
    found = lk.tag(tmp_path, TEXTS, words=words, batch=2, backend="numpy", progress=False)
    for one, expected in zip(found, theirs(TEXTS), strict=True):
        assert one.found or one.text == "Nothing"
        places = [(t.label, t.start, t.end) for t in one.found]
        label = "entity" if words == "none" else "entity_group"
        assert places == [(e[label], e["start"], e["end"]) for e in expected]
        scores = [float(e["score"]) for e in expected]
        np.testing.assert_allclose([t.score for t in one.found], scores, atol=1e-5)


def test_a_long_text_is_tagged_as_with_a_stride(tmp_path: Path) -> None:
    tokenizer = wordpieces(tmp_path)
    model = written(tmp_path, "BertForTokenClassification", id2label=TAGS)
    tokenizer.model_max_length = 128
    theirs = pipeline(
        "token-classification",
        model=model,
        tokenizer=tokenizer,
        aggregation_strategy="first",
        stride=32,
    )
    text = " ".join(TEXTS * 6)
    found = lk.tag(tmp_path, text, backend="numpy", progress=False).found
    assert found[-1].end > len(text) // 2
    assert [(t.label, t.start, t.end) for t in found] == [
        (e["entity_group"], e["start"], e["end"]) for e in theirs(text)
    ]


@pytest.mark.parametrize("kind", ["Bert", "Roberta"])
def test_guesses_are_those_of_the_pipeline(tmp_path: Path, kind: str) -> None:
    family = Bert() if kind == "Bert" else Roberta()
    tokenizer = tokenizer_of(family, tmp_path)
    theirs = pipeline(
        "fill-mask", model=written(tmp_path, f"{kind}ForMaskedLM"), tokenizer=tokenizer, top_k=4
    )
    mask = tokenizer.mask_token
    texts = [f"Ada {mask} to", f"{mask} wrote {mask} in London"]
    one, two = lk.fill(tmp_path, texts, top=4, backend="numpy", progress=False)
    for ours, expected in zip((one, two), (theirs(texts[0]), theirs(texts[1])), strict=True):
        rows = [expected] if len(ours.masks) == 1 else expected
        for guesses, row in zip(ours.masks, rows, strict=True):
            assert [g.token for g in guesses] == [e["token"] for e in row]
            assert [g.text for g in guesses] == [e["token_str"] for e in row]
            np.testing.assert_allclose(
                [g.score for g in guesses], [e["score"] for e in row], rtol=1e-4
            )
    assert one.filled == theirs(texts[0])[0]["sequence"]


def their_answer(model: Any, tokenizer: Any, question: str, document: str) -> tuple[Any, ...]:
    """The rule of transformers 4's pipeline, over its model: text, score, and that of no answer.

    Windows overlap by half or 128 tokens, start and end are each a softmax over the document and
    ``[CLS]``, and a span scores their product.
    """
    size = 128
    windows = tokenizer(
        question,
        document,
        truncation="only_second",
        max_length=size,
        stride=min(size // 2, 128),
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    best, none = ("", -1.0), 1.0
    for i, ids in enumerate(windows["input_ids"]):
        where = [x == 1 for x in windows.sequence_ids(i)]
        with torch.no_grad():
            out = model(
                torch.tensor([ids]), token_type_ids=torch.tensor([windows["token_type_ids"][i]])
            )
        allowed = torch.tensor([True, *where[1:]])
        start, end = (
            torch.where(allowed, x[0], torch.tensor(-math.inf)).softmax(0).double().numpy()
            for x in (out.start_logits, out.end_logits)
        )
        none = min(none, start[0] * end[0])
        for a in np.flatnonzero(where):
            for b in range(a, min(a + 30, len(ids))):
                if where[b] and start[a] * end[b] > best[1]:
                    spans = windows["offset_mapping"][i]
                    best = document[spans[a][0] : spans[b][1]].strip(), start[a] * end[b]
    return (*best, none)


def test_answers_are_those_of_the_models_logits(tmp_path: Path) -> None:
    tokenizer = wordpieces(tmp_path)
    model = written(tmp_path, "BertForQuestionAnswering")
    ours = lk.load(tmp_path, backend="numpy")
    found = lk.answer(ours, QUESTIONS, no_answer=False, batch=3)
    for (question, document), one in zip(QUESTIONS, found, strict=True):
        text, score, none = their_answer(model, tokenizer, question, document)
        assert (one.text, document[one.start : one.end]) == (text, text)
        assert one.score == pytest.approx(score, rel=1e-4)
        assert one.no_answer == pytest.approx(none, rel=1e-4)
        judged = lk.answer(ours, (question, document))
        assert judged.text == ("" if none > score else text)
        assert judged.score == pytest.approx(max(none, score), rel=1e-4)


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"sentence_transformers": {"activation_fn": "torch.nn.modules.linear.Identity"}},
        {"sbert_ce_default_activation_function": "torch.nn.modules.activation.Sigmoid"},
    ],
)
def test_ranks_are_those_of_a_cross_encoder(tmp_path: Path, said: dict[str, Any]) -> None:
    from sentence_transformers import CrossEncoder

    wordpieces(tmp_path)
    written(tmp_path, "BertForSequenceClassification", num_labels=1, **said)
    documents = [*TEXTS, "in London", ""]
    expected = CrossEncoder(str(tmp_path), device="cpu").rank("in London", documents)
    found = lk.rerank(
        tmp_path, ("in London", documents), batch=2, backend="numpy", progress=False
    ).ranked
    assert [one.index for one in found] == [one["corpus_id"] for one in expected]
    np.testing.assert_allclose(
        [one.score for one in found], [float(one["score"]) for one in expected], rtol=1e-4
    )


@pytest.mark.parametrize("prompt", [None, "the lamp "])
@pytest.mark.parametrize("bounded", [True, False])
def test_ranks_are_those_of_a_cross_encoder_that_was_saved(
    tmp_path: Path, prompt: str | None, *, bounded: bool
) -> None:
    """Newer folders say beside `config.json` what follows a score, and what stands before it."""
    from sentence_transformers import CrossEncoder

    wordpieces(tmp_path / "base")
    written(tmp_path / "base", "BertForSequenceClassification", num_labels=1)
    theirs = CrossEncoder(
        str(tmp_path / "base"),
        device="cpu",
        activation_fn=torch.nn.Sigmoid() if bounded else torch.nn.Identity(),
        prompts={"web": prompt} if prompt else None,
        default_prompt_name="web" if prompt else None,
    )
    theirs.save(str(tmp_path / "whole"))
    expected = theirs.rank("in London", TEXTS)
    found = lk.rerank(
        tmp_path / "whole", ("in London", TEXTS), backend="numpy", progress=False
    ).ranked
    assert [one.index for one in found] == [one["corpus_id"] for one in expected]
    np.testing.assert_allclose(
        [one.score for one in found], [float(one["score"]) for one in expected], rtol=1e-4
    )


@pytest.mark.parametrize("normalize", [None, True])
def test_vectors_are_cut_as_in_sentence_transformers(
    tmp_path: Path, normalize: bool | None
) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Normalize, Pooling, Transformer

    wordpieces(tmp_path / "base")
    written(tmp_path / "base", "BertModel")
    parts = [Transformer(str(tmp_path / "base")), Pooling(32, "mean"), Normalize()]
    theirs = SentenceTransformer(modules=parts, truncate_dim=5, device="cpu")
    theirs.save(str(tmp_path / "whole"))
    expected = theirs.encode(TEXTS, normalize_embeddings=bool(normalize))
    found = lk.load(tmp_path / "whole", backend="numpy").embed(TEXTS, normalize=normalize)
    assert found.shape == (len(TEXTS), 5)
    np.testing.assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("similarity", ["cosine", "dot", "euclidean", "manhattan"])
@pytest.mark.parametrize("include", [True, False])
def test_vectors_rank_as_in_sentence_transformers(
    tmp_path: Path, similarity: str, *, include: bool
) -> None:
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Dense, Pooling, Transformer

    base = tmp_path / "base"
    wordpieces(base)
    written(base, "BertModel")
    transformer = Transformer(str(base))
    pooling = Pooling(32, ["cls", "mean"], include_prompt=include)
    theirs = SentenceTransformer(
        modules=[transformer, pooling, Dense(64, 8)],
        prompts={"query": "ask ", "document": "read "},
        similarity_fn_name=similarity,
        device="cpu",
    )
    theirs.save(str(tmp_path / "whole"))
    documents = [*TEXTS, "in London"]
    scores = theirs.similarity(
        theirs.encode_query(["London"]), theirs.encode_document(documents)
    ).numpy()[0]
    found = lk.rerank(
        tmp_path / "whole", ("London", documents), backend="numpy", progress=False
    ).ranked
    assert [one.index for one in found] == np.argsort(-scores).tolist()
    np.testing.assert_allclose([one.score for one in found], -np.sort(-scores), atol=1e-4)


def test_perplexities_are_those_of_the_loss(tmp_path: Path) -> None:
    from lmkernel.families.llama import Llama

    tokenizer = tokenizer_of(Llama(), tmp_path)
    model = written(tmp_path, "LlamaForCausalLM")
    found = lk.perplexity(tmp_path, TEXTS, batch=2, backend="numpy", progress=False)
    for text, one in zip(TEXTS, found, strict=True):
        ids = torch.tensor([tokenizer(text)["input_ids"]])
        with torch.no_grad():
            loss = float(model(ids, labels=ids).loss)
        assert one.perplexity == pytest.approx(math.exp(loss), rel=1e-4)
        bits = loss * one.tokens / math.log(2) / len(text.encode())
        assert one.bits_per_byte == pytest.approx(bits, rel=1e-4)
