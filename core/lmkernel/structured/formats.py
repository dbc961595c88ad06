"""How models write calls of functions."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from lmkernel.errors import InputError

if TYPE_CHECKING:
    from lmkernel.tokenizers.tokenizer import Tokenizer

__all__ = ["HERMES", "LLAMA", "MISTRAL", "MISTRAL_ARGS", "CallFormat", "call_format"]


@final
@dataclass(frozen=True)
class CallFormat:
    """The text of calls: ``opening``, the calls with ``separator`` between, ``closing``.

    A call is ``before``, the function's name, ``between``, its arguments as JSON, and ``after``.

    Args:
        marker: what the first call begins with, and no other text holds; empty where an answer is
            either calls or a text that does not begin as they do.
        opening: after the marker.
        before: of each call.
        between: between name and arguments.
        after: of each call.
        separator: between two calls.
        closing: after the last.
    """

    marker: str
    opening: str
    before: str
    between: str
    after: str
    separator: str
    closing: str = ""

    def shown_ids(self, tokenizer: Tokenizer) -> frozenset[int]:
        """The special tokens that are part of the format, so that a text must show them."""
        literals = self.marker + self.between + self.separator
        ids = tokenizer.encode(literals, special_tokens=False)
        return tokenizer.special_ids & frozenset(ids)


HERMES = CallFormat(
    marker="<tool_call>",
    opening="\n",
    before='{"name": "',
    between='", "arguments": ',
    after="}\n</tool_call>",
    separator="\n<tool_call>\n",
)
"""Hermes, Qwen and many after them."""
LLAMA = CallFormat(
    marker="",
    opening="",
    before='{"name": "',
    between='", "parameters": ',
    after="}",
    separator="; ",
)
"""Llama 3.1 to 3.3."""
MISTRAL = CallFormat(
    marker="[TOOL_CALLS]",
    opening="[",
    before='{"name": "',
    between='", "arguments": ',
    after="}",
    separator=", ",
    closing="]",
)
"""Mistral's first tokenizers."""
MISTRAL_ARGS = CallFormat(
    marker="[TOOL_CALLS]",
    opening="",
    before="",
    between="[ARGS]",
    after="",
    separator="[TOOL_CALLS]",
)
"""Mistral's since 2025."""


def call_format(template: str) -> CallFormat:
    """The format that a chat template asks its model for.

    Args:
        template: the source. One that knows no tools is that of a model that is told of them in
            words, which ask for Hermes's format.

    Raises:
        InputError: the template has tools in another format.
    """
    if "tools" not in template:
        return HERMES
    if "[TOOL_CALLS]" in template:
        if "[ARGS]" in template and "[CALL_ID]" not in template:
            return MISTRAL_ARGS
        if "[ARGS]" not in template:
            spaced = "[TOOL_CALLS] [" in template
            return dataclasses.replace(MISTRAL, opening=" [") if spaced else MISTRAL
    elif "<tool_call>" in template and not any(w in template for w in ("<function=", "<arg_key>")):
        return HERMES
    elif '"parameters": ' in template and "<tool_call>" not in template:
        return LLAMA
    raise InputError(
        "tools: the model's chat template asks for calls in a format that is not known here; "
        "known are those of Hermes and Qwen, Llama 3, and Mistral"
    )
