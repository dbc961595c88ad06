"""From settings and a tokenizer to what a run trains and validates on.

Documents are read as token shards from the cache, rows into memory. Training batches are shuffled,
those of validation come in order.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self, final

from lmkernel.config.check import positive
from lmkernel.errors import ConfigError, InputError
from lmkernel.generation.checkpoint import decoder_start
from lmkernel.speech.waves import WaveSettings
from lmkernel.training.data.openings import opening_ids
from lmkernel.training.data.readers import is_built_in, open_rows
from lmkernel.training.data.rows import Documents, UnusedColumns
from lmkernel.training.data.shard_writer import token_shards
from lmkernel.training.data.split import split_items, split_tokens
from lmkernel.training.data.tokens import Tokens
from lmkernel.training.objectives import find_objective

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lmkernel.origin import Origin
    from lmkernel.progress import Progress
    from lmkernel.tokenizers import Tokenizer
    from lmkernel.training.data.batches import Batches
    from lmkernel.training.data.rows import Rows
    from lmkernel.training.data.shards import Shards
    from lmkernel.training.objectives import Objective
    from lmkernel.training.run.settings import DataSettings, RunSettings

    Data = Tokens | list[list[Any]]

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
        target_vocab: those that it may say, where it knows others.
        start: the token that a decoder begins with; by default the tokenizer's first of
            ``bos_token``, ``pad_token`` and what ends a text.
        plain: whether nothing need stand around a text, as of a decoder.
        hearing: how the model hears, if it spells what is spoken.
        progress: shows long work.
    """

    data: DataSettings
    batch: int
    seed: int = 0
    multiple: int = 64
    tokenizer: Tokenizer
    vocab: int
    labels: tuple[str, ...] = ()
    target_vocab: int | None = None
    start: int | None = None
    plain: bool = False
    hearing: WaveSettings | None = None
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
        target = origin.config.target_embedding
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
            target_vocab=target.vocab if target else None,
            start=decoder_start(origin) if target else None,
            plain=origin.config.encoder is None,
            hearing=WaveSettings.of(origin) if origin.config.embedding.waves else None,
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
        rows = self._open(self.data.train)
        asked = self._with_labels(wanted, rows)
        return asked._made(wanted, *asked._sides(wanted, rows))  # noqa: SLF001 - of its own class

    def whole(self, objective: str) -> RunData:
        """All data of ``train`` in order, as both sides, to evaluate on.

        Raises:
            UnknownNameError: another objective.
            InputError: whatever is wrong with the data; names file and line.
        """
        wanted = find_objective(objective)
        rows = self._open(self.data.train)
        asked = self._with_labels(wanted, rows)
        data = asked._read(wanted, rows)  # noqa: SLF001 - of its own class
        return asked._made(wanted, data, data, shuffle=False)  # noqa: SLF001 - the same

    def _made(
        self, objective: Objective, training: Data, validation: Data, *, shuffle: bool = True
    ) -> RunData:
        held_out = self.data.validation or self.data.train
        return RunData(
            training=self._batches(objective, training, self.data.train, shuffle=shuffle),
            validation=self._batches(objective, validation, held_out, shuffle=False),
            labels=self.labels,
            validation_bytes=_text_bytes(objective, validation),
        )

    def _batches(self, objective: Objective, data: Data, source: str, *, shuffle: bool) -> Batches:
        """Those of tokens, or of the examples of rows, which say themselves where they are from."""
        if isinstance(data, Tokens):
            with _naming(source):
                return objective.batches(self, data, shuffle=shuffle)
        return objective.batches(self, [one for row in data for one in row], shuffle=shuffle)

    def _with_labels(self, objective: Objective, rows: Rows) -> Preparation:
        """With the names of the classes, where there are classes."""
        if self.labels or not objective.needs_labels:
            return self
        return replace(self, labels=objective.names(self, rows))

    def _sides(self, objective: Objective, rows: Rows) -> tuple[Data, Data]:
        """Training and validation; without data of its own, validation is a share held out.

        All examples are made first and held out then, so that the first row that is wrong is the
        one that is named.
        """
        data = self.data
        if data.validation:
            others = self._open(data.validation)
            return self._read(objective, rows), self._read(objective, others)
        share = data.validation_share
        if objective.reads == "documents":
            shards = self._shards(objective, rows)
            with _naming(data.train):
                return split_tokens(shards, share, self.seed)
        examples = self._examples(objective, rows)
        with _naming(data.train):
            return split_items(examples, share, self.seed)

    def _read(self, objective: Objective, rows: Rows) -> Data:
        if objective.reads == "documents":
            return self._shards(objective, rows).tokens()
        return self._examples(objective, rows)

    def _open(self, source: str) -> Rows:
        rows = open_rows(source, blank_lines=self.data.blank_lines)
        for note in rows.notes:
            self._note(note)
        return rows

    def _examples(self, objective: Objective, rows: Rows) -> list[list[Any]]:
        """Those of each row."""
        unused = UnusedColumns()
        made = list(objective.examples(self, rows, unused))
        self._say_unused(rows, unused)
        return made

    def _shards(self, objective: Objective, rows: Rows) -> Shards:
        """Documents as they stand, or each after what stands before a text."""
        begin = opening_ids(self.tokenizer) if objective.every_token else ()
        unused = UnusedColumns()
        documents = Documents(rows, self.column("text"), unused)
        made = token_shards(documents, self.tokenizer, begin=begin, progress=self.progress)
        self._say_unused(rows, unused)
        return made

    def _say_unused(self, rows: Rows, unused: UnusedColumns) -> None:
        if str(unused) and not is_built_in(rows.name):
            self._note(f"{rows.name}: columns that are not used: {unused}")

    def _note(self, line: str) -> None:
        if self.progress is not None:
            self.progress.note(line)


@contextlib.contextmanager
def _naming(source: str) -> Iterator[None]:
    """Whatever is wrong with data as a whole is said with their name."""
    try:
        yield
    except InputError as error:
        raise InputError(f"{source}: {error}") from error


def _text_bytes(objective: Objective, data: Data) -> int:
    return data.text_bytes if objective.every_token and isinstance(data, Tokens) else 0
