"""New models of each family, described by their sizes, and the heads of objectives."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from lmkernel.errors import ConfigError
from lmkernel.families.family import Family, HfConfig
from lmkernel.families.sizes import Sizes
from lmkernel.origin import new_origin
from lmkernel.plugins import FamilySpec, default_registry
from lmkernel.training.data.vocabulary import train_tokenizer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.origin import Origin
    from lmkernel.tokenizers import Tokenizer

SIZES = Sizes(width=24, layers=3, heads=4, inner=40, context=32, vocab=300, dropout=0.25)
_SPECS = default_registry().all(FamilySpec)
FAMILIES = tuple(name for name, s in _SPECS.items() if type(s.create()).new is not Family.new)

WITHOUT_LIMIT = {"t5", "mt5", "umt5"}


def tokenizer(special_tokens: Mapping[str, str]) -> Tokenizer:
    return train_tokenizer(["abc"], 300, special_tokens)


def no_tokenizer(special_tokens: Mapping[str, str]) -> Tokenizer:
    raise AssertionError(special_tokens)


def new(family: str) -> Origin:
    return new_origin(family, SIZES, tokenizer)


def stack(origin: Origin) -> Any:
    return origin.config.decoder or origin.config.encoder


@pytest.mark.parametrize("family", FAMILIES)
def test_every_family_reads_what_it_makes(family: str) -> None:
    origin = new(family)
    assert (stack(origin).width, stack(origin).layers) == (24, 3)
    assert (stack(origin).mlp.hidden, stack(origin).attention.heads) == (40, 4)
    assert origin.config.context == (0 if family in WITHOUT_LIMIT else 32)
    assert origin.config.embedding.vocab == origin.tokenizer.vocab_size < 300
    assert origin.config.head is not None


def test_a_family_whose_models_are_not_told_by_sizes_says_so() -> None:
    pictures = {"clip", "dinov2", "idefics3", "llava", "siglip", "smolvlm", "vit"}
    sounds = {"hubert", "wav2vec2", "whisper"}
    assert set(_SPECS) - {*FAMILIES} == {"bloom"} | pictures | sounds
    with pytest.raises(ConfigError, match="Bloom: a new model of this family cannot be described"):
        new("bloom")


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_written_describes_the_same_model(family: str) -> None:
    origin = new(family)
    again = origin.family.read(HfConfig(origin.document))
    assert replace(again, init=None) == replace(origin.config, init=None)


@pytest.mark.parametrize(("family", "dropout"), [("gpt2", 0.25), ("bert", 0.25), ("llama", 0.0)])
def test_dropout_is_where_the_family_has_it(family: str, dropout: float) -> None:
    assert stack(new(family)).dropout == dropout


class LoadOnlyFamily(Family):
    """A family that can only be loaded."""

    def read(self, config: HfConfig) -> Any:
        del config
        raise AssertionError

    def write(self, config: Any) -> dict[str, Any]:
        del config
        raise AssertionError

    def rules(self, config: Any) -> Any:
        del config
        raise AssertionError

    def ignored(self, config: Any) -> Any:
        del config
        raise AssertionError


def test_a_family_that_sizes_do_not_describe_says_so() -> None:
    with pytest.raises(
        ConfigError, match="LoadOnlyFamily: a new model of this family cannot be described"
    ):
        LoadOnlyFamily().new(SIZES)


def test_a_family_is_a_decoder_that_no_gguf_file_holds_unless_it_says_more() -> None:
    family = LoadOnlyFamily()
    assert family.heads() == {"causal": None, "instruction": None}
    assert set(family.special_tokens().values()) == {"<|endoftext|>"}
    assert family.gguf() is None


@pytest.mark.parametrize(
    ("family", "objective"),
    [("gpt2", "causal"), ("llama", "instruction"), ("bert", "masked")],
)
def test_an_objective_that_the_head_serves_changes_nothing(family: str, objective: str) -> None:
    origin = new(family)
    assert origin.with_head(objective, ()) is origin


@pytest.mark.parametrize(
    ("family", "objective", "fitting"),
    [
        ("gpt2", "masked", "causal or instruction"),
        ("qwen2", "tagging", "causal or instruction or classification"),
        ("bert", "causal", "masked or classification"),
        ("bert", "instruction", "masked or classification"),
    ],
)
def test_an_objective_that_does_not_fit_is_refused(
    family: str, objective: str, fitting: str
) -> None:
    complaint = f"objective '{objective}': a {family} model is trained by {fitting}"
    origin = new(family)
    with pytest.raises(ConfigError, match=complaint):
        new_origin(family, SIZES, no_tokenizer, objective)
    with pytest.raises(ConfigError, match=f"objective: expected one of .*, got '{objective}'"):
        origin.with_head(objective, ("a", "b"))


def test_classification_has_a_head_with_the_labels_in_their_order() -> None:
    origin = new("bert")
    got = origin.with_head("classification", ("good", "bad"))
    assert got.document["architectures"] == ["BertForSequenceClassification"]
    assert got.document["id2label"] == {"0": "good", "1": "bad"}
    assert got.document["label2id"] == {"good": 0, "bad": 1}
    assert origin.document["architectures"] == ["BertForMaskedLM"]
