"""Reading the header of a binary file, each claim of which is compared with the file's size."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Cursor"]


@final
class Cursor:
    """A position in a file that never moves past its end.

    Args:
        path: the file, for messages.
        data: its bytes, (size,), mapped.
    """

    def __init__(self, path: Path, data: NDArray[np.uint8]) -> None:
        self.path = path
        self.at = 0
        self.size = len(data)
        self._bytes = data.data

    def peek(self, count: int) -> memoryview:
        """The next ``count`` bytes, or what is left of them; the position stays."""
        return self._bytes[self.at : self.at + count]

    def take(self, count: int, what: str) -> memoryview:
        """The next ``count`` bytes."""
        self.expect(count, what)
        self.at += count
        return self._bytes[self.at - count : self.at]

    def expect(self, count: int, what: str) -> None:
        """Refuse a claim of more bytes than are left."""
        if count > self.size - self.at:
            raise self.error(
                f"{what} needs {count} bytes at byte {self.at} and the file ends at {self.size}; "
                "it is truncated or corrupt"
            )

    def number(self, code: str, what: str) -> Any:
        """The next scalar, little endian."""
        return struct.unpack(f"<{code}", self.take(struct.calcsize(f"<{code}"), what))[0]

    def string(self, what: str) -> str:
        """The next string: its length in 8 bytes, then UTF-8."""
        raw = self.take(self.number("Q", what), what)
        try:
            return str(raw, "utf-8")
        except UnicodeDecodeError as error:
            raise self.error(f"{what} is not UTF-8: {error.reason}") from error

    def error(self, text: str) -> CheckpointError:
        """An error that names the file."""
        return CheckpointError(f"{self.path}: {text}")
