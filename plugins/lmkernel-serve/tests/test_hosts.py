"""The name under which a server is asked: this machine's, or one that was allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from lmkernel_serve.app import make_app
from lmkernel_serve.served import Served
from starlette.testclient import TestClient

if TYPE_CHECKING:
    from collections.abc import Iterator

PATHS = ("/v1/models", "/health", "/", "/page/js/main.js")
OURS = (
    *("127.0.0.1", "127.0.0.1:8000", "127.8.0.2", "[::1]:8"),
    *("localhost:1", "LOCALHOST", "localhost."),
)
STRANGERS = (
    *("evil.example", "evil.example:8000", "127.0.0.1.evil.example", "localhost.evil.example", ""),
    *("localhost@evil.example", "10.0.0.1", "[::2]:8000", "0.0.0.0"),  # noqa: S104 - it is refused
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory, tiny: Any) -> Iterator[Served]:
    made = Served("tiny", tiny(tmp_path_factory.mktemp("hosts") / "tiny"))
    yield made
    made.worker.close()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:8000",
        "127.8.0.2",
        "localhost:1",
        "LOCALHOST",
        "localhost.",
        "[::1]:8",
    ],
)
def test_this_machines_names_are_right(served: Served, host: str) -> None:
    client = TestClient(make_app([served], hosts=()))
    assert client.get("/v1/models", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize("host", STRANGERS)
@pytest.mark.parametrize("path", PATHS)
def test_a_name_of_a_stranger_is_refused_on_every_path(
    served: Served, host: str, path: str
) -> None:
    answer = TestClient(make_app([served], hosts=())).get(path, headers={"Host": host})
    assert answer.status_code == 421
    assert answer.json()["error"]["code"] == "wrong_host"


def test_a_name_may_be_allowed(served: Served) -> None:
    client = TestClient(make_app([served], hosts=["Chat.Example"]))
    assert client.get("/health", headers={"Host": "chat.example:443"}).status_code == 200
    assert client.get("/health", headers={"Host": "other.example"}).status_code == 421


def test_who_listens_to_others_has_any_name(served: Served) -> None:
    client = TestClient(make_app([served]))
    assert client.get("/health", headers={"Host": "models.example"}).status_code == 200
