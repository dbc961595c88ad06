"""What `compare` takes."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from inspected import small_llama

import lmkernel as lk
from lmkernel.backend import load_backend
from lmkernel.comparison.greedy import decode_greedily
from lmkernel.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.backend import Backend
    from lmkernel.comparison.greedy import Answer
    from lmkernel.language_model import LanguageModel

SHORT: dict[str, Any] = {"max_new_tokens": 2, "progress": False}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> LanguageModel:
    folder: Path = tmp_path_factory.mktemp("models")
    return small_llama(folder / "llama")


def test_names_may_come_one_by_one(model: LanguageModel) -> None:
    table = lk.compare(model, iter(["numpy"]), prompts=iter(["ab"]), **SHORT)
    assert [row.backend for row in table.backends] == ["numpy"]
    assert table.passed


@pytest.mark.parametrize("names", ["numpy", [], [None], [3], 3, iter(())])
def test_what_is_no_list_of_backends_is_refused(model: LanguageModel, names: Any) -> None:
    with pytest.raises(InputError, match="backends: expected strings that are not empty"):
        lk.compare(model, names, prompts=["ab"], **SHORT)


@pytest.mark.parametrize("prompts", ["ab", [], [3], [None], [[3, 4]], b"a", [""]])
def test_what_is_no_list_of_prompts_is_refused(model: LanguageModel, prompts: Any) -> None:
    with pytest.raises(InputError, match="prompts: expected strings that are not empty"):
        lk.compare(model, ["numpy"], prompts=prompts, **SHORT)


def test_usual_prompts_fit_a_small_context(model: LanguageModel) -> None:
    said: list[str] = []
    table = lk.compare(
        model, ["numpy"], max_new_tokens=30, progress=lambda what, *_: said.append(what)
    )
    context = model.config.context
    assert table.passed
    assert max(len(ids) for ids in table.prompt_tokens) == context // 2
    assert all(len(tokens) > 1 for tokens in table.tokens)
    assert (
        said[0] == "the model's context of 48 tokens has room for only the end of 19 of 20 prompts"
    )
    assert lk.compare_layers(model, ["numpy"], progress=False).passed


def test_prompt_of_ones_own_is_not_cut(model: LanguageModel) -> None:
    with pytest.raises(InputError, match=r"prompt 2: expected at most 48 tokens, .* got 98"):
        lk.compare(model, ["numpy"], prompts=["a", "ab" * 40], **SHORT)


def test_progress_counts_tokens_and_names_each_run_once(model: LanguageModel) -> None:
    counts: dict[str, tuple[int, int]] = {}
    lk.compare(
        model,
        ["numpy"],
        prompts=["ab", "c"],
        max_new_tokens=5,
        progress=lambda what, done, total: counts.update({what: (done, total)}),
    )
    runs = ("float64 (the reference)", "float32 (an honest run)", "float32 (judged)")
    assert counts == {f"numpy, {run}": (10, 10) for run in runs}


def test_what_compiles_is_run_once_for_each_shape_before_it_is_timed(
    model: LanguageModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    led: list[tuple[int, int]] = []

    def load_compiled(name: str) -> Backend:
        found = load_backend(name)
        able = dataclasses.replace(found.capabilities, compiled=True, shape_step=16)
        return dataclasses.replace(found, capabilities=able)

    def decode(loaded: LanguageModel, prompt: Any, **options: Any) -> Answer:
        if loaded.model.policy.compute == "float32":
            led.append((loaded.model.slots(len(prompt)), len(options["follow"])))
        return decode_greedily(loaded, prompt, **options)

    monkeypatch.setattr("lmkernel.comparison.verb.load_backend", load_compiled)
    monkeypatch.setattr("lmkernel.comparison.verb.decode_greedily", decode)
    table = lk.compare(model, ["numpy"], prompts=["a", "b" * 16, "c"], **SHORT)
    assert table.passed
    honest, beforehand, timed = led[:3], led[3:5], led[5:]
    assert sorted(beforehand) == sorted(set(honest))
    assert timed == [(slots, 0) for slots, _ in honest]
