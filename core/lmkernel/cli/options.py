"""Arguments that several commands share, and what they mean."""

from __future__ import annotations

import codecs
import io
import sys
from dataclasses import fields
from typing import TYPE_CHECKING

from lmkernel.cli.screen import note
from lmkernel.errors import InputError
from lmkernel.files import reading
from lmkernel.results import counted, human_size

if TYPE_CHECKING:
    import argparse

    from lmkernel.cli.chat.server import ServerAnswer
    from lmkernel.generation import GenerationOptions, TextGeneration
    from lmkernel.language_model import LanguageModel

__all__ = [
    "add_backend_options",
    "add_generation_options",
    "add_loading_options",
    "cut_note",
    "generation_options",
    "load",
    "read_items",
    "read_lines",
    "read_prompt",
]

_MOST = 1 << 27
"""Bytes that are read of standard input, which need not end."""


def add_backend_options(
    parser: argparse.ArgumentParser, *, dtype: str = "of the computation; default float32"
) -> None:
    """``--backend``, ``--device`` and ``--dtype``, with the help of the last."""
    group = parser.add_argument_group("where it runs")
    group.add_argument("--backend", metavar="NAME", help="see `lmkernel backends`")
    group.add_argument("--device", metavar="KIND[:N]", help="such as cpu or cuda:1")
    group.add_argument("--dtype", metavar="NAME", help=dtype)


def add_loading_options(parser: argparse.ArgumentParser) -> None:
    """How a model is held and where it computes, for commands that `load` one."""
    add_backend_options(parser)
    parser.add_argument(
        "--weights",
        metavar="KIND",
        help="stored (quantised ones as in their file), int8 or int4 (,group=32 ,asymmetric)",
    )


def add_generation_options(parser: argparse.ArgumentParser) -> None:
    """How tokens are chosen, and when to stop."""
    group = parser.add_argument_group("how it answers")
    group.add_argument("--max-new-tokens", type=int, default=512, metavar="N", help="default 512")
    group.add_argument(
        "--temperature", type=float, default=0.0, metavar="T", help="default 0: the likeliest token"
    )
    group.add_argument("--top-k", type=int, default=0, metavar="K", help="only the K likeliest")
    group.add_argument(
        "--top-p",
        type=float,
        default=1.0,
        metavar="P",
        help="only the likeliest, until their shares add up to P",
    )
    group.add_argument(
        "--min-p",
        type=float,
        default=0.0,
        metavar="P",
        help="only those with at least P of the best one's share",
    )
    group.add_argument(
        "--repetition-penalty", type=float, default=1.0, metavar="R", help="default 1: none"
    )
    group.add_argument(
        "--num-beams", type=int, default=1, metavar="N", help="beginnings side by side; default 1"
    )
    group.add_argument(
        "--prompt-lookup-num-tokens",
        type=int,
        default=0,
        metavar="N",
        help="guess N tokens where the text repeats itself; the same answer in fewer steps",
    )
    group.add_argument("--seed", type=int, default=0, metavar="S", help="of the draws; default 0")
    group.add_argument(
        "--stop", action="append", default=[], metavar="TEXT", help="end before it; repeatable"
    )


def generation_options(args: argparse.Namespace) -> GenerationOptions:
    """The options that the arguments ask for; `InputError` names one that makes no sense."""
    from lmkernel.generation import GenerationOptions

    names = {field.name for field in fields(GenerationOptions)}
    return GenerationOptions(**{n: value for n, value in vars(args).items() if n in names})


def load(args: argparse.Namespace) -> LanguageModel:
    """The model that the arguments ask for; a pull, and what few bits cost, on standard error."""
    from lmkernel.loading import load as load_by_name

    model = load_by_name(
        args.model,
        backend=args.backend,
        device=args.device,
        dtype=args.dtype,
        weights=args.weights,
    )
    if model.holding is not None:
        found = model.describe()
        note(f"weights: {human_size(found.weight_bytes)}, {found.weights}")
    return model


def cut_note(
    answer: TextGeneration | ServerAnswer,
    options: GenerationOptions,
    more: str = "; --max-new-tokens N allows more",
    anew: str = "",
) -> str:
    """That an answer did not end by itself, and why; empty for one that did.

    Args:
        answer: it is run to its end.
        options: those that it was generated with.
        more: what lifts the limit of tokens.
        anew: what to do where the context is full.
    """
    limit = options.max_new_tokens
    if answer.finish_reason != "length":
        return ""
    if len(answer.tokens) < limit:
        return f"[cut where the model's context is full{anew}]"
    return f"[cut at {counted(limit, 'token')}{more}]"


def read_prompt(argument: str | None, what: str = "a prompt") -> str:
    """The argument, else all of standard input, as UTF-8.

    Args:
        argument: None to read standard input.
        what: is expected, for messages.

    Raises:
        InputError: nothing was given, what was given is no UTF-8 or has no end, or it cannot be
            read.
    """
    if argument is None:
        if sys.stdin is None or sys.stdin.isatty():
            raise InputError(f"expected {what}, as an argument or on standard input")
        argument = _decode(_read_input())
    if any("\udc80" <= character <= "\udcff" for character in argument):
        raise InputError(f"expected {what} in UTF-8, got an argument with other bytes")
    if not argument:
        raise InputError(f"expected {what} of at least one character, got an empty one")
    return argument


def read_items(what: str = "a text") -> list[str]:
    """The lines of standard input, each of which is something: none is passed over.

    Args:
        what: each is expected to be.

    Raises:
        InputError: nothing was given, a line is empty, or what was given is no UTF-8.
    """
    lines = read_lines(what)
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise InputError(f"standard input, line {number}: expected {what}, got an empty line")
    return lines


def read_lines(what: str = "a text") -> list[str]:
    """The lines of standard input, without their ends.

    Constraint: a line ends where it does in a file. The separators that `str.splitlines` knows
    besides, such as U+2028, stand in texts, and JSON does not escape them.

    Args:
        what: each is expected to be, for messages.

    Raises:
        InputError: nothing was given, or what was given is no UTF-8.
    """
    return [line.removesuffix("\n") for line in io.StringIO(read_prompt(None, what), newline=None)]


def _read_input() -> bytes:
    with reading("standard input", InputError):
        data = sys.stdin.buffer.read(_MOST + 1)
    if len(data) > _MOST:
        raise InputError(f"expected at most {_MOST} bytes on standard input, got more")
    return data


def _decode(data: bytes) -> str:
    """Text of UTF-8, without the byte order mark that some shells put first."""
    data, offset = data.removeprefix(codecs.BOM_UTF8), 3 * data.startswith(codecs.BOM_UTF8)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InputError(
            f"expected UTF-8 on standard input, got the byte 0x{data[error.start]:02x} "
            f"at offset {offset + error.start}"
        ) from error
