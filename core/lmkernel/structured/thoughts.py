"""What a model thinks before it answers, told apart from the answer as it comes."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from lmkernel.structured.reader import Part
from lmkernel.tokenizers.stream import overlap

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["ThoughtReader", "template_thinks"]

_BEGIN, _END = "<think>", "</think>"
"""As Qwen, DeepSeek, SmolLM, GLM and many after them write it."""


def template_thinks(template: str) -> bool:
    """Whether a chat template is that of a model that thinks.

    Args:
        template: the source, which cuts thoughts out of earlier answers, or begins one.
    """
    return _END in template or _BEGIN in template


@final
class ThoughtReader:
    """Reads one answer: a thought at its very beginning, if there is one, then text.

    White space around a thought and its marks is part of neither.

    Args:
        prompt: the text that the answer follows; a template may have begun the thought in it.
    """

    def __init__(self, prompt: str) -> None:
        self._held = ""
        begun = prompt.rstrip().endswith(_BEGIN)
        self._state: Callable[[], Iterator[Part]] = self._margin if begun else self._before

    @property
    def thinking(self) -> bool:
        """Whether the answer has not begun yet, as far as is known."""
        return self._state != self._text

    def push(self, text: str) -> list[Part]:
        """The parts that are certain with more text."""
        self._held += text
        parts: list[Part] = []
        while True:
            state = self._state
            parts += [part for part in state() if part.text]
            if state == self._state:
                return parts

    def finish(self) -> list[Part]:
        """What was held back, at the end of the answer."""
        rest, self._held = self._held, ""
        if self._state == self._thought:
            return [Part(rest.rstrip(), thought=True)] if rest.strip() else []
        return [Part(rest)] if rest and self._state in {self._before, self._text} else []

    def _before(self) -> Iterator[Part]:
        """Where a thought may begin."""
        begun = self._held.lstrip()
        if begun.startswith(_BEGIN):
            self._held = begun.removeprefix(_BEGIN)
            self._state = self._margin
        elif not _BEGIN.startswith(begun):
            self._state = self._text
        yield from ()

    def _margin(self) -> Iterator[Part]:
        """The white space in front of a thought."""
        self._held = self._held.lstrip()
        if self._held:
            self._state = self._thought
        yield from ()

    def _thought(self) -> Iterator[Part]:
        """A thought, up to its end; white space is held back, for it may be the last of it."""
        said, ended, rest = self._held.partition(_END)
        if ended:
            yield Part(said.rstrip(), thought=True)
            self._held, self._state = rest, self._gap
            return
        ready = said[: len(said) - overlap(said, [_END])].rstrip()
        yield Part(ready, thought=True)
        self._held = said[len(ready) :]

    def _gap(self) -> Iterator[Part]:
        """The white space between thought and answer."""
        self._held = self._held.lstrip()
        if self._held:
            self._state = self._text
        yield from ()

    def _text(self) -> Iterator[Part]:
        """The answer."""
        rest, self._held = self._held, ""
        yield Part(rest)
