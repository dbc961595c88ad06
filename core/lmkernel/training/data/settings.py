"""Training data described: which, and how they are cut into batches."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, final

from lmkernel.config.check import one_of, positive, require
from lmkernel.training.objectives import COLUMNS, TURNS

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DataConfig"]


@final
@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Data of a training run.

    Args:
        source: what `open_rows` takes.
        validation: another, to validate on; without it, a share of ``source`` is held out.
        validation_share: of the documents or rows, by their tokens or number.
        context: most positions of a row.
        batch: rows.
        seed: of what is held out, of the shuffle, and of masking.
        multiple: of which the lengths of rows are, where rows are padded. A compiled backend
            compiles once for each length; with ``multiple`` equal to ``context`` there is one.
        truncate: cut examples that are too long; else they are refused.
        blank_lines: whether blank lines separate the documents of a text file.
        columns: other names for the columns ``text``, ``second`` (read if it is named here),
            ``label``, ``source`` and ``target``; and for ``messages``, ``prompt``,
            ``completion``, ``input``, ``system`` and ``tools``, which are known by several names.
        turns: which turns of the assistant are learned: ``"all"`` or the ``"last"`` one.
    """

    source: str
    validation: str | None = None
    validation_share: float = 0.1
    context: int
    batch: int
    seed: int = 0
    multiple: int = 64
    truncate: bool = False
    blank_lines: bool = False
    columns: Mapping[str, str] = field(default_factory=dict)
    turns: str = "all"

    def __post_init__(self) -> None:
        positive(self, "context", "batch", "multiple")
        require(self, "validation_share", "in (0, 1)", ok=0 < self.validation_share < 1)
        require(self, "seed", "0 or more", ok=self.seed >= 0)
        one_of(self, "turns", TURNS)
        known = set(self.columns) <= set(COLUMNS)
        require(self, "columns", "names for some of " + ", ".join(COLUMNS), ok=known)
        object.__setattr__(self, "columns", MappingProxyType(dict(self.columns)))

    def column(self, name: str) -> str:
        """What the data call a column."""
        return self.columns.get(name, name)
