"""The Hub's models come through its client, from a server on this machine."""

from __future__ import annotations

import io
import json
import socket
import sys
from typing import TYPE_CHECKING

import pytest
from huggingface_hub import constants, snapshot_download
from made_hub import COMMIT, REPOSITORY, Hub, serve
from made_sources import Plugin
from tiny_files import CONFIG, safetensors_of

from lmkernel.errors import InputError, MissingDependencyError, PullError
from lmkernel.plugins import Registry
from lmkernel.sources import Progress, plugin, pull
from lmkernel.sources.store import pulled_models

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WANTED = {
    "config.json": CONFIG,
    "generation_config.json": b"{}",
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b"{}",
    "chat_template.jinja": b"hello",
    "model-00001-of-00002.safetensors": safetensors_of(1.0, name="a"),
    "model-00002-of-00002.safetensors": safetensors_of(2.0, name="b"),
    "model.safetensors.index.json": json.dumps(
        {
            "weight_map": {
                "a": "model-00001-of-00002.safetensors",
                "b": "model-00002-of-00002.safetensors",
            }
        }
    ).encode(),
    "spiece.model": b"pieces",
    "sentencepiece.bpe.model": b"pieces",
    "source.spm": b"pieces",
    "target.spm": b"pieces",
    "modules.json": b"[]",
    "config_sentence_transformers.json": b"{}",
    "sentence_bert_config.json": b"{}",
    "1_Pooling/config.json": b"{}",
    "2_Dense/config.json": b"{}",
    "2_Dense/model.safetensors": safetensors_of(3.0, name="linear.weight"),
}
UNWANTED = {
    "pytorch_model.bin": b"pickle",
    "consolidated.safetensors": b"again",
    "onnx/model.safetensors": b"other",
    "original/config.json": b"{}",
    "0_Transformer/model.safetensors": b"other",
    "2_Dense/pytorch_model.bin": b"pickle",
    "onnx/1_Pooling/config.json": b"{}",
    "README.md": b"# Tiny",
    "modeling_tiny.py": b"raise SystemExit",
}
NAME = f"hf:{REPOSITORY}"


@pytest.fixture(autouse=True)
def _apart(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home and a cache of the client that are this test's alone."""
    assert not models.exists()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    with serve(Hub(files={**WANTED, **UNWANTED})) as served:
        monkeypatch.setenv("HF_ENDPOINT", served.url)
        yield served


def registry() -> Registry:
    return Registry({"sources": plugin})


def files(path: Path) -> dict[str, bytes]:
    return {str(f.relative_to(path)): f.read_bytes() for f in path.rglob("*") if f.is_file()}


@pytest.mark.usefixtures("hub")
def test_folder_holds_what_is_wanted_and_no_more() -> None:
    assert files(pull(NAME, registry=registry())) == WANTED


def test_what_is_not_wanted_is_not_downloaded(hub: Hub) -> None:
    pull(NAME, registry=registry())
    assert sorted(hub.asked) == sorted(WANTED)


def test_progress_is_a_line_where_nobody_watches(
    hub: Hub, capsys: pytest.CaptureFixture[str]
) -> None:
    said = io.StringIO()
    pull(NAME, registry=registry(), progress=Progress(said))
    assert hub.asked
    assert said.getvalue() == "downloading org/tiny from the Hugging Face Hub\n"
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("revision", ["v1.0", COMMIT])
def test_revision_is_asked_for(hub: Hub, revision: str) -> None:
    hub.revisions = ("v1.0",)
    pull(f"{NAME}@{revision}", registry=registry())
    assert list(pulled_models()) == [f"{NAME}@{revision}"]


@pytest.mark.usefixtures("hub")
def test_unknown_revision() -> None:
    with pytest.raises(PullError, match=r"^hf:org/tiny@v9: the repository has no such revision$"):
        pull(f"{NAME}@v9", registry=registry())


@pytest.mark.usefixtures("hub")
def test_unknown_repository() -> None:
    with pytest.raises(PullError, match=r"^hf:org/none: the Hub knows no such repository"):
        pull("hf:org/none", registry=registry())
    assert pulled_models() == {}


def test_gated_repository(hub: Hub) -> None:
    hub.gated = True
    with pytest.raises(PullError, match=r"^hf:org/tiny: the repository is gated; accept its ter"):
        pull(NAME, registry=registry())
    assert pulled_models() == {}


def test_repository_of_pickles_only(hub: Hub) -> None:
    hub.files = {"config.json": b"{}", "pytorch_model.bin": b"pickle"}
    with pytest.raises(PullError, match=r"got none of \*\.safetensors \(pickled weights are not"):
        pull(NAME, registry=registry())
    assert hub.asked == []


def test_weights_of_what_follows_a_model_are_no_weights_of_it(hub: Hub) -> None:
    hub.files = {"config.json": b"{}", "2_Dense/model.safetensors": b"", "modules.json": b"[]"}
    with pytest.raises(PullError, match=r"got none of \*\.safetensors"):
        pull(NAME, registry=registry())


def test_no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    with pytest.raises(PullError, match=r"^hf:org/tiny: no connection[^\n]*$"):
        pull(NAME, registry=registry())


def test_offline_takes_the_clients_cache(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    snapshot_download(REPOSITORY, endpoint=hub.url)
    hub.asked.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    path = pull(NAME, registry=registry())
    assert files(path) == WANTED
    assert not any(file.is_symlink() for file in path.iterdir())
    assert hub.asked == []


def test_offline_without_a_cached_copy(hub: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(PullError, match=r"not in the client's cache, and HF_HUB_OFFLINE forbids"):
        pull(NAME, registry=registry())
    assert hub.asked == []


def test_client_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingDependencyError, match=r"run: pip install huggingface_hub"):
        pull(NAME, registry=registry())


@pytest.mark.parametrize("name", ["hf:", "hf:@main", "hf:org/tiny@"])
def test_malformed_name(name: str) -> None:
    with pytest.raises(InputError, match=r"expected hf:ORG/NAME or hf:ORG/NAME@REVISION, got 'hf"):
        pull(name, registry=registry())


def test_name_that_the_client_refuses() -> None:
    with pytest.raises(PullError, match=r"^hf:a/b/c: HFValidationError: [^\n]*$"):
        pull("hf:a/b/c", registry=registry())


def test_plugin_is_a_plugin() -> None:
    assert Registry({"sources": plugin, "more": Plugin()}).problems == []
