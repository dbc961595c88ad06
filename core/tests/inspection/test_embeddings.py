"""Sentence embeddings, and what a folder says of them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from foreign_adapters import foreign
from inspected import small_encoder, small_llama
from letters import enclosed

import lmkernel as lk
from lmkernel.checkpoints.directory import write_directory
from lmkernel.errors import CheckpointError, InputError, UnknownNameError
from lmkernel.inspection import embed, hidden_states
from lmkernel.inspection.dense import read_dense
from lmkernel.inspection.embeddings import most_similar, similarities
from lmkernel.inspection.sentence_settings import SentenceSettings, read_sentence_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


TEXTS = ["abcdef", "x", "hello there", "it's", "abcdeg"]
MODULES = ("", "1_Pooling", "2_Normalize")
POOLED = {
    "mean": np.mean,
    "max": np.max,
    "first": lambda x, _: x[0],
    "last": lambda x, _: x[-1],
    "mean_sqrt_len_tokens": lambda x, _: x.sum(0) / len(x) ** 0.5,
    "weightedmean": lambda x, _: (
        sum((i + 1) * row for i, row in enumerate(x)) / sum(range(1, len(x) + 1))
    ),
}
ULP = 2.0**-23


def write_settings(
    folder: Path, pooling: dict[str, Any], modules: tuple[str, ...] = MODULES, **transformer: Any
) -> None:
    """The files of sentence-transformers."""
    names = {"": "Transformer", "1_Pooling": "Pooling", "2_Normalize": "Normalize"}
    listed = [
        {"idx": i, "name": str(i), "path": m, "type": f"library.{names.get(m, m.split('_')[-1])}"}
        for i, m in enumerate(modules)
    ]
    (folder / "1_Pooling").mkdir(parents=True, exist_ok=True)
    (folder / "modules.json").write_text(json.dumps(listed), "utf-8")
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(pooling), "utf-8")
    (folder / "sentence_bert_config.json").write_text(json.dumps(transformer), "utf-8")


@pytest.mark.parametrize("make", [small_encoder, small_llama])
@pytest.mark.parametrize("pooling", sorted(POOLED))
def test_each_text_is_pooled_over_its_own_tokens(
    make: Callable[..., Any], pooling: str, tmp_path: Path
) -> None:
    model = make(tmp_path / "model", enclosed())
    rows = [hidden_states(model, text, [-1])[0] for text in TEXTS]
    expected = [POOLED[pooling](row, 0) for row in rows]  # type: ignore[operator]  # functions of two sorts
    got = embed(model, TEXTS, pooling)
    assert got.dtype == np.float32
    np.testing.assert_allclose(got, expected, rtol=ULP, atol=1e-9)


@pytest.mark.parametrize("batch", [1, 2, 4])
def test_batches_change_nothing_and_keep_the_order(batch: int, tmp_path: Path) -> None:
    model = small_encoder(tmp_path / "bert")
    np.testing.assert_allclose(
        embed(model, TEXTS, batch=batch), embed(model, TEXTS), rtol=ULP, atol=1e-9
    )


@pytest.mark.parametrize(("make", "usual"), [(small_encoder, "mean"), (small_llama, "last")])
def test_usual_pooling_of_a_folder_that_says_nothing(
    make: Callable[..., Any], usual: str, tmp_path: Path
) -> None:
    model = make(tmp_path / "model")
    plain = embed(model, TEXTS)
    np.testing.assert_array_equal(plain, embed(model, TEXTS, usual, normalize=False))
    lengths = np.linalg.norm(embed(model, TEXTS, normalize=True), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=1e-6)
    assert (abs(np.linalg.norm(plain, axis=1) - 1) > 0.01).any()


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


@pytest.mark.parametrize(
    ("config", "pooling"),
    [
        ({"pooling_mode": "cls"}, "first"),
        ({"pooling_mode": ["lasttoken"]}, "last"),
        ({"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": False}, "mean"),
        ({"pooling_mode_max_tokens": True}, "max"),
        ({"pooling_mode_max_tokens": False}, "mean"),
        ({}, "mean"),
    ],
)
def test_poolings_of_new_and_old_folders(
    config: dict[str, Any], pooling: str, tmp_path: Path
) -> None:
    write_settings(tmp_path, config)
    assert read_sentence_settings(tmp_path) == SentenceSettings(pooling, normalize=True)


@pytest.mark.parametrize(
    ("modules", "limit", "expected"),
    [
        (MODULES, 9, SentenceSettings("mean", normalize=True, limit=9)),
        (MODULES[:2], None, SentenceSettings("mean", normalize=False)),
        (MODULES[:1], None, SentenceSettings(None, normalize=False)),
    ],
)
def test_modules_and_limit(
    modules: tuple[str, ...], limit: int | None, expected: SentenceSettings, tmp_path: Path
) -> None:
    write_settings(tmp_path, {}, modules, max_seq_length=limit)
    assert read_sentence_settings(tmp_path) == expected


@pytest.mark.parametrize(("most", "limit"), [(9, 9), (99, 16), (10**30, 16), (None, None)])
def test_newer_folders_have_the_limit_with_the_tokenizer(
    most: int | None, limit: int | None, tmp_path: Path
) -> None:
    write_settings(tmp_path, {})
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"model_max_length": most}))
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": 16}))
    assert read_sentence_settings(tmp_path).limit == limit


def test_a_folder_without_modules_says_nothing(tmp_path: Path) -> None:
    assert read_sentence_settings(tmp_path) == SentenceSettings()


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"pooling_mode": "mode"}, "one of mean, cls, lasttoken, max, .* got 'mode'"),
        ({"pooling_mode": ["cls", "mode"]}, "one of mean, cls, .* got 'mode'"),
        ({"pooling_mode": []}, r"got \[\]"),
    ],
)
def test_poolings_that_are_not_done_here_are_named(
    config: dict[str, Any], message: str, tmp_path: Path
) -> None:
    write_settings(tmp_path, config)
    with pytest.raises(CheckpointError, match=message):
        read_sentence_settings(tmp_path)


@pytest.mark.parametrize("place", ["/dev", "../1_Pooling", "a/b", "..", "a\\0b"])
def test_modules_elsewhere_are_refused(place: str, tmp_path: Path) -> None:
    listed = [{"type": "models.Pooling", "path": place.replace("\\0", "\0")}]
    (tmp_path / "modules.json").write_text(json.dumps(listed), "utf-8")
    with pytest.raises(CheckpointError, match=r"modules\.json: expected a folder beside"):
        read_sentence_settings(tmp_path)


def test_modules_that_are_not_done_here_are_named(tmp_path: Path) -> None:
    for modules, got in (
        (("", "1_Pooling", "2_WordWeights"), "'WordWeights' in '2_WordWeights'"),
        (("", "2_Normalize", "1_Pooling"), "'Pooling' in '1_Pooling'"),
        (("", "1_Pooling", "1_Pooling"), "'Pooling' in '1_Pooling'"),
    ):
        write_settings(tmp_path, {}, modules)
        with pytest.raises(CheckpointError, match=rf"modules\.json: .* got {got}"):
            read_sentence_settings(tmp_path)


def write_dense(folder: Path, weight: Any, **changes: Any) -> None:
    """A dense layer without a bias."""
    made = {"in_features": 24, "out_features": 3, "bias": False, **changes}
    write_directory(folder, config=made, tensors={"linear.weight": weight}.items())


WEIGHT = np.linspace(-1, 1, 72, dtype=np.float32).reshape(3, 24)


@pytest.mark.parametrize(("activation", "f"), [("Tanh", np.tanh), ("Identity", lambda x: x)])
def test_dense_layers_follow_the_pooling(activation: str, f: Any, tmp_path: Path) -> None:
    model = small_encoder(tmp_path / "bert")
    pooled = embed(model, TEXTS, "weightedmean")
    write_settings(model.files.path, {"pooling_mode": "weightedmean"}, ("", "1_Pooling", "2_Dense"))
    where = model.files.path / "2_Dense"
    write_dense(where, WEIGHT, activation_function=f"torch.nn.modules.{activation}")
    np.testing.assert_allclose(embed(model, TEXTS), f(pooled @ WEIGHT.T), rtol=1e-5, atol=1e-6)


def test_a_saved_copy_makes_the_same_vectors(tmp_path: Path) -> None:
    model = small_encoder(tmp_path / "bert")
    folder = model.files.path
    write_settings(folder, {"pooling_mode": "max"}, ("", "1_Pooling", "2_Dense"), max_seq_length=4)
    write_dense(folder / "2_Dense", WEIGHT, activation_function="torch.nn.Tanh")
    about = {"prompts": {"q": "q: "}, "default_prompt_name": "q"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(about), "utf-8")
    lk.load(folder).save(tmp_path / "copy")
    lk.load(tmp_path / "copy").save(tmp_path / "copy", overwrite=True)
    found = lk.load(tmp_path / "copy").embed(TEXTS)
    # where arrays lie in memory decides how a sum of 24 products is rounded
    np.testing.assert_allclose(found, embed(model, TEXTS), rtol=0, atol=24 * ULP)


def test_adapters_have_their_own_settings_or_those_of_their_model(tmp_path: Path) -> None:
    foreign(tmp_path)
    write_settings(tmp_path / "base", {"pooling_mode": "max"})
    assert read_sentence_settings(lk.load(tmp_path).files.sentence_folder).pooling == "max"
    write_settings(tmp_path, {"pooling_mode": "cls"})
    assert read_sentence_settings(lk.load(tmp_path).files.sentence_folder).pooling == "first"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"activation_function": "torch.nn.GELU"}, "activation_function: expected Identity, Tanh"),
        ({"out_features": 4}, r"expected a linear.weight of \(4, 24\), by config.json, got"),
        ({"bias": True}, "expected a linear.bias where config.json says so alone"),
        ({"use_residual": True}, "use_residual: expected False, got True"),
    ],
)
def test_a_dense_layer_that_cannot_be_is_named(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    write_dense(tmp_path / "d", WEIGHT, **changes)
    with pytest.raises(CheckpointError, match=message):
        read_dense(tmp_path / "d")
    (tmp_path / "d" / "model.safetensors").unlink()


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


@pytest.mark.parametrize("size", [0, -1, 2.5, True, "8"])
def test_a_size_of_vectors_that_is_none_is_named(size: Any, tmp_path: Path) -> None:
    write_settings(tmp_path, {"pooling_mode": "mean"})
    about = tmp_path / "config_sentence_transformers.json"
    about.write_text(json.dumps({"truncate_dim": size}), "utf-8")
    with pytest.raises(CheckpointError, match="truncate_dim: expected 1 or more, got"):
        read_sentence_settings(tmp_path)


def test_a_folder_may_say_lower_case(tmp_path: Path) -> None:
    model = small_encoder(tmp_path / "bert")
    write_settings(model.files.path, {}, MODULES[:2], do_lower_case=True)
    np.testing.assert_array_equal(embed(model, ["aBc"]), embed(model, ["abc"]))


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("cosine", 3 / 13**0.5), ("dot", 6), ("euclidean", -(5**0.5)), ("manhattan", -3)],
)
def test_similarities_of_every_kind(kind: str, expected: float) -> None:
    found = similarities(np.array([2.0, 0]), np.array([[3.0, 2], [2, 0]]), kind)
    assert found[0] == pytest.approx(expected)
    assert found.argmax() == (0 if kind == "dot" else 1)


def test_the_nearest_are_by_the_cosine() -> None:
    vectors = np.array([[1, 0], [0, 2], [3, 1], [-1, 0], [0, 0]], np.float32)
    found = most_similar(vectors, 2)
    assert [[i for i, _ in near] for near in found] == [[2, 1], [2, 0], [0, 1], [1, 4], [0, 1]]
    assert found[0][0][1] == pytest.approx(3 / 10**0.5)
    assert len(most_similar(vectors, 9)[0]) == 4


@pytest.mark.parametrize("limit", ["9", 0, True])
def test_a_limit_that_is_none_is_named(limit: Any, tmp_path: Path) -> None:
    write_settings(tmp_path, {}, max_seq_length=limit)
    with pytest.raises(CheckpointError, match=f"max_seq_length: expected 1 or more, got {limit!r}"):
        read_sentence_settings(tmp_path)


@pytest.mark.parametrize("text", ["{", "[1]", "[{}]", "7"])
def test_a_damaged_list_of_modules_is_named(text: str, tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text(text, "utf-8")
    with pytest.raises(CheckpointError, match=r"modules\.json: expected (a JSON list|modules)"):
        read_sentence_settings(tmp_path)


@pytest.mark.parametrize(
    ("texts", "options", "error", "message"),
    [
        (["a", 1], {}, InputError, "expected texts, got 1"),
        (["a", None], {}, InputError, "expected texts, got None"),
        ([], {}, InputError, r"expected one text or more, got \[\]"),
        (["a", ""], {}, InputError, "at least one token id, got none"),
        (["a" * 17], {}, InputError, "at most 16 tokens, the model's context, got 17"),
        (["a"], {"pooling": "mode"}, UnknownNameError, "unknown pooling 'mode'"),
        (["a"], {"batch": 0}, InputError, "batch: expected a whole number of at least 1, got 0"),
    ],
)
def test_what_cannot_be_embedded_is_named(
    texts: Any, options: Any, error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        embed(small_encoder(tmp_path / "bert"), texts, **options)


def test_a_lone_text_has_a_lone_vector(tmp_path: Path) -> None:
    model = small_encoder(tmp_path / "bert")
    lone = embed(model, "abc")
    np.testing.assert_array_equal(lone, embed(model, ["abc"])[0])
