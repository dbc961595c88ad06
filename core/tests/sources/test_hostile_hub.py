"""Whatever a hub answers, a pull ends in a sound model or in one sentence, and nothing is kept."""

from __future__ import annotations

import hashlib
import socket
from typing import TYPE_CHECKING

import pytest
from hostile_hub import HARMLESS, HOSTILE, WEIGHTS, handler, served
from huggingface_hub import constants
from made_hub import COMMIT, REPOSITORY, Hub, serve

from lmkernel.checkpoints import open_model
from lmkernel.errors import PullError
from lmkernel.plugins import Registry
from lmkernel.sources import plugin, pull
from lmkernel.sources.store import pulled_models

if TYPE_CHECKING:
    from pathlib import Path

NAME = f"hf:{REPOSITORY}"


@pytest.fixture(autouse=True)
def _apart(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home and a token of this test alone."""
    assert not models.exists()
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("HF_TOKEN", "hf_secret")


def attempt(monkeypatch: pytest.MonkeyPatch, hub: Hub, name: str, *, harmless: bool) -> Path:
    part, answer, _, _ = (HARMLESS if harmless else HOSTILE)[name]
    if name.startswith("slow"):
        monkeypatch.setattr("lmkernel.sources.pacing.WINDOW", 0.2)
    if name == "silence":
        monkeypatch.setattr("lmkernel.sources.transfer.TIMEOUT", 0.1)
    with serve(hub, handler(part, answer)) as open_hub:
        monkeypatch.setenv("HF_ENDPOINT", open_hub.url)
        return pull(NAME, registry=Registry({"sources": plugin}))


@pytest.mark.parametrize("name", HOSTILE)
def test_m1_hostile_hub(
    models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    _, _, files, says = HOSTILE[name]
    with pytest.raises(PullError, match=says) as caught:
        attempt(monkeypatch, served(files), name, harmless=False)
    sentence = str(caught.value)
    assert sentence.startswith(f"{NAME}: ")
    assert "\n" not in sentence
    assert len(sentence) < 400
    assert pulled_models() == {}
    assert [path.name for path in models.iterdir()] == [".hf%3Aorg%2Ftiny.lock"]
    assert [path.name for path in tmp_path.iterdir()] == ["home"]


@pytest.mark.parametrize("name", HARMLESS)
def test_what_is_put_up_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    hub = served({})
    folder = attempt(monkeypatch, hub, name, harmless=True)
    assert (folder / WEIGHTS).read_bytes() == hub.files[WEIGHTS]
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", WEIGHTS]
    assert [path.name for path in tmp_path.iterdir()] == ["home"]
    assert open_model(folder).tensors.names() == ("weight",)


def test_h7_commit_is_the_one_that_was_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    other = "f" * 40
    with serve(served({}), handler("revision", lambda s: s.answer({"sha": COMMIT}))) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        with pytest.raises(PullError, match=f"expected the hub to give the commit {other}, got 0"):
            pull(f"{NAME}@{other}", registry=Registry({"sources": plugin}))


def test_h7_revision_is_quoted(monkeypatch: pytest.MonkeyPatch) -> None:
    with serve(served({})) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        with pytest.raises(PullError, match="the repository has no such revision"):
            pull(f"{NAME}@../../x", registry=Registry({"sources": plugin}))
        assert hub.tokens[0][0].endswith("/revision/..%2F..%2Fx")


def test_token_goes_to_the_hub_and_to_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = served({})
    with serve(served({})) as elsewhere:
        path = f"{elsewhere.url}/{REPOSITORY}/resolve/{COMMIT}/{WEIGHTS}"
        lead = handler("file", lambda s: s.reply(302, {"Location": path}, b""))
        with serve(hub, lead):
            monkeypatch.setenv("HF_ENDPOINT", hub.url)
            pull(NAME, registry=Registry({"sources": plugin}))
        assert {token for _, token in hub.tokens} == {"Bearer hf_secret"}
        assert [token for _, token in elsewhere.tokens] == [""]


def test_m1_large_file_has_the_announced_sha256(monkeypatch: pytest.MonkeyPatch) -> None:
    hub = served({})
    got = hashlib.sha256(hub.files[WEIGHTS][:-1] + b"\xff").hexdigest()
    with pytest.raises(PullError, match=f"{WEIGHTS}: expected .* got {got}; nothing was kept"):
        attempt(monkeypatch, hub, "weights of another hash", harmless=False)


@pytest.mark.parametrize("where", ["http://a b/", "http://127.0.0.1:x/", "http://:80/"])
def test_a_redirect_to_no_address_is_not_tried_again(
    monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    lead = handler("revision", lambda s: s.reply(302, {"Location": where}, b""))
    with serve(served({}), lead) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.url)
        with pytest.raises(PullError, match="redirects to no address"):
            pull(NAME, registry=Registry({"sources": plugin}))
        assert len(hub.tokens) == 1


@pytest.mark.parametrize("address", ["http://a b", "http://[::1", "http://127.0.0.1:x", "hub"])
def test_an_address_that_is_none_is_told(monkeypatch: pytest.MonkeyPatch, address: str) -> None:
    monkeypatch.setenv("HF_ENDPOINT", address)
    with pytest.raises(PullError, match=r"^hf:org/tiny: expected an address of HTTP, got '"):
        pull(NAME, registry=Registry({"sources": plugin}))


def test_server_that_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{free.getsockname()[1]}")
    with pytest.raises(PullError, match=r"^hf:org/tiny: no connection to the server: .*refused"):
        pull(NAME, registry=Registry({"sources": plugin}))
