"""The words that a chat template marks as the assistant's, by ``{% generation %}``.

A template is given marks of its own in place of the tags' edges: characters that no text has.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lmkernel.errors import TemplateError

if TYPE_CHECKING:
    from lmkernel.tokenizers import Tokenizer

__all__ = ["marked", "take_spans"]

_FIRST, _END = "\ufdd0", "\ufdd1"  # noncharacters: Unicode keeps them out of texts
_TAG = re.compile(r"\{%([-+]?)\s*(end)?generation\s*([-+]?)%\}")
_MARK = re.compile(f"[{_FIRST}{_END}]")


def marked(tokenizer: Tokenizer) -> Tokenizer | None:
    """The tokenizer with templates that render the marks, or None where they have none."""
    templates = {name: _TAG.sub(_show, text) for name, text in tokenizer.templates.items()}
    return tokenizer.with_templates(templates) if templates != tokenizer.templates else None


def _show(tag: re.Match[str]) -> str:
    """The tag and a mark inside it; spaces are trimmed at the same edges as before."""
    left, end, right = tag.groups(default="")
    if end:
        return f"{{%{left} if true %}}{_END}{{% endif %}}{{% endgeneration {right}%}}"
    return f"{{%{left} generation %}}{{% if true %}}{_FIRST}{{% endif {right}%}}"


def take_spans(text: str) -> tuple[str, list[tuple[int, int]]]:
    """A rendered text without its marks, and the first and the end of what is between them.

    Raises:
        TemplateError: they do not alternate.
    """
    marks = list(_MARK.finditer(text))
    if [m[0] for m in marks] != [_FIRST, _END] * (len(marks) // 2):
        raise TemplateError("expected marks of the assistant's words that begin and end in turn")
    places = [mark.start() - number for number, mark in enumerate(marks)]
    return _MARK.sub("", text), list(zip(places[::2], places[1::2], strict=True))
