"""Words and their times: what a word is, and the path through what attention looks at."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from made_sounds import vowels, wave_bytes

import lmkernel
from lmkernel import LanguageModel, Sound
from lmkernel.cli.main import main
from lmkernel.errors import CheckpointError
from lmkernel.speech.alignment import alignment_heads, warped
from lmkernel.speech.words import words_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

PIECES = [" The", " cat", "'s", " hat", ",", " (", "red", ")", "!"]


def decoded(pieces: list[str]) -> Any:
    """Gives the text of tokens that are numbers of pieces."""
    return lambda ids: "".join(pieces[i] for i in ids)


def test_a_word_has_its_signs() -> None:
    found = words_of(range(9), [i / 10 for i in range(10)], decoded(PIECES), "en")
    assert [(w.text, w.begin, w.end) for w in found] == [
        (" The", 0.0, 0.1),
        (" cat's", 0.1, 0.3),
        (" hat, (red)!", 0.3, 0.9),
    ]
    assert found[1].json() == {"begin": 0.1, "end": 0.3, "text": "cat's"}


def test_a_language_without_spaces_has_a_word_a_token() -> None:
    found = words_of(range(3), [0.0, 1.0, 2.0, 3.0], decoded(["你好", "世界", "。"]), "zh")
    assert [(w.text, w.begin, w.end) for w in found] == [("你好", 0.0, 1.0), ("世界。", 1.0, 3.0)]


def test_a_character_of_several_tokens_is_whole() -> None:
    content = [b" n", "ä".encode()[:1], "ä".encode()[1:], b" x"]

    def decode(ids: Sequence[int]) -> str:
        return b"".join(content[i] for i in ids).decode("utf-8", "replace")

    found = words_of(range(4), [0.0, 1.0, 2.0, 3.0, 4.0], decode, "de")
    assert [(w.text, w.begin, w.end) for w in found] == [(" nä", 0.0, 3.0), (" x", 3.0, 4.0)]


def test_there_may_be_no_words() -> None:
    assert words_of([], [0.0], decoded([]), "en") == ()


def cheapest(costs: np.ndarray) -> float:
    """By trying every path."""
    rows, columns = costs.shape

    def least(i: int, j: int) -> float:
        if (i, j) == (0, 0):
            return float(costs[0, 0])
        ways = ((i - 1, j - 1), (i - 1, j), (i, j - 1))
        return float(costs[i, j]) + min(least(*w) for w in ways if min(w) >= 0)

    return least(rows - 1, columns - 1)


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (3, 6), (5, 5)])
def test_the_path_is_the_cheapest(shape: tuple[int, int]) -> None:
    costs = np.random.default_rng(3).normal(size=shape)
    rows, columns = warped(costs)
    assert costs[rows, columns].sum() == pytest.approx(cheapest(costs))
    assert (rows[0], columns[0]) == (0, 0)
    assert (rows[-1] + 1, columns[-1] + 1) == shape
    steps = {
        (b - a, d - c) for (a, b), (c, d) in zip(pairwise(rows), pairwise(columns), strict=True)
    }
    assert steps <= {(0, 1), (1, 0), (1, 1)}


def with_heads(model: LanguageModel, heads: object) -> LanguageModel:
    assert model.origin.files is not None
    settings = {**model.origin.files.generation_config, "alignment_heads": heads}
    files = replace(model.origin.files, generation_config=settings)
    return LanguageModel(model.model, model.params, replace(model.origin, files=files))


def test_heads_are_the_models_or_those_of_the_later_layers(model: LanguageModel) -> None:
    assert alignment_heads(model) == [(i, head) for i in (1, 2) for head in range(4)]
    assert alignment_heads(with_heads(model, [[0, 3], [2, 1]])) == [(0, 3), (2, 1)]


@pytest.mark.parametrize("heads", [[[3, 0]], [[0, 4]], [[-1, 0]], [[0]], ["x"], [[0, 1, 2]]])
def test_heads_that_there_are_none_of(model: LanguageModel, heads: object) -> None:
    with pytest.raises(CheckpointError, match="alignment_heads: expected layers in 0 … 2"):
        alignment_heads(with_heads(model, heads))


LONG = Sound(np.resize(vowels(1.3), 24_000).astype(np.float32), 16000)


def test_words_lie_in_their_order_and_are_the_text(model: LanguageModel) -> None:
    options: dict[str, Any] = {"temperatures": (0,), "max_new_tokens": 9, "most_silent": None}
    found = lmkernel.transcribe(model, LONG, words=True, progress=False, **options)
    plain = lmkernel.transcribe(model, LONG, progress=False, **options)
    assert [one.tokens for one in found.segments] == [one.tokens for one in plain.segments]
    assert not any(one.words for one in plain.segments)
    words = [word for one in found.segments for word in one.words]
    assert words
    assert all(word.begin <= word.end <= LONG.seconds for word in words)
    assert all(a.begin <= b.begin for a, b in pairwise(words))


def test_the_command_tells_words_in_json_alone(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.wav").write_bytes(wave_bytes(LONG.samples[:9000, None], 16000))
    asked = ["transcribe", str(folder), str(tmp_path / "a.wav"), "--words"]
    assert main([*asked, "--format", "json", "--max-new-tokens", "4"]) == 0
    [segment, *_] = json.loads(capsys.readouterr().out)["segments"]
    assert segment["words"][0].keys() == {"begin", "end", "text"}
    assert main(asked) == 1
    assert "--words: expected --format json" in capsys.readouterr().err
