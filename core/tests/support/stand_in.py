"""A model that answers as it is told to, to converse with; a program of its own in a terminal.

Run as a program, it is ``lmkernel chat`` with such a model: it says what it was asked, writes the
messages to a file, and holds an answer where it is told to until another file is there.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from letters import TEMPLATE, letters

from lmkernel.generation import GenerationOptions, TextGeneration

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

__all__ = ["StandIn"]

HOLD = "hold"
"""A word in an answer before which it waits."""


@final
class StandIn:
    """What a conversation asks of a `LanguageModel`.

    Args:
        say: makes an answer of the messages.
        wait: called before the word ``hold`` of an answer.
    """

    def __init__(
        self, say: Callable[[Sequence[Any]], str], wait: Callable[[], None] = lambda: None
    ) -> None:
        self.tokenizer = letters(os.environ.get("STAND_IN_TEMPLATE", TEMPLATE))
        self.asked: list[Any] = []
        self.seeds: list[int] = []
        self.shown: list[str] = []
        self._say, self._wait = say, wait

    def chat(
        self,
        messages: Sequence[Any],
        options: GenerationOptions,
        *,
        images: Sequence[str] = (),
        begun: str = "",
    ) -> TextGeneration:
        """The answer that ``say`` makes of the messages, or what goes on after one begun."""
        self.shown = list(images)
        if begun:
            self.asked.append(self.tokenizer.chat(messages) + begun)
            return self._answer(" and more", options)
        self.asked.append(list(messages))
        return self._answer(self._say(messages), options)

    def _answer(self, text: str, options: GenerationOptions) -> TextGeneration:
        self.seeds.append(options.seed)
        ids, end = self.tokenizer.encode(text), self.tokenizer.eos_ids[0]

        def tokens() -> Iterator[tuple[int, float]]:
            for at, token in enumerate([*ids, end][: options.max_new_tokens]):
                if text[at:].startswith(HOLD):
                    self._wait()
                yield token, 0.0

        return TextGeneration(tokens(), self.tokenizer, end_ids=[end])


def main(folder: Path, arguments: list[str]) -> int:
    """Converse; ``asked.json`` in a folder has the messages, ``release`` ends an answer's wait."""
    from lmkernel.cli.chat import command
    from lmkernel.cli.main import main as run

    def say(messages: Sequence[Any]) -> str:
        log = folder / "asked.json"
        log.with_suffix(".part").write_text(json.dumps(list(messages)), "utf-8")
        log.with_suffix(".part").replace(log)
        return f"you said {messages[-1]['content']}"

    def wait() -> None:
        while not (folder / "release").exists():
            time.sleep(0.01)

    signal.signal(signal.SIGINT, signal.default_int_handler)  # also where it was ignored
    command.load = lambda _: StandIn(say, wait)  # type: ignore[assignment, return-value]  # stands in
    return run(["chat", *arguments])


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2:]))
