"""Vectors as a folder of sentence-transformers says to make them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
from inspected import small_encoder
from letters import enclosed
from sentence_folders import MODULES, TEXTS, ULP, write_settings

from lmkernel.errors import CheckpointError, InputError, UnknownNameError
from lmkernel.inspection import embed, hidden_states
from lmkernel.inspection.sentence_settings import read_sentence_settings

if TYPE_CHECKING:
    from pathlib import Path


def test_a_folder_says_how(tmp_path: Path) -> None:
    model = small_encoder(tmp_path / "bert", enclosed())
    expected = embed(model, TEXTS, "max", normalize=True)
    cut = embed(model, [text[:4] for text in TEXTS], "max", normalize=True)
    write_settings(model.files.path, {"pooling_mode": "max"})
    np.testing.assert_array_equal(embed(model, TEXTS), expected)
    write_settings(model.files.path, {"pooling_mode": "max"}, max_seq_length=6)
    np.testing.assert_allclose(embed(model, TEXTS), cut, rtol=ULP, atol=1e-9)


def test_what_is_asked_for_goes_before_the_folder(tmp_path: Path) -> None:
    model = small_encoder(tmp_path / "bert")
    expected = embed(model, TEXTS, "first")
    write_settings(model.files.path, {"pooling_mode": "max"})
    np.testing.assert_array_equal(embed(model, TEXTS, "first", normalize=False), expected)


def test_prompts_stand_before_a_text(tmp_path: Path) -> None:
    model = small_encoder(tmp_path / "bert")
    plain = embed(model, ["xy" + text[:4] for text in TEXTS])
    write_settings(model.files.path, {"pooling_mode": "mean"}, MODULES[:2])
    path = model.files.path / "config_sentence_transformers.json"
    path.write_text(json.dumps({"prompts": {"q": "xy", "d": ""}}), "utf-8")
    short = [text[:4] for text in TEXTS]
    np.testing.assert_array_equal(embed(model, short, prompt="q"), plain)
    np.testing.assert_array_equal(embed(model, short, prompt="d"), embed(model, short))
    with pytest.raises(UnknownNameError, match="unknown prompt 'p'"):
        embed(model, short, prompt="p")
    path.write_text(json.dumps({"prompts": {"q": "xy"}, "default_prompt_name": "q"}), "utf-8")
    np.testing.assert_array_equal(embed(model, short), plain)
    for config, message in (
        ({"prompts": {"q": 1}}, "prompts: expected texts by name"),
        ({"default_prompt_name": "q"}, "default_prompt_name: expected one of no prompts, got 'q'"),
    ):
        path.write_text(json.dumps(config), "utf-8")
        with pytest.raises(CheckpointError, match=message):
            embed(model, short)


@pytest.mark.parametrize("mode", ["mean", "cls", "max", "weightedmean", "lasttoken"])
def test_a_prompt_may_be_left_out_of_the_pooling(mode: str, tmp_path: Path) -> None:
    model = small_encoder(tmp_path / "bert")
    write_settings(model.files.path, {"pooling_mode": mode, "include_prompt": False}, MODULES[:2])
    path = model.files.path / "config_sentence_transformers.json"
    path.write_text(json.dumps({"prompts": {"q": "xy"}}), "utf-8")
    hidden = hidden_states(model, "xyabc")[-1]
    rest = hidden[len(model.token_ids("xy")) :]
    weights = np.arange(len(hidden) - len(rest), len(hidden)) + 1
    expected = {
        "mean": rest.mean(0),
        "cls": rest[0],
        "max": rest.max(0),
        "weightedmean": np.average(rest, 0, weights),
        "lasttoken": rest[-1],
    }
    found = embed(model, "abc", prompt="q")
    np.testing.assert_allclose(found, expected[mode], rtol=1e-5, atol=1e-6)
    with pytest.raises(InputError, match="'': the prompt leaves no token to pool"):
        embed(model, "", prompt="q")


def test_several_poolings_are_put_one_after_the_other(tmp_path: Path) -> None:
    model = small_encoder(tmp_path / "bert")
    parts = [embed(model, TEXTS, one) for one in ("first", "max")]
    write_settings(model.files.path, {"pooling_mode": ["cls", "max"]}, MODULES[:2])
    np.testing.assert_array_equal(embed(model, TEXTS), np.concatenate(parts, 1))
    np.testing.assert_array_equal(embed(model, TEXTS, "first+max"), np.concatenate(parts, 1))


@pytest.mark.parametrize(
    "family", ["roberta", "distilbert", "camembert", "albert", "xlm-roberta", "xlnet"]
)
def test_older_names_of_the_file_about_texts(family: str, tmp_path: Path) -> None:
    model = small_encoder(tmp_path / "bert", enclosed())
    write_settings(model.files.path, {"pooling_mode": "mean"}, max_seq_length=4)
    expected = embed(model, TEXTS)
    whole = tmp_path / "bert" / "sentence_bert_config.json"
    whole.rename(whole.with_name(f"sentence_{family}_config.json"))
    np.testing.assert_array_equal(embed(model, TEXTS), expected)
    assert read_sentence_settings(model.files.path).limit == 4
    whole.write_text("{}", "utf-8")  # says nothing, so the next one is read
    assert read_sentence_settings(model.files.path).limit == 4


def test_a_folder_may_keep_the_first_numbers_of_a_vector(tmp_path: Path) -> None:
    """They are cut after the folder's own normalisation, and before one that is asked for."""
    model = small_encoder(tmp_path / "bert")
    write_settings(model.files.path, {"pooling_mode": "mean"})
    whole = embed(model, TEXTS)
    about = tmp_path / "bert" / "config_sentence_transformers.json"
    about.write_text(json.dumps({"truncate_dim": 3}), "utf-8")
    cut = embed(model, TEXTS)
    np.testing.assert_array_equal(cut, whole[:, :3])
    lengths = np.linalg.norm(cut, axis=1, keepdims=True)
    assert (lengths < 0.99).any()
    np.testing.assert_allclose(embed(model, TEXTS, normalize=True), cut / lengths, rtol=1e-6)
    about.write_text(json.dumps({"truncate_dim": None}), "utf-8")
    np.testing.assert_array_equal(embed(model, TEXTS), whole)


def test_a_folder_may_say_lower_case(tmp_path: Path) -> None:
    model = small_encoder(tmp_path / "bert")
    write_settings(model.files.path, {}, MODULES[:2], do_lower_case=True)
    np.testing.assert_array_equal(embed(model, ["aBc"]), embed(model, ["abc"]))
