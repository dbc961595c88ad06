"""Configurations of models to be trained."""

from __future__ import annotations

from typing import Any

import pytest

from lmkernel.errors import ConfigError, UnknownNameError
from lmkernel.families.family import HfConfig, find_family
from lmkernel.plugins import default_registry
from lmkernel.training.run.blueprint import (
    NEW_FAMILIES,
    check_new,
    check_objective,
    new_document,
    with_head,
)
from lmkernel.training.run.settings import ModelSettings

SIZES: dict[str, Any] = {
    "width": 24,
    "layers": 3,
    "heads": 4,
    "hidden": 40,
    "context": 32,
    "dropout": 0.25,
}


@pytest.mark.parametrize("family", NEW_FAMILIES)
def test_every_family_reads_what_is_made_for_it(family: str) -> None:
    document = new_document(ModelSettings(family=family, **SIZES), 300)
    if family == "bert":
        document = with_head(document, "masked", ())
    found = find_family(document["model_type"], "here", default_registry())
    config = found.read(HfConfig(document))
    stack = config.decoder or config.encoder
    assert (stack.width, stack.layers) == (24, 3)  # type: ignore[union-attr]  # one is there
    assert (stack.mlp.hidden, stack.attention.heads) == (40, 4)  # type: ignore[union-attr]
    assert (config.context, config.embedding.vocab) == (32, 300)
    assert config.head is not None


@pytest.mark.parametrize(("family", "rate"), [("gpt2", 0.25), ("bert", 0.25), ("llama", 0.0)])
def test_dropout_is_where_the_family_has_it(family: str, rate: float) -> None:
    document = new_document(ModelSettings(family=family, **SIZES), 300)
    objective = "masked" if family == "bert" else "causal"
    found = find_family(family, "here", default_registry())
    config = found.read(HfConfig(with_head(document, objective, ())))
    stack = config.decoder or config.encoder
    assert stack.dropout == rate  # type: ignore[union-attr]  # one is there


@pytest.mark.parametrize("family", NEW_FAMILIES)
def test_the_inner_width_is_four_times_the_width_by_default(family: str) -> None:
    document = new_document(ModelSettings(family=family, **{**SIZES, "hidden": 0}), 300)
    assert document.get("n_inner", document.get("intermediate_size")) == 96


def test_a_family_that_sizes_do_not_describe_is_refused() -> None:
    with pytest.raises(UnknownNameError, match=r"models 'gtp2'\. Did you mean 'gpt2'"):
        new_document(ModelSettings(family="gtp2"), 300)
    with pytest.raises(UnknownNameError):
        check_new("gtp2")


@pytest.mark.parametrize(
    ("family", "objective"),
    [("gpt2", "causal"), ("llama", "instruction"), ("bert", "masked"), ("bert", "classification")],
)
def test_an_objective_that_fits_changes_nothing_else(family: str, objective: str) -> None:
    document = {"model_type": family, "hidden_size": 24}
    got = with_head(document, objective, ("bad", "good"))
    assert {name: got[name] for name in document} == document


@pytest.mark.parametrize(
    ("family", "objective", "fitting"),
    [
        ("gpt2", "masked", "causal or instruction"),
        ("qwen2", "classification", "causal or instruction"),
        ("bert", "causal", "masked or classification"),
        ("bert", "instruction", "masked or classification"),
    ],
)
def test_an_objective_that_does_not_fit_is_refused(
    family: str, objective: str, fitting: str
) -> None:
    complaint = f"objective '{objective}': a {family} model is trained by {fitting}"
    with pytest.raises(ConfigError, match=complaint):
        check_objective(family, objective)
    with pytest.raises(ConfigError, match=complaint):
        with_head({"model_type": family}, objective, ("a", "b"))


def test_classification_has_a_head_with_the_labels_in_their_order() -> None:
    document = {"model_type": "bert", "architectures": ["BertForMaskedLM"]}
    got = with_head(document, "classification", ("good", "bad"))
    assert got["architectures"] == ["BertForSequenceClassification"]
    assert got["num_labels"] == 2
    assert got["id2label"] == {"0": "good", "1": "bad"}
    assert got["label2id"] == {"good": 0, "bad": 1}
    assert document["architectures"] == ["BertForMaskedLM"]
