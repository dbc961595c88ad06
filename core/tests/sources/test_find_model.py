"""A path is used as it is; a name is looked up, and pulled unless it is there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from made_sources import registry

from lmkernel.errors import InputError, PullError, UnknownNameError
from lmkernel.progress import Progress
from lmkernel.sources import find_model, known_models
from lmkernel.sources.store import folder_of, pulled_models

if TYPE_CHECKING:
    from pathlib import Path


def test_folder_is_used_as_it_is(models: Path, tmp_path: Path) -> None:
    assert find_model(tmp_path, registry=registry("Whole")) == tmp_path
    assert not models.exists()


def test_gguf_file_is_used_as_it_is(tmp_path: Path) -> None:
    weights = tmp_path / "weights.gguf"
    weights.touch()
    assert find_model(str(weights), registry=registry("Whole")) == weights


def test_other_file_is_refused(tmp_path: Path) -> None:
    weights = tmp_path / "model.safetensors"
    weights.touch()
    with pytest.raises(InputError, match=r"folder or a \.gguf file, got the file .*safetensors"):
        find_model(weights, registry=registry("Whole"))


@pytest.mark.usefixtures("models")
def test_name_is_pulled_once() -> None:
    served = registry("Whole", "tiny")
    first = find_model("tiny", registry=served)
    second = find_model("tiny", registry=served)
    assert first == second == folder_of("tiny")
    assert '"count": 1' in (first / "config.json").read_text()


@pytest.mark.usefixtures("models")
def test_pulled_model_outlives_its_source() -> None:
    find_model("tiny", registry=registry("Whole", "tiny"))
    assert find_model("tiny", registry=registry("Whole")) == folder_of("tiny")


@pytest.mark.usefixtures("models")
def test_prefix_serves_names_that_are_no_folder_names(models: Path) -> None:
    name = "hf:org/tiny@v1.0"
    path = find_model(name, registry=registry("Whole", prefix="hf:"))
    assert path.parent == models
    assert pulled_models() == {name: path}


@pytest.mark.usefixtures("models")
def test_unknown_name_suggests_and_lists() -> None:
    served = registry("Whole", "tiny-instruct", "large", prefix="hf:")
    with pytest.raises(
        UnknownNameError, match=r"unknown model 'tiny-instrct'.*'tiny-instruct'\?.*hf:NAME, large"
    ):
        find_model("tiny-instrct", registry=served)


@pytest.mark.usefixtures("models")
@pytest.mark.parametrize("name", ["", ".tiny.lock", ".tiny.part"])
def test_what_is_no_name_is_unknown(name: str) -> None:
    served = registry("Whole", "tiny")
    find_model("tiny", registry=served)
    with pytest.raises(UnknownNameError):
        find_model(name, registry=served)


def test_pull_can_be_forbidden(models: Path) -> None:
    with pytest.raises(PullError, match=r"'tiny' is not on this machine; run: lmkernel pull tiny"):
        find_model("tiny", registry=registry("Whole", "tiny"), pull=False)
    assert not models.exists()


def test_known_models_carry_source_and_description() -> None:
    assert known_models(registry("Whole", "tiny")) == {"tiny": ("made", "the model tiny")}


def test_a_runs_folder_is_its_model(tmp_path: Path) -> None:
    (tmp_path / "run" / "model").mkdir(parents=True)
    (tmp_path / "run" / "run.toml").write_text("")
    assert find_model(tmp_path / "run", registry=registry("Whole")) == tmp_path / "run" / "model"


def test_a_run_without_a_model_is_its_last_checkpoint_and_says_so(tmp_path: Path) -> None:
    run, said = tmp_path / "run", list[str]()
    run.mkdir()
    (run / "run.toml").write_text("")
    with pytest.raises(InputError, match="run: the run has no model and no checkpoint yet"):
        find_model(run, registry=registry("Whole"))
    for step in (99_9999, 100_0000):
        (run / "checkpoints" / f"step-{step:06d}").mkdir(parents=True)
    progress = Progress(report=lambda line, *_: said.append(line))
    found = find_model(run, registry=registry("Whole"), progress=progress)
    assert found == run / "checkpoints" / "step-1000000"
    assert said == [f"{run}: the run is not at its end; this is its model after step 1000000"]


@pytest.mark.usefixtures("models")
def test_b41_what_was_pulled_is_found_by_its_name_on_the_hub() -> None:
    served = registry("Whole", prefix="hf:")
    there = find_model("hf:org/name@v2", registry=served)
    assert find_model("org/name", registry=served, pull=False) == there
    whole = find_model("hf:org/name", registry=served)
    assert find_model("org/name", registry=served, pull=False) == whole
    with pytest.raises(InputError, match="no such folder or file: org/na"):
        find_model("org/na", registry=served, pull=False)


def test_a_name_of_the_hub_without_its_prefix_is_told_with_it() -> None:
    with pytest.raises(InputError, match=r"no such folder or file: org/name; .* hf:org/name"):
        find_model("org/name", registry=registry("Whole", prefix="hf:"))
