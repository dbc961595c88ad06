"""What a long piece of work says of itself: bars on a terminal, plain lines elsewhere."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, TextIO, final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Progress"]


@final
class Progress:
    """Reports on one stream.

    Args:
        stream: usually standard error; None keeps silent.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream

    @property
    def live(self) -> bool:
        """Whether somebody is watching: the stream is a terminal."""
        return self._stream is not None and self._stream.isatty()

    @property
    def stream(self) -> TextIO | None:
        """Where lines go."""
        return self._stream

    def say(self, line: str) -> None:
        """One line."""
        if self._stream is not None:
            print(line, file=self._stream, flush=True)

    @contextmanager
    def bar(self, what: str, total: int, unit: str = "B") -> Iterator[Callable[[int], None]]:
        """A bar, or one line where nobody watches.

        Args:
            what: what is being done, in a few words.
            total: how much there is to do, in ``unit``.
            unit: bytes by default, shown with the prefixes of the SI.

        Yields:
            a function to be called with how much was done since the last call.
        """
        if not self.live:
            self.say(what)
            yield lambda _: None
            return
        from tqdm import tqdm

        with tqdm(total=total, desc=what, unit=unit, unit_scale=True, file=self._stream) as shown:
            yield shown.update
