"""A transcript: what was spoken and when, as text, subtitles and JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.speech.words import Word

__all__ = ["Attempt", "Segment", "Transcript", "srt_cue", "vtt_cue"]


@final
@dataclass(frozen=True)
class Attempt:
    """How the window was heard in which something was spoken.

    Args:
        begin: where the window begins, in seconds.
        temperature: at which the text was taken; 0 for the likeliest one.
        log_prob: the mean natural log-probability of the window's tokens.
        silence: the probability that nothing is spoken in it; 0 where that was not asked.
    """

    begin: float
    temperature: float
    log_prob: float
    silence: float


@final
@dataclass(frozen=True)
class Segment:
    """What was spoken between two times.

    Args:
        begin: in seconds.
        end: in seconds.
        text: as the model writes it; where words have spaces between them, it begins with one.
        tokens: ids, with those of its times.
        words: with times of their own, where these are asked for.
        attempt: how it was heard; None of a model that spells, of chunks, and of what is live.
    """

    begin: float
    end: float
    text: str
    tokens: tuple[int, ...] = field(default=(), repr=False)
    words: tuple[Word, ...] = ()
    attempt: Attempt | None = field(default=None, repr=False)

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "begin": round(self.begin, 3),
            "end": round(self.end, 3),
            "text": self.text.strip(),
            "tokens": list(self.tokens),
            **({"words": [word.json() for word in self.words]} if self.words else {}),
            **({"attempt": asdict(self.attempt)} if self.attempt else {}),
        }


@final
@dataclass(frozen=True)
class Transcript:
    """A sound as text.

    Args:
        segments: in their order.
        language: the code of what is spoken; empty where the model knows one language alone.
        seconds: length of the sound.
    """

    segments: Sequence[Segment]
    language: str
    seconds: float

    @property
    def text(self) -> str:
        """All that was spoken, a segment after the other."""
        return "".join(one.text for one in self.segments).strip()

    def __str__(self) -> str:
        return self.text

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "text": self.text,
            "language": self.language,
            "seconds": round(self.seconds, 3),
            "segments": [one.json() for one in self.segments],
        }

    def srt(self) -> str:
        """SubRip subtitles."""
        return "".join(srt_cue(number, one) for number, one in enumerate(self.segments, 1))

    def vtt(self) -> str:
        """WebVTT subtitles."""
        return "WEBVTT\n\n" + "".join(vtt_cue(one) for one in self.segments)


def srt_cue(number: int, segment: Segment) -> str:
    """A numbered subtitle, with the empty line behind it."""
    times = f"{_clock(segment.begin, ',')} --> {_clock(segment.end, ',')}"
    return f"{number}\n{times}\n{_one_line(segment.text)}\n\n"


def vtt_cue(segment: Segment) -> str:
    """The same as WebVTT has it, where some characters are marks."""
    text = _one_line(segment.text)
    for sign, name in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(sign, name)
    return f"{_clock(segment.begin, '.')} --> {_clock(segment.end, '.')}\n{text}\n\n"


def _one_line(text: str) -> str:
    """An empty line would end a subtitle."""
    return " ".join(text.split())


def _clock(seconds: float, point: str) -> str:
    whole = round(seconds * 1000)
    minutes, rest = divmod(whole, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{rest // 1000:02}{point}{rest % 1000:03}"
