"""What stands in a prompt for a picture: the token of its vectors, and tokens around them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

__all__ = ["PictureTokens"]


@final
@dataclass(frozen=True, kw_only=True)
class PictureTokens:
    """The tokens of one family; without any, a picture is its vectors alone.

    Args:
        around: what stands before each tile, and after the last.
        whole: what says that the whole picture follows.
        tile: what says which tile follows; two ``{}`` for its row and column, from 1.
    """

    around: str = ""
    whole: str = ""
    tile: str = ""

    def text(self, vectors: str, rows: int, columns: int) -> str:
        """What stands for a picture.

        Args:
            vectors: the tokens of one tile's vectors.
            rows: of tiles, before the whole picture; 0 for none.
            columns: of tiles.
        """
        lines = [
            "".join(
                f"{self.around}{self.tile.format(row, column)}{vectors}"
                for column in range(1, columns + 1)
            )
            + "\n"
            for row in range(1, rows + 1)
        ]
        between = "\n" if rows else ""
        return f"{''.join(lines)}{between}{self.around}{self.whole}{vectors}{self.around}"
