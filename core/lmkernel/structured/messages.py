"""Refusals of a schema, in words of who wrote it."""

from __future__ import annotations

import re

from lmkernel.errors import InputError

__all__ = ["REFUSAL", "SchemaError", "telling_part"]

REFUSAL = "expected a schema that can be kept to"

_EXCERPT = re.compile(r"\n *\d+ [|] .*|\n *\d+: .*|<non-verbose/>", re.DOTALL)
"""Our own grammar around the schema, and a stack of the library's functions."""
_PLACE = re.compile(r'^at \d+\(\d+\): |failed to compile JSON schema: |failed to parse "%json": ')
_MARKS = re.compile(r"^[ ^]+$", re.MULTILINE)
_OWN_WORDS = (
    ("NoExtensionBias", "no text fits it"),
    ("Unable to determine if regex is empty", "it is too much work whether a string fits it"),
    ("Regex is empty", "no string fits its patterns and lengths"),
    ("recursion limit exceeded", "its values are nested too deep"),
    ("intersection stack level exceeded", "schemas that refer to themselves are combined in it"),
    ("initial lexer configuration (grammar) too big", "its words and patterns are too many"),
    ("fuel exhausted when checking relevance", "its alternatives are too many"),
    ("too many expressions constructed", "a pattern is too large to follow"),
)


class SchemaError(InputError):
    """A JSON schema that no answer can be kept to, or whose reading has no bounds."""


def telling_part(message: str) -> str:
    """What of a message of llguidance is about the schema, in one line."""
    for word, own in _OWN_WORDS:
        if word in message:
            return own
    shown = _EXCERPT.sub("", message)
    shown = _PLACE.sub("", _PLACE.sub("", shown))
    shown = _MARKS.sub("", shown).replace("\nerror: ", "\n")
    return ": ".join(line.strip(" :") for line in shown.splitlines() if line.strip(" :"))
