"""What a model says of pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, final

from lmkernel.results import Line, Lines

__all__ = ["Caption", "Captions"]


@final
@dataclass(frozen=True)
class Caption(Line):
    """A picture in words.

    Args:
        picture: its path, or what else it is called.
        text: what the model says of it.
        finish_reason: ``"stop"``, or ``"length"`` where it was cut.
    """

    picture: str
    text: str
    finish_reason: str

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "picture": self.picture,
            "text": self.text,
            "finish_reason": self.finish_reason,
        }

    def cells(self) -> dict[str, str]:
        """Its row in a table."""
        return {"TEXT": self.text, "PICTURE": self.picture}


@final
class Captions(Lines[Caption]):
    """Several pictures in words, in their order."""
