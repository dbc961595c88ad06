"""What one request may ask for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

__all__ = ["Limits"]


@final
@dataclass(frozen=True)
class Limits:
    """What one request may ask for.

    Args:
        body: bytes of its body.
        seconds: until its answer is given up.
        form: bytes of a body with a sound.
        sound: seconds of that sound.
    """

    body: int = 4 << 20
    seconds: float = 600.0
    form: int = 25 << 20
    sound: float = 3600.0
