"""What `compare` takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from inspected import small_llama

import lmkernel as lk
from lmkernel.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path

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
    with pytest.raises(InputError, match="backends: expected a list of strings"):
        lk.compare(model, names, prompts=["ab"], **SHORT)


@pytest.mark.parametrize("prompts", ["ab", [], [3], [None], [[3, 4]], b"a", [""]])
def test_what_is_no_list_of_prompts_is_refused(model: LanguageModel, prompts: Any) -> None:
    with pytest.raises(InputError, match="prompts: expected a list of strings"):
        lk.compare(model, ["numpy"], prompts=prompts, **SHORT)
