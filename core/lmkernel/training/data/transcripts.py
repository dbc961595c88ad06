"""Sounds and what is spoken in them, for a model that spells (Graves et al. 2006)."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.errors import InputError
from lmkernel.files import is_folder
from lmkernel.paths import user_path
from lmkernel.speech.sound_files import read_sound
from lmkernel.speech.spelling import best_path
from lmkernel.training.data.batches import Batch, MeasuredBatches
from lmkernel.training.data.order import digest_of
from lmkernel.training.data.ragged import Ragged

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from lmkernel.speech.waves import WaveSettings
    from lmkernel.tokenizers import Tokenizer
    from lmkernel.training.data.rows import Row

__all__ = ["SpokenExample", "SpokenRows", "spoken_examples"]

_SECONDS = 30
"""The longest sound that is learnt from, whose activations are in memory at once."""
_PARTS = 32
"""Lengths are multiples of so many parts of a second for each of a token's ``multiple``."""


@final
@dataclass(frozen=True, slots=True)
class SpokenExample:
    """One example.

    Args:
        samples: float32, as the model takes them.
        ids: the letters that are spoken.
        where: it comes from.
    """

    samples: NDArray[np.float32]
    ids: Sequence[int]
    where: str


@final
class SpokenRows(MeasuredBatches):
    """A row for each example, as long as the longest of its batch, rounded up.

    ``inputs`` ``(batch, time, 1)`` are samples, 0 at padding, and ``positions`` ``(batch, time)``
    theirs, -1 at padding; ``targets`` ``(batch, letters)`` are -1 behind the last letter.

    Args:
        examples: from `spoken_examples`.
        tokenizer: of the letters, for what is measured.
        hearing: how the model hears.
        batch: rows of a batch.
        seed: of the shuffle.
        shuffle: whether rows come in another order each epoch.
        multiple: of which the number of letters is, and lengths are in shares of a second.
    """

    def __init__(
        self,
        examples: Sequence[SpokenExample],
        tokenizer: Tokenizer,
        hearing: WaveSettings,
        *,
        batch: int,
        seed: int = 0,
        shuffle: bool = True,
        multiple: int = 8,
    ) -> None:
        longest = _SECONDS * hearing.rate
        super().__init__(
            len(examples),
            context=longest,
            batch=batch,
            seed=seed,
            shuffle=shuffle,
            multiple=max(multiple * hearing.rate // _PARTS, 1),
        )
        self._samples = [example.samples for example in examples]
        self._lengths = np.array([len(one) for one in self._samples], np.int64)
        self._letters = Ragged(example.ids for example in examples)
        self._tokenizer, self._step = tokenizer, multiple

    def at(self, index: int) -> Batch:
        """``inputs``, ``positions`` and ``targets``."""
        rows, real, _ = self._order.at(index)
        positions = self._positions(self._lengths[rows])
        inputs = np.zeros((*positions.shape, 1), np.float32)
        for line, number in zip(inputs, rows, strict=True):
            line[: self._lengths[number], 0] = self._samples[int(number)]
        most = -(-int(self._letters.lengths[rows].max()) // self._step) * self._step
        targets = self._letters.pad_rows(rows, most, -1)
        targets[real:] = -1
        return {"inputs": inputs, "positions": positions, "targets": targets}

    def scores(self, outputs: Iterable[tuple[Batch, NDArray[Any]]]) -> dict[str, float]:
        """``wer``, the word error rate of the best path in percent, where jiwer is there."""
        if find_spec("jiwer") is None:
            return {}
        from lmkernel.rewriting.scores import score_texts

        blank = self._tokenizer.pad_id or 0
        heard: list[str] = []
        right: list[str] = []
        for batch, output in outputs:
            for targets, row in zip(batch["targets"], output, strict=True):
                if (targets >= 0).any():
                    path = [one.token for one in best_path(row, blank)]
                    said = targets[targets >= 0].tolist()
                    heard.append(self._tokenizer.decode(path, skip_special=False))
                    right.append(self._tokenizer.decode(said, skip_special=False))
        return {"wer": score_texts(heard, right, ["wer"])["wer"]}

    @property
    def digest(self) -> str:
        """Of examples and order; not of the padding, which backends choose."""
        parts = (*self._letters.parts(), *self._samples)
        return digest_of("transcripts", *parts, self._order.parts)


def spoken_examples(
    rows: Iterable[Row],
    tokenizer: Tokenizer,
    hearing: WaveSettings,
    *,
    folder: str,
    sound: str = "sound",
    text: str = "text",
) -> Iterator[SpokenExample]:
    """One example for each row.

    Args:
        rows: with the columns.
        tokenizer: of the letters.
        hearing: how the model hears.
        folder: which relative paths of sounds are in, or a file in it.
        sound: name of the column of files.
        text: name of that of what is spoken.

    Raises:
        InputError: names the row whose sound cannot be read, is too long or too short for its
            letters, or whose text is empty or has letters that the model has not.
    """
    base = Path(folder)
    base = base if is_folder(base) else base.parent
    for row in rows:
        file = base / user_path(row.text(sound), InputError)
        try:
            samples = _samples(file, hearing)
            ids = tokenizer.encode(row.text(text))
            _check_letters(ids, row.text(text), tokenizer)
        except InputError as error:
            raise InputError(f"{row.where}: {error}") from error
        _check(samples, ids, hearing, row, text)
        yield SpokenExample(samples, ids, row.where)


def _samples(file: Path, hearing: WaveSettings) -> NDArray[np.float32]:
    """The sound in a file as the model takes it. A long one is refused before it is decoded."""
    found = read_sound(file)
    if found.seconds > _SECONDS:
        raise InputError(f"expected a sound of at most {_SECONDS} s, got {found.seconds:.1f} s")
    return hearing.samples(found)


def _check_letters(ids: Sequence[int], said: str, tokenizer: Tokenizer) -> None:
    """Refuse letters that would be learned as the token for what the vocabulary lacks."""
    unknown = None if tokenizer.unknown is None else tokenizer.token_id(tokenizer.unknown)
    if unknown in ids:
        other = next((x for x in said if unknown in tokenizer.encode(x)), said)
        raise InputError(f"expected letters of the vocabulary, got {other!r:.40} in {said!r:.60}")


def _check(
    samples: NDArray[np.float32], ids: Sequence[int], hearing: WaveSettings, row: Row, text: str
) -> None:
    if not ids:
        raise InputError(f"{row.where}: expected what is spoken in the column {text!r}, got none")
    # a letter that is said twice running has a blank between
    needed = len(ids) + sum(a == b for a, b in itertools.pairwise(ids))
    steps = hearing.waves.count(len(samples))
    if steps < needed:
        raise InputError(
            f"{row.where}: expected a sound of at least {needed} steps, which its {len(ids)} "
            f"letters need, got {steps}"
        )
