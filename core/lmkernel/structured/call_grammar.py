"""The grammar of answers that may call functions: a call's arguments always fit its schema."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from lmkernel.structured.grammar import json_rule

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lmkernel.structured.formats import CallFormat
    from lmkernel.structured.tools import Tool
    from lmkernel.tokenizers.tokenizer import Tokenizer

__all__ = ["call_grammar"]

_ANY = r"/(.|\n)*/"


def call_grammar(
    form: CallFormat,
    tools: Sequence[Tool],
    tokenizer: Tokenizer,
    *,
    required: bool = False,
    parallel: bool = True,
    answer: Mapping[str, Any] | None = None,
) -> str:
    """A grammar in llguidance's Lark.

    Args:
        form: how the model writes calls.
        tools: what it may call.
        tokenizer: of the model; what is a special token there is one in the grammar.
        required: whether it must call.
        parallel: whether it may call more than once.
        answer: the JSON schema of an answer that calls nothing; None for any text.

    Raises:
        InputError: a schema cannot be written as JSON.
    """

    def literal(text: str) -> str:
        return _literal(text, tokenizer)

    calls = [
        f"{literal(form.before + tool.name + form.between)} arguments_{at} {literal(form.after)}"
        for at, tool in enumerate(tools)
    ]
    more = f"({literal(form.separator)} call)*" if parallel else ""
    rules = [
        "%llguidance {}",
        f"calls: {literal(form.opening)} call {more} {literal(form.closing)}",
        f"call: {' | '.join(calls)}",
        *(
            f"arguments_{at}: {json_rule(_without_nameless(tool.parameters))}"
            for at, tool in enumerate(tools)
        ),
        f"TEXT: {_text(form, tokenizer)}",
    ]
    marked = f"{literal(form.marker)} calls"
    if required:
        rules.append(f"start: {marked}")
    elif answer is not None:
        rules += [f"start: {marked} | answer", f"answer: {json_rule(answer)}"]
    elif form.marker and literal(form.marker).startswith('"'):
        # one lexeme, so that the marker always ends a text
        rules += ["start: HEAD calls | TEXT", f"HEAD: TEXT {literal(form.marker)}"]
    elif form.marker:
        rules.append(f"start: TEXT {marked} | TEXT")
    else:
        rules.append("start: calls | TEXT")
    return "\n".join(rules) + "\n"


def _without_nameless(parameters: Mapping[str, Any]) -> dict[str, Any]:
    """The same without arguments that have no name, unless it says that they may be.

    JSON Schema allows them where nothing is said, and no function has them.
    """
    combined = {"allOf", "anyOf", "oneOf", "$ref", "if", "patternProperties"} & set(parameters)
    closed = {} if combined or not parameters.get("properties") else {"additionalProperties": False}
    return {**closed, **parameters}


def _text(form: CallFormat, tokenizer: Tokenizer) -> str:
    """Any text that holds no marker, or does not begin as a call does."""
    if not form.marker:
        return rf'{_ANY} & ~/\s*\{{\s*"name"(.|\n)*/'
    if not _literal(form.marker, tokenizer).startswith('"'):
        return _ANY
    return rf"{_ANY} & ~/(.|\n)*{re.escape(form.marker)}(.|\n)*/"


def _literal(text: str, tokenizer: Tokenizer) -> str:
    """A text as a part of a rule, with its special tokens as such."""
    special: dict[str, Any] = {
        tokenizer.decode([token], skip_special=False): token for token in tokenizer.special_ids
    }
    inside = [one for one in special if one and one in text]
    if not inside:
        return json.dumps(text) if text else ""
    pieces = re.split("(" + "|".join(map(re.escape, inside)) + ")", text)
    return " ".join(
        f"<[{special[piece]}]>" if piece in special else json.dumps(piece)
        for piece in pieces
        if piece
    )
