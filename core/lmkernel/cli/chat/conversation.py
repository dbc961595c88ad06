"""A conversation: its messages, what is asked next, and the file that keeps it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.atomic import write_whole
from lmkernel.cli.chat.server import ServedModel
from lmkernel.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lmkernel.cli.chat.server import ServerAnswer
    from lmkernel.generation import GenerationOptions, TextGeneration
    from lmkernel.language_model import LanguageModel, Message

__all__ = ["Conversation", "Turn", "read_messages"]

_SEEDS = 2**64


@final
@dataclass(frozen=True)
class Turn:
    """An answer that is about to be generated.

    Args:
        answer: the answer.
        before: the messages that it answers.
        begun: what it goes on with; empty for a new answer.
    """

    answer: TextGeneration | ServerAnswer
    before: tuple[Message, ...]
    begun: str = ""


@final
class Conversation:
    """Messages with a model; a turn changes them only when it is kept.

    Args:
        model: the model, which may be a server's.
        options: how it answers.
        messages: those to begin with, such as a system message.
        images: pictures before the first question, whatever that is.
    """

    def __init__(
        self,
        model: LanguageModel | ServedModel,
        options: GenerationOptions,
        messages: Sequence[Message] = (),
        images: Sequence[str] = (),
    ) -> None:
        self.model = model
        self.images = list(images)
        self.options = options
        self.messages = list(messages)
        self.last: TextGeneration | ServerAnswer | None = None
        self._again = 0

    @property
    def system(self) -> str:
        """What the model is told first, or nothing."""
        first = self.messages[:1]
        return first[0]["content"] if first and first[0]["role"] == "system" else ""

    @system.setter
    def system(self, text: str) -> None:
        rest = self.messages[bool(self.system) :]
        self.messages = [*([{"role": "system", "content": text}] if text else []), *rest]

    @property
    def goes_on(self) -> bool:
        """Whether an answer can be taken up where it ends."""
        return not isinstance(self.model, ServedModel)

    def clear(self) -> None:
        """Forget everything but the system message."""
        self.messages = self.messages[: bool(self.system)]

    def ask(self, text: str) -> Turn:
        """The answer to a new message."""
        self._again = 0
        return self._turn([*self.messages, {"role": "user", "content": text}])

    def retry(self) -> Turn:
        """Another answer to the last question, of other draws.

        Raises:
            InputError: there is no question.
        """
        asked = self.messages[:-1] if self._answered() else self.messages
        if not asked or asked[-1]["role"] != "user":
            raise InputError("there is no question yet that could be asked again")
        self._again += 1
        return self._turn(asked)

    def go_on(self) -> Turn:
        """The last answer, taken up where it ends.

        Raises:
            InputError: there is no answer, or it is a server's.
        """
        if isinstance(self.model, ServedModel):
            raise InputError("a server goes on with no answer; ask it for more, or /retry")
        if not self._answered():
            raise InputError("there is no answer yet that could go on")
        *asked, answer = self.messages
        begun = answer["content"].rstrip("\ufffd")  # a character that the cut went through
        more = self.model.chat(asked, self._options(), images=self.images, begun=begun)
        return Turn(more, tuple(asked), begun)

    def keep(self, turn: Turn) -> None:
        """Take a turn's answer, or as much as there is of it, into the conversation."""
        text = turn.begun + turn.answer.so_far
        self.messages = [*turn.before, {"role": "assistant", "content": text}]
        self.last = turn.answer

    def save(self, path: Path) -> None:
        """Write the messages as JSON; only another conversation is replaced.

        Raises:
            InputError: there is another kind of file, or it cannot be written.
        """
        if os.path.exists(path):  # noqa: PTH110 - which is no error for any name
            read_messages(path)
        text = json.dumps(self.messages, ensure_ascii=False, indent=2)
        write_whole(path, f"{text}\n".encode(), InputError)

    def _answered(self) -> bool:
        return bool(self.messages) and self.messages[-1]["role"] == "assistant"

    def _turn(self, asked: list[Message]) -> Turn:
        try:
            answer = self.model.chat(asked, self._options(), images=self.images)
            return Turn(answer, tuple(asked))
        except InputError as error:  # such as more tokens than the model's context
            raise InputError(
                f"{error}; nothing was lost, /new begins another conversation"
            ) from error

    def _options(self) -> GenerationOptions:
        return self.options.replace(seed=(self.options.seed + self._again) % _SEEDS)


def read_messages(path: Path) -> list[Message]:
    """The messages of a file that `Conversation.save` wrote, or of ``{"messages": […]}``.

    Raises:
        InputError: it cannot be read, or holds something else.
    """
    try:
        found = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: expected a conversation as JSON: {error}") from error
    if isinstance(found, dict):
        found = found.get("messages")
    if not isinstance(found, list) or not all(map(_is_message, found)):
        raise InputError(f'{path}: expected a list of messages {{"role": …, "content": …}}')
    return [{"role": one["role"], "content": one["content"]} for one in found]


def _is_message(one: Any) -> bool:
    return isinstance(one, dict) and all(isinstance(one.get(k), str) for k in ("role", "content"))
