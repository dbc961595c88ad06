"""``lmkernel transcribe``: what is spoken in a sound, as text or subtitles."""

from __future__ import annotations

import argparse
import json
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, final

from lmkernel.cli.command import Command
from lmkernel.cli.options import add_loading_options, load
from lmkernel.cli.screen import escaped_json
from lmkernel.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel.speech.live import Caption
    from lmkernel.speech.options import SpeechOptions
    from lmkernel.speech.outcome import Segment
    from lmkernel.speech.sound_files import AnySound

__all__ = ["Transcribe"]

_FORMATS = ("text", "srt", "vtt", "json")
_USUAL_RATE = 16000
_OPTIONS = ("language", "task", "prompt", "num_beams", "max_new_tokens", "seed", "batch")


@final
class Transcribe(Command):
    """Each part is printed as soon as it is settled, so an interrupt keeps what was."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model, the sound, and how it is heard."""
        parser.add_argument(
            "model", metavar="MODEL", help="one that hears, such as a Whisper model"
        )
        parser.add_argument(
            "file", metavar="FILE", help="WAV, FLAC, OGG or MP3; - for standard input"
        )
        parser.add_argument(
            "--format", choices=_FORMATS, default=_FORMATS[0], help="default text, a part a line"
        )
        group = parser.add_argument_group("how it hears")
        kinds: tuple[tuple[str, type, str, str], ...] = (
            ("--language", str, "LANGUAGE", "what is spoken, such as de; default: as it sounds"),
            ("--task", str, "TASK", "transcribe, or translate into English; default transcribe"),
            (
                "--prompt",
                str,
                "TEXT",
                "taken to be written before, so that names are spelt as there",
            ),
            ("--num-beams", int, "N", "beginnings that are gone on with side by side"),
            ("--max-new-tokens", int, "N", "the most tokens of a window"),
            ("--seed", int, "N", "of what is drawn where the likeliest text is no good"),
            ("--batch", int, "N", "windows side by side, with --chunked; default 8"),
        )
        for name, kind, shown, text in kinds:
            group.add_argument(name, type=kind, default=argparse.SUPPRESS, metavar=shown, help=text)
        group.add_argument(
            "--chunked",
            action="store_true",
            help="hear windows side by side: faster where products are, and without times",
        )
        group.add_argument(
            "--no-timestamps", action="store_true", help="of a sound that fits in a window"
        )
        group.add_argument(
            "--words", action="store_true", help="the times of each word, too, with --format json"
        )
        group.add_argument(
            "--condition", action="store_true", help="tell each window what was written before it"
        )
        live = parser.add_argument_group("what is still being spoken")
        live.add_argument(
            "--live",
            action="store_true",
            help="FILE is -: 16-bit samples of one channel, low byte first, without a header;"
            " captions come as they settle",
        )
        live.add_argument(
            "--rate", type=int, metavar="HZ", help=f"of the samples; default {_USUAL_RATE}"
        )
        live.add_argument("--every", type=float, metavar="S", help="between attempts; default 1")
        add_loading_options(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Transcribe."""
        from lmkernel.speech.options import SpeechOptions
        from lmkernel.speech.verbs import segments_of

        given: dict[str, Any] = {n: v for n, v in vars(args).items() if n in _OPTIONS}
        options = SpeechOptions(
            **given,
            timestamps=not args.no_timestamps,
            chunked=args.chunked,
            condition=args.condition,
            words=args.words,
        )
        self._check_format(args, options)
        if args.live:
            _print_captions(_captions(args, options), args.format)
            return 0
        with _sound_of(args.file) as sound:
            found = segments_of(load(args), sound, options)
            if args.format == "json":
                _print_json(found, sound)
            else:
                _print_parts(found, args.format)
        return 0

    def _check_format(self, args: argparse.Namespace, options: SpeechOptions) -> None:
        if args.live and (args.file != "-" or options.chunked or not options.timestamps):
            raise InputError("--live: expected - and times, so no --chunked, no --no-timestamps")
        if not args.live and (args.rate is not None or args.every is not None):
            raise InputError("--rate, --every: expected --live beside them")
        if "batch" in vars(args) and not options.chunked:
            raise InputError("--batch: expected --chunked beside it")
        if options.words and (args.format != "json" or args.live or options.chunked):
            raise InputError("--words: expected --format json, and neither --live nor --chunked")
        timed = options.timestamps and not options.chunked
        if args.format in ("srt", "vtt") and not timed:
            raise InputError(
                f"--format {args.format}: expected times, which --chunked and --no-timestamps leave"
                " out"
            )


@contextmanager
def _sound_of(file: str) -> Iterator[AnySound]:
    """The sound in a file, or that of standard input."""
    from lmkernel.speech.sound_files import kept_stream
    from lmkernel.speech.verbs import as_sound

    if file == "-":
        with kept_stream(_standard_input(), "standard input") as sound:
            yield sound
    else:
        yield as_sound(file)


def _standard_input() -> BinaryIO:
    if sys.stdin is None or sys.stdin.isatty():
        raise InputError("expected a sound on standard input, got a terminal")
    return sys.stdin.buffer


def _captions(args: argparse.Namespace, options: SpeechOptions) -> Iterator[Caption]:
    """What is heard of standard input."""
    from lmkernel.speech.live import Captions
    from lmkernel.speech.sounds import blocks_of
    from lmkernel.speech.transcriber import Transcriber

    stream = _standard_input()
    transcriber = Transcriber(load(args), options)
    listening = Captions(transcriber, every=1.0 if args.every is None else args.every)
    rate = _USUAL_RATE if args.rate is None else args.rate
    return listening.hear(blocks_of(stream, rate, transcriber.settings.rate))


def _print_captions(found: Iterator[Caption], form: str) -> None:
    """Settled captions; the others pass by on a terminal's last line."""
    passing = sys.stderr.isatty()

    def settled() -> Iterator[Segment]:
        for one in found:
            if one.settled:
                yield one.segment
            elif passing:
                print(f"\r\x1b[K{_one_line(one.segment.text)[-70:]}", end="", file=sys.stderr)

    if form != "json":
        _print_parts(settled(), form)
        return
    for one in found:
        if one.settled:
            print(escaped_json(json.dumps(one.json(), ensure_ascii=False)), flush=True)


def _one_line(text: str) -> str:
    return " ".join(text.split())


def _print_parts(found: Iterator[Segment | str] | Iterator[Segment], form: str) -> None:
    from lmkernel.speech.outcome import srt_cue, vtt_cue

    number = 0
    if form == "vtt":
        print("WEBVTT\n", flush=True)
    for one in found:
        if isinstance(one, str):
            continue
        number += 1
        if form == "srt":
            print(srt_cue(number, one), end="", flush=True)
        elif form == "vtt":
            print(vtt_cue(one), end="", flush=True)
        elif one.text.strip():
            print(_one_line(one.text), flush=True)


def _print_json(found: Iterator[Segment | str], sound: AnySound) -> None:
    """One object, in the end; what was settled before an interrupt, too."""
    from lmkernel.speech.outcome import Segment, Transcript

    segments: list[Segment] = []
    language = ""
    try:
        for one in found:
            if isinstance(one, Segment):
                segments.append(one)
            else:
                language = one
    finally:
        if segments or language:
            whole = Transcript(segments, language, sound.seconds)
            print(escaped_json(json.dumps(whole.json(), ensure_ascii=False)))
