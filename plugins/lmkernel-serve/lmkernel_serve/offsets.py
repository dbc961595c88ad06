"""Where tokens begin in the text of a prompt and its answer, in characters.

As in OpenAI's interface they count from the beginning of the prompt, whether the answer repeats it
or not.
"""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Callable, Container

__all__ = ["TextOffsets"]


@final
class TextOffsets:
    """The offsets of the tokens of one answer, which are asked for in their order.

    Args:
        prompt: the text of its prompt.
        token_bytes: gives the bytes that a token stands for.
        special: the ids of tokens that are no part of a text.
    """

    def __init__(
        self, prompt: str, token_bytes: Callable[[int], bytes], special: Container[int]
    ) -> None:
        self._prompt, self._token_bytes, self._special = prompt, token_bytes, special
        self._of_prompt, self._of_answer = 0, len(prompt)
        self._prompt_text = codecs.getincrementaldecoder("utf-8")("replace")
        self._answer_text = codecs.getincrementaldecoder("utf-8")("replace")

    def of_prompt(self, token: int) -> int:
        """Of the prompt's next token; one that is not written in the text takes none of it."""
        offset, own = self._of_prompt, self._token_bytes(token)
        if token in self._special:
            written = self._prompt.startswith(own.decode(errors="replace"), offset)
            own = own if written else b""
        elif offset == 0 and not self._prompt.startswith(" "):
            own = own.removeprefix(b" ")  # which the tokenizer has put there
        self._of_prompt += len(self._prompt_text.decode(own))
        return offset

    def of_answer(self, token: int) -> int:
        """Of the answer's next token; special ones are no part of its text."""
        offset = self._of_answer
        own = b"" if token in self._special else self._token_bytes(token)
        self._of_answer += len(self._answer_text.decode(own))
        return offset
