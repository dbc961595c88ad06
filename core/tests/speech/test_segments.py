"""Parts of a window, windows that overlap, and how a transcript is written."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lmkernel.speech.chunks import chunks_of, joined_tokens
from lmkernel.speech.hearing import compression_ratio
from lmkernel.speech.outcome import Attempt, Segment, Transcript, srt_cue, vtt_cue
from lmkernel.speech.reel import Reel
from lmkernel.speech.segments import Window, window_parts

T = 100  # the token of time 0


@pytest.mark.parametrize(
    ("tokens", "parts", "step"),
    [
        # a pair ends a part; what follows the last pair is heard again
        ([T, 1, T + 20, T + 20, 2], [(0, 20, [T, 1, T + 20, T + 20])], 40),
        ([T + 1, 1, T + 20, T + 25], [(1, 20, [T + 1, 1, T + 20, T + 25])], 40),
        # a single time at the end: nothing more is spoken
        (
            [T, 1, T + 20, T + 22, 2, T + 40],
            [(0, 20, [T, 1, T + 20]), (22, 40, [T + 22, 2, T + 40])],
            3000,
        ),
        # no pair: one part, to its last time or to the end of the window
        ([T, 1, 2], [(0, 1500, [T, 1, 2])], 3000),
        ([T, 1, T + 7], [(0, 7, [T, 1, T + 7])], 3000),
        ([1, 2], [(0, 1500, [1, 2])], 3000),
        ([], [(0, 1500, [])], 3000),
    ],
    ids=range(7),
)
def test_parts_of_a_window(
    tokens: list[int], parts: list[tuple[int, int, list[int]]], step: int
) -> None:
    found, moved = window_parts(tokens, T, Window(0, 3000))
    assert [(p.begin, p.end, list(p.tokens)) for p in found] == parts
    assert moved == step


def test_parts_begin_where_the_window_does() -> None:
    [part], step = window_parts([T, 1, T + 20, T + 20], T, Window(601, 3000))
    assert (part.begin, part.end, step) == (300.5, 320.5, 40)


def test_a_last_window_ends_with_the_sound() -> None:
    [part], step = window_parts([1], T, Window(3000, 250))
    assert (part.begin, part.end, step) == (1500, 1625, 250)


def starts(count: int) -> list[int]:
    """Where windows of 60 begin, of samples that count up."""
    return [int(one[0]) for one in chunks_of(Reel([np.arange(count)]), 60)]


def test_windows_that_overlap_cover_all_and_no_more() -> None:
    assert starts(1) == [0]
    assert starts(60) == [0]
    assert starts(61) == [0, 40]
    assert starts(100) == [0, 40]
    assert starts(200) == [0, 40, 80, 120, 160]
    for count in range(1, 400):
        windows = [*chunks_of(Reel([np.arange(count)]), 60)]
        assert [len(one) for one in windows[:-1]] == [60] * (len(windows) - 1)
        assert windows[-1][0] < count == windows[-1][-1] + 1


def test_rows_are_joined_in_the_middle_of_what_they_share() -> None:
    assert joined_tokens([[1, 2, 3, 4, 5], [3, 4, 5, 6, 7]]) == [1, 2, 3, 4, 5, 6, 7]
    assert joined_tokens([[1, 2, 3, 4, 9], [8, 3, 4, 5, 6]]) == [1, 2, 3, 4, 5, 6]
    assert joined_tokens([[1, 2], [3, 4]]) == [1, 2, 3, 4]
    assert joined_tokens([[1, 2, 3]]) == [1, 2, 3]
    assert joined_tokens([[1, 2, 3], [], [4]]) == [1, 2, 3, 4]


def test_repetition_is_seen_in_the_ids() -> None:
    drawn = np.random.default_rng(1).integers(0, 50_000, 200).tolist()
    assert compression_ratio(drawn, 51865) < 1.05
    assert compression_ratio([17, 4000] * 100, 51865) > 10


SEGMENT = Segment(3661.0005, 3662.25, " A & <b>\n\nnext", (1, 2))


def test_subtitles_have_their_forms() -> None:
    assert srt_cue(7, SEGMENT) == "7\n01:01:01,000 --> 01:01:02,250\nA & <b> next\n\n"
    assert vtt_cue(SEGMENT) == "01:01:01.000 --> 01:01:02.250\nA &amp; &lt;b&gt; next\n\n"


def test_a_transcript_is_its_segments() -> None:
    made = Transcript([Segment(0, 1, " one"), Segment(1, 2.5, " two.")], "en", 2.5)
    assert str(made) == made.text == "one two."
    assert made.srt().count("-->") == 2
    assert made.vtt().startswith("WEBVTT\n\n00:00:00.000 --> ")
    heard = replace(made.segments[0], attempt=Attempt(0.0, 0.2, -0.5, 0.25)).json()["attempt"]
    assert heard == {"begin": 0.0, "temperature": 0.2, "log_prob": -0.5, "silence": 0.25}
    assert made.json()["segments"][1] == {"begin": 1, "end": 2.5, "text": "two.", "tokens": []}
    assert Transcript([Segment(0, 1, "你好"), Segment(1, 2, "世界")], "zh", 2).text == "你好世界"
