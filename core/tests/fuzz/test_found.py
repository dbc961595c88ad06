"""What the fuzzers found once is refused now, or taken: each input of ``corpus`` again."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fuzzing.session import NAMES, Session

if TYPE_CHECKING:
    from collections.abc import Iterator

CORPUS = [
    json.loads(path.read_text("utf-8"))
    for path in sorted((Path(__file__).parent / "corpus").glob("*.json"))
]
FOUND = {
    f"{entry['format']}: {one['what']}": (entry["format"], one)
    for entry in CORPUS
    for one in entry["inputs"]
}


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session() as opened:
        yield opened


@pytest.mark.parametrize("name", FOUND)
def test_what_was_found_is_found_no_more(session: Session, name: str) -> None:
    kind, one = FOUND[name]
    data = one["text"].encode() if "text" in one else base64.b64decode(one["base64"])
    got: dict[str, Any] = session.ask(
        format=kind, file=one["file"], data=base64.b64encode(data).decode()
    )
    assert got["end"] == "refusal", got["words"]


def test_every_entry_is_of_a_format() -> None:
    assert {entry["format"] for entry in CORPUS} <= set(NAMES)
