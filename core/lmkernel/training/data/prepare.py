"""From settings and a tokenizer to what a run trains and validates on.

Documents are read as token shards from the cache, rows into memory. Training batches are shuffled,
those of validation come in order.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Self, final

from lmkernel.config.check import positive
from lmkernel.errors import ConfigError, InputError
from lmkernel.training.data.classification import label_names
from lmkernel.training.data.readers import open_rows
from lmkernel.training.data.rows import Documents
from lmkernel.training.data.shard_writer import token_shards
from lmkernel.training.data.split import split_items, split_tokens
from lmkernel.training.data.tokens import Tokens
from lmkernel.training.objectives import find_objective

if TYPE_CHECKING:
    from lmkernel.origin import Origin
    from lmkernel.progress import Progress
    from lmkernel.tokenizers import Tokenizer
    from lmkernel.training.data.batches import Batches
    from lmkernel.training.data.rows import Row, Rows
    from lmkernel.training.data.shards import Shards
    from lmkernel.training.objectives import Objective
    from lmkernel.training.run.settings import DataSettings, RunSettings

    Data = Tokens | list[Row]

__all__ = ["Preparation", "RunData"]

_LONGEST = 512
"""Most positions of an example unless more are asked for."""
_MULTIPLE, _COMPILED_MULTIPLE = 8, 64
"""Of which lengths of padded rows are: each one is compiled once where a backend compiles."""


@final
@dataclass(frozen=True, kw_only=True)
class RunData:
    """What a run trains and validates on.

    Args:
        training: shuffled, each epoch in another order.
        validation: in order; one epoch is all of it.
        labels: names of the classes, for classification.
        validation_bytes: bytes of UTF-8 of the validation documents, for bits per byte; 0 where
            the loss is not that of every token.
    """

    training: Batches
    validation: Batches
    labels: tuple[str, ...] = ()
    validation_bytes: int = 0


@final
@dataclass(frozen=True, kw_only=True)
class Preparation:
    """How data are made from settings.

    Args:
        data: which, and how they are cut; its ``context`` is not 0.
        batch: rows of a batch.
        seed: of what is held out, of the shuffle, and of masking.
        multiple: of which the lengths of rows are, where rows are padded. A compiled backend
            compiles once for each length; with ``multiple`` equal to ``context`` there is one.
        tokenizer: of the model.
        vocab: tokens that the model knows; no token may be above.
        labels: names of the classes in their order, if the model has them; else they are those of
            the data.
        start: the token that a decoder begins with; by default the tokenizer's first of
            ``bos_token``, ``pad_token`` and what ends a text.
        progress: shows long work.
    """

    data: DataSettings
    batch: int
    seed: int = 0
    multiple: int = 64
    tokenizer: Tokenizer
    vocab: int
    labels: tuple[str, ...] = ()
    start: int | None = None
    progress: Progress | None = None

    def __post_init__(self) -> None:
        positive(self, "batch", "multiple")

    @classmethod
    def of(
        cls, settings: RunSettings, origin: Origin, progress: Progress, *, compiled: bool
    ) -> Self:
        """The preparation that a run's settings ask for.

        Args:
            settings: of the run.
            origin: its model.
            progress: shows long work.
            compiled: whether the backend compiles each shape, so that there should be few.

        Raises:
            ConfigError: longer examples than the model has positions for.
        """
        data, training, context = settings.data, settings.training, origin.config.context
        if context and data.context > context:
            raise ConfigError(
                f"data.context: expected at most the model's context of {context}, "
                f"got {data.context}"
            )
        return cls(
            data=replace(data, context=data.context or min(context or _LONGEST, _LONGEST)),
            batch=training.batch,
            seed=training.seed,
            multiple=_COMPILED_MULTIPLE if compiled else _MULTIPLE,
            tokenizer=origin.tokenizer,
            vocab=origin.config.embedding.vocab,
            labels=origin.labels if find_objective(settings.objective).needs_labels else (),
            progress=progress,
        )

    def column(self, name: str) -> str:
        """What the data call a column."""
        return self.data.columns.get(name, name)

    def split(self, objective: str) -> RunData:
        """Training and validation batches of one of `OBJECTIVES`.

        Raises:
            UnknownNameError: another objective.
            InputError: whatever is wrong with the data; names file and line.
        """
        wanted = find_objective(objective)
        asked = self._with_labels(wanted)
        training, validation = self._sides(wanted)
        return RunData(
            training=wanted.batches(asked, training, shuffle=True),
            validation=wanted.batches(asked, validation, shuffle=False),
            labels=asked.labels,
            validation_bytes=_text_bytes(wanted, validation),
        )

    def whole(self, objective: str) -> RunData:
        """All data of ``train`` in order, as both sides, to evaluate on.

        Raises:
            UnknownNameError: another objective.
            InputError: whatever is wrong with the data; names file and line.
        """
        wanted = find_objective(objective)
        asked = self._with_labels(wanted)
        data = self._read(wanted, self.data.train)
        batches = wanted.batches(asked, data, shuffle=False)
        return RunData(
            training=batches,
            validation=batches,
            labels=asked.labels,
            validation_bytes=_text_bytes(wanted, data),
        )

    def _with_labels(self, objective: Objective) -> Preparation:
        """With the names of the classes, where there are classes."""
        if self.labels or not objective.needs_labels:
            return self
        names = label_names(self._rows(self.data.train), self.column("label"))
        return replace(self, labels=names)

    def _sides(self, objective: Objective) -> tuple[Data, Data]:
        """Training and validation; without data of its own, validation is a share held out."""
        data = self.data
        if data.validation:
            return self._read(objective, data.train), self._read(objective, data.validation)
        if objective.reads == "documents":
            return split_tokens(self._shards(data.train), data.validation_share, self.seed)
        rows = list(self._rows(data.train))
        try:
            return split_items(rows, data.validation_share, self.seed)
        except InputError as error:
            raise InputError(f"{data.train}: {error}") from error

    def _read(self, objective: Objective, source: str) -> Data:
        if objective.reads == "documents":
            return self._shards(source).tokens()
        return list(self._rows(source))

    def _rows(self, source: str) -> Rows:
        return open_rows(source, blank_lines=self.data.blank_lines)

    def _shards(self, source: str) -> Shards:
        documents = Documents(self._rows(source), self.column("text"))
        return token_shards(documents, self.tokenizer, progress=self.progress)


def _text_bytes(objective: Objective, data: Data) -> int:
    return data.text_bytes if objective.every_token and isinstance(data, Tokens) else 0
