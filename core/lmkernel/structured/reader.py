"""Calls in an answer's text, told apart as it comes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from lmkernel.tokenizers.stream import overlap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmkernel.structured.formats import CallFormat

__all__ = ["CallReader", "Part"]


@final
@dataclass(frozen=True)
class Part:
    """More of an answer.

    Args:
        text: of the answer itself, or of the arguments of a call.
        call: the number of the call, from 0; -1 for the answer's own text.
        name: the function, where its call begins.
        thought: whether the model thinks this and does not answer it.
    """

    text: str = ""
    call: int = -1
    name: str = ""
    thought: bool = False


@final
class CallReader:
    """Reads one answer that keeps to the grammar of `call_grammar`.

    White space before a call is no text. What does not go on as a call does is text.

    Args:
        form: how calls are written.
    """

    def __init__(self, form: CallFormat) -> None:
        self._form = form
        self._begin = form.marker or form.before
        self._held = ""
        self._depth = 0
        self._quoted = self._escaped = False
        self._any = False
        self._state: Callable[[], Iterator[Part]] = self._text
        self.calls = 0
        """How many calls have begun."""

    def push(self, text: str) -> list[Part]:
        """The parts that are certain with more text."""
        self._held += text
        parts: list[Part] = []
        while True:
            state = self._state
            parts += [part for part in state() if part.text or part.name]
            if state == self._state:
                return parts

    def finish(self) -> list[Part]:
        """What was held back, at the end of the answer."""
        rest, self._held = self._held, ""
        if self._state == self._text:
            return [Part(rest)] if rest else []
        if self._state == self._head and not self.calls:
            return [Part(self._begin + rest if self._form.marker else rest)]
        return []

    def _text(self) -> Iterator[Part]:
        """Before the first call."""
        held, begin = self._held, self._begin
        at = held.find(begin)
        if at >= 0 and (self._form.marker or (at == 0 and not self._any)):
            yield Part(held[:at].rstrip())
            self._held = held[at + len(self._form.marker) :]
            self._state = self._head
            return
        keep = overlap(held, [begin]) if self._form.marker or not self._any else 0
        if not self._form.marker and keep < len(held):
            keep = 0  # it did not begin as a call does
        ready = held[: len(held) - keep].rstrip()
        if ready:
            self._any = True
            yield Part(ready)
        self._held = held[len(ready) :]

    def _head(self) -> Iterator[Part]:
        """What stands before the arguments."""
        head, found, rest = self._held.partition(self._form.between)
        if not found:
            return
        before = self._form.before
        name = head[head.rfind(before) + len(before) :] if before else head
        yield Part(call=self.calls, name=name)
        self.calls += 1
        self._held = rest
        self._state = self._arguments

    def _arguments(self) -> Iterator[Part]:
        """A value of JSON, which ends where its first bracket is closed."""
        end = next((at + 1 for at, one in enumerate(self._held) if self._closes(one)), None)
        text = self._held[:end]
        self._held = "" if end is None else self._held[end:]
        if end is not None:
            self._state = self._after
        yield Part(text, call=self.calls - 1)

    def _closes(self, character: str) -> bool:
        if self._quoted:
            self._quoted = self._escaped or character != '"'
            self._escaped = character == "\\" and not self._escaped
            return False
        self._quoted = character == '"'
        self._depth += (character in "{[") - (character in "}]")
        return character in "}]" and self._depth == 0

    def _after(self) -> Iterator[Part]:
        """After a call: another, or the end."""
        before, found, rest = self._held.partition(self._form.after + self._form.separator)
        if found and not before:
            self._held = rest
            self._state = self._head
        yield from ()
