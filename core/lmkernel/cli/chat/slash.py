"""What a conversation is told rather than asked: words after a slash."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, final

from lmkernel.cli.chat.conversation import read_messages
from lmkernel.cli.screen import note
from lmkernel.errors import InputError, UnknownNameError
from lmkernel.paths import user_path
from lmkernel.results import columns, counted
from lmkernel.settings.file import parse_overrides

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from lmkernel.cli.chat.conversation import Conversation, Turn

__all__ = ["Order", "parse_order"]

_ORDER = re.compile(r"/([A-Za-z]+|\?)(?:\s+(.*))?", re.DOTALL)
_ESCAPED = re.compile(r"/(?=/\w)")
_LEAVING = ("exit", "quit")
_NOTHING = "-"

_WRITING = """\
\\ at the end of a line, or Alt-Enter, begins another line; what is pasted is one message.
// begins a message with a slash that would be a command. exit or quit alone leaves.
Ctrl-C stops an answer, Ctrl-D leaves."""


@final
@dataclass(frozen=True)
class Order:
    """A word after a slash, with what follows it.

    Args:
        name: the word, in lower case, one of those that there are.
        argument: what follows; empty if nothing does.
    """

    name: str
    argument: str

    def carry_out(self, conversation: Conversation) -> Turn | None:
        """Do it, and return the turn that it asks for, if any.

        Raises:
            InputError: an argument that makes no sense, or where none belongs.
            EOFError: the conversation is to end.
        """
        kind = _ORDERS[self.name]
        if self.argument and not kind.usage:
            raise InputError(f"expected /{self.name} alone, got {self.argument!r:.60} after it")
        return kind.run(conversation, self.argument)


def parse_order(text: str) -> Order | str:
    """A message as it is sent, or the order that it is.

    A slash and a word of letters are an order. Anything else is a message, such as
    ``/etc/passwd: what is it?``; of two slashes before a word the first is left out.

    Raises:
        InputError: there is no such order.
    """
    if text.lower() in _LEAVING:
        text = f"/{text}"
    found = _ORDER.fullmatch(text)
    if found is None:
        return text[1:] if _ESCAPED.match(text) else text
    name = found[1].lower()
    if name not in _ORDERS:
        unknown = UnknownNameError("command", f"/{found[1]}", [f"/{one}" for one in _ORDERS])
        raise InputError(
            f"{unknown}. A message that begins with {text[:20]!r} is written /{text:.20}"
        )
    return Order(name, (found[2] or "").strip())


def _help(_: Conversation, __: str) -> None:
    rows = [
        [" or ".join(f"/{name}" for name in kind.names) + f" {kind.usage}", kind.help]
        for kind in _KINDS
    ]
    note(f"{columns(rows)}\n{_WRITING}")


def _system(conversation: Conversation, text: str) -> None:
    if text:
        conversation.system = "" if text == _NOTHING else text
    note(f"system: {conversation.system or 'nothing'}")


def _set(conversation: Conversation, text: str) -> None:
    if text:
        name, _, value = re.sub(r"\s*=\s*|\s+", "=", text, count=1).partition("=")
        changes = parse_overrides([f"{name}={value}"])
        conversation.options = conversation.options.replace(**changes)
    values = dataclasses.asdict(conversation.options)
    note(", ".join(f"{name} {value!r}" for name, value in values.items()))


def _retry(conversation: Conversation, _: str) -> Turn:
    turn = conversation.retry()
    if not conversation.options.temperature:
        note("at temperature 0 the answer stays the same; /set temperature 0.7 varies it")
    return turn


def _continue(conversation: Conversation, _: str) -> Turn:
    return conversation.go_on()


def _save(conversation: Conversation, text: str) -> None:
    path = _path(text)
    conversation.save(path)
    note(f"{_count(conversation)} in {path}")


def _load(conversation: Conversation, text: str) -> None:
    conversation.messages = read_messages(_path(text))
    note(f"{_count(conversation)} from {_path(text)}; /retry answers the last question again")


def _clear(conversation: Conversation, _: str) -> None:
    conversation.clear()
    note("the conversation is empty" + (" but for the system message" * bool(conversation.system)))


def _stats(conversation: Conversation, _: str) -> None:
    answer = conversation.last
    if answer is None or not answer.finished:
        raise InputError("there is no finished answer yet to be counted")
    count = len(answer.tokens)
    speed = f", {count / answer.seconds:.1f} a second" if answer.seconds else ""
    note(f"{counted(count, 'token')} in {answer.seconds:.1f} s{speed}")


def _leave(_: Conversation, __: str) -> None:
    raise EOFError


def _path(text: str) -> Path:
    quoted = len(text) > 1 and text[0] == text[-1] and text[0] in "\"'"
    name = text[1:-1] if quoted else text
    if not name:
        raise InputError("expected the name of a file after it")
    return user_path(name)


def _count(conversation: Conversation) -> str:
    return counted(len(conversation.messages), "message")


@final
@dataclass(frozen=True)
class _Kind:
    names: tuple[str, ...]
    usage: str
    help: str
    run: Callable[[Conversation, str], Turn | None]


_KINDS = (
    _Kind(("help", "?"), "", "this list", _help),
    _Kind(("system",), "[TEXT]", f"what the model is told first; {_NOTHING} is nothing", _system),
    _Kind(("set",), "[NAME VALUE]", "how it answers, such as /set temperature 0.7", _set),
    _Kind(("retry",), "", "ask the last question again", _retry),
    _Kind(("continue",), "", "go on with an answer that was cut or stopped", _continue),
    _Kind(("save",), "FILE", "write the conversation, as JSON", _save),
    _Kind(("load",), "FILE", "go on with a conversation that was saved", _load),
    _Kind(("clear", "new"), "", "forget the conversation but for the system message", _clear),
    _Kind(("stats",), "", "tokens and speed of the last answer", _stats),
    _Kind(_LEAVING, "", "leave", _leave),
)
_ORDERS: Mapping[str, _Kind] = MappingProxyType({n: kind for kind in _KINDS for n in kind.names})
