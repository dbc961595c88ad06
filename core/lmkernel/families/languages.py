"""How a model is told the language of a text, and the one that it shall write."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

__all__ = ["Languages"]


@final
@dataclass(frozen=True, kw_only=True)
class Languages:
    """What stands where for a pair of languages.

    Args:
        marks: the token of a language, with ``{}`` for its code, such as ``"__{}__"``; the first of
            these that the tokenizer has.
        source: where the source's token stands: ``"before"`` or ``"after"`` the text, or ``""``.
        target: where the target's does: ``"forced"`` as the first that is written, or ``"before"``
            the text.
        text: what is written before the text, with ``{source}`` and ``{target}``; or ``""``.
    """

    marks: tuple[str, ...] = ("{}",)
    source: str = ""
    target: str = ""
    text: str = ""
