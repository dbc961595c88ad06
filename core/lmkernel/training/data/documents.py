"""Documents: the texts of a column, gone through as often as needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel.training.data.rows import Rows

__all__ = ["Documents"]


@final
class Documents:
    """The texts of rows; empty ones hold nothing to learn and are passed over.

    Args:
        rows: from `open_rows`.
        column: where each row has its text.
    """

    def __init__(self, rows: Rows, column: str = "text") -> None:
        self._rows = rows
        self._column = column

    def __iter__(self) -> Iterator[str]:
        """From the first one.

        Raises:
            InputError: as reading the rows, or a row without that column.
        """
        for row in self._rows:
            if text := row.text(self._column):
                yield text
