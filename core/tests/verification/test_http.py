"""A server that hides everything but log-probabilities: what is seen through it."""

from __future__ import annotations

import sys
from http.client import IncompleteRead
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import completions_server
import numpy as np
import pytest
from completions_server import own_logits, serving

from lmkernel.errors import InputError, SubjectError
from lmkernel.verification.subjects import http as http_subject

if TYPE_CHECKING:
    import ports

SERVE = f"{sys.executable} {Path(completions_server.__file__)} {{checkpoint}} {{port}}"


def test_an_honest_server_is_right(quick: Any, twins: dict[str, Path]) -> None:
    with serving(own_logits(twins["qwen2"])) as url:
        found = quick("qwen2", f"http:{url}")
    assert found.passed, found
    assert found.document["compared"] == "token_log_probs"
    assert found.document["metrics"]["ratio"] == pytest.approx(1, abs=1e-5)
    assert found.document["metrics"]["agreement"] is None


def test_a_defect_is_named_through_log_probabilities(
    quick: Any, twins: dict[str, Path], wrong: ports.Wrong
) -> None:
    import ports

    from lmkernel.origin import open_origin
    from lmkernel.verification.defects import candidates

    every = candidates(open_origin(twins["qwen2"]).config)
    wrong.variant = next(c for c in every if c.id == "attention.groups").variant

    def logits(ids: list[int]) -> Any:
        rows = np.array([ids])
        return ports.broken(rows, np.arange(len(ids))[None], twins["qwen2"])[0]

    with serving(logits) as url:
        found = quick("qwen2", f"http:{url}")
    assert found.diagnoses == ("attention.groups",)
    assert found.parts_at == "logits"


def test_a_server_that_is_started_here_is_asked_and_ended(quick: Any) -> None:
    asked = {"serve": SERVE, "model": "any"}
    with pytest.raises(SubjectError, match="refused"):
        quick("qwen2", "http:http://127.0.0.1:{port}", options={**asked, "serve": "true {port}"})
    found = quick("qwen2", "http:http://127.0.0.1:{port}", options={"serve": SERVE})
    assert found.passed, found
    versions = {"model": "the model", "system_fingerprint": "build 7"}
    assert found.document["subject"]["versions"] == versions


def test_a_server_that_loads_no_shortened_checkpoint_is_judged_all_the_same(
    quick: Any, twins: dict[str, Path], tmp_path: Path
) -> None:
    (tmp_path / "serve.py").write_text(
        "import sys\n"
        f"sys.path.insert(0, {str(Path(completions_server.__file__).parent)!r})\n"
        "from pathlib import Path\n"
        "import completions_server as served\n"
        "place, port = sys.argv[1:]\n"
        f"assert place == {str(twins['qwen2'])!r}\n"
        "own = served.own_logits(Path(place))\n"
        "served.server(lambda ids: own(ids) * 1.01, int(port)).serve_forever()\n"
    )
    command = f"{sys.executable} {tmp_path / 'serve.py'} {{checkpoint}} {{port}}"
    found = quick("qwen2", "http:http://127.0.0.1:{port}", options={"serve": command})
    assert found.parts_at == "logits"
    [guard] = [g for g in found.document["guards"] if g["name"] == "layer"]
    assert guard["state"] == "note"
    assert guard["text"].startswith("the first layers alone cannot be asked about: http://")


@pytest.mark.parametrize(
    ("size", "value", "says", "words"),
    [
        (2, 0.0, {}, "500 Internal Server Error: .*out of bounds"),
        (61, np.nan, {}, "expected finite token_log_probs"),
        (61, np.nan, {"echo": False}, "expected finite best_log_probs, got nan at token 9 of"),
        (61, 0.0, {"echo": False, "generated": 0}, "1 generated token after 9 tokens, got 0"),
        (61, 0.0, {"echo": False, "generated": 3}, "24 tokens of the prompt, got 3: does"),
    ],
)
def test_what_a_server_gets_wrong_is_said(
    size: int, value: float, says: Any, words: str, quick: Any
) -> None:
    def logits(ids: list[int]) -> Any:
        return np.full((len(ids), size), value)

    with serving(logits, **says) as url, pytest.raises(SubjectError, match=words):
        quick("qwen2", f"http:{url}")


def test_several_prompts_at_once_are_asked_as_an_option(quick: Any, twins: dict[str, Path]) -> None:
    own, batch = own_logits(twins["qwen2"]), {"batch": "1"}

    def mixed(rows: list[list[int]]) -> list[Any]:
        """A row beside a longer one has that one's logits."""
        longest = own(max(rows, key=len))
        return [longest[: len(row)] for row in rows]

    with serving(own) as url:
        found = quick("qwen2", f"http:{url}", options=batch)
    assert found.passed, found
    [guard] = [g for g in found.document["guards"] if g["name"] == "mask"]
    assert guard["text"] == "padded on the right: no other than alone"
    with serving(own, together=mixed) as url:
        found = quick("qwen2", f"http:{url}", options=batch, diagnosing=False)
    assert "'short' is right alone, and wrong when it is padded" in str(found)
    with serving(own, echo=False) as url, pytest.raises(SubjectError, match="knows echo"):
        quick("qwen2", f"http:{url}", options=batch)


@pytest.mark.parametrize("listed", [False, True])
def test_a_server_without_echo_is_judged_by_what_it_generates(
    listed: bool, quick: Any, twins: dict[str, Path]
) -> None:
    own = own_logits(twins["qwen2"])
    with serving(own, echo=False, listed=listed) as url:
        found = quick("qwen2", f"http:{url}")
    assert found.passed, found
    assert found.document["compared"] == "best_log_probs"
    assert found.document["metrics"]["positions"] == 16 + 5 + 16
    with serving(lambda ids: own(ids) * 1.0001, echo=False) as url:
        found = quick("qwen2", f"http:{url}", options={"last": "3"}, diagnosing=False)
    assert not found.passed
    assert found.document["metrics"]["positions"] == 9


@pytest.mark.parametrize(
    ("name", "options", "error", "words"),
    [
        ("http:localhost", {}, InputError, "expected http:URL"),
        ("http:http://127.0.0.1:9", {}, SubjectError, "refused"),
        ("http:http://x", {"last": "no"}, InputError, "last: expected a count of tokens"),
        ("http:http://x", {"echo": "1"}, InputError, "among model, serve, last, batch, got 'echo'"),
    ],
)
def test_a_server_that_is_not_there_is_said(
    name: str, options: dict[str, str], error: type[Exception], words: str, quick: Any
) -> None:
    with pytest.raises(error, match=words):
        quick("qwen2", name, options=options)


class Answering:
    """What a server sends, piece after piece."""

    def __init__(self, piece: bytes | Exception) -> None:
        self._piece = piece

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def read1(self, _: int) -> bytes:
        if isinstance(self._piece, Exception):
            raise self._piece
        return self._piece


@pytest.mark.parametrize(
    ("piece", "seconds", "said"),
    [
        (b"x" * 1000, 60, "expected an answer of at most 5000 bytes, got more"),
        (b" ", 0.05, "expected an answer within 0.05 s, got its beginning"),
        (IncompleteRead(b"[", 9), 60, r"IncompleteRead\(1 bytes read, 9 more expected\)"),
    ],
    ids=["large", "slow", "cut"],
)
def test_an_answer_without_an_end_is_left(
    quick: Any,
    monkeypatch: pytest.MonkeyPatch,
    piece: bytes | Exception,
    seconds: float,
    said: str,
) -> None:
    if seconds > 1:
        monkeypatch.setattr(http_subject, "_LARGEST", 5000)
    monkeypatch.setattr(http_subject.urllib.request, "urlopen", lambda *_, **__: Answering(piece))
    with pytest.raises(SubjectError, match=f"http://nowhere/completions: {said}"):
        quick("qwen2", "http:http://nowhere", options={"model": "any"}, limit=seconds)
