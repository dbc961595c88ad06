"""Rows with labels as examples of classes: ``[CLS] a [SEP]`` or ``[CLS] a [SEP] b [SEP]``."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.errors import InputError
from lmkernel.training.data.classified import ClassifiedExample

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lmkernel.tokenizers import Tokenizer
    from lmkernel.training.data.rows import Row

__all__ = ["classified_examples", "label_names"]


def label_names(rows: Iterable[Row], column: str = "label") -> tuple[str, ...]:
    """The distinct labels of rows, sorted: by value if all are whole numbers, else as texts.

    Raises:
        InputError: names the row whose label is neither a text nor a whole number.
    """
    names = {_label(row, column) for row in rows}
    numeric = all(name.removeprefix("-").isdecimal() for name in names)
    return tuple(sorted(names, key=lambda name: (int(name) if numeric else 0, name)))


def _label(row: Row, column: str) -> str:
    value = row.column(column)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise InputError(
            f"{row.where}: expected a text or a whole number in the column {column!r}, "
            f"got {value!r}"
        )
    return str(value)


def classified_examples(
    rows: Iterable[Row],
    tokenizer: Tokenizer,
    names: Sequence[str],
    *,
    context: int,
    truncate: bool = False,
    text: str = "text",
    second: str | None = None,
    label: str = "label",
) -> Iterator[ClassifiedExample]:
    """One example for each row; its class is the place of its label among ``names``.

    Args:
        rows: with the columns.
        tokenizer: with ``cls_token`` and ``sep_token``.
        names: of the classes, such as from `label_names` of the training rows.
        context: most tokens of an example.
        truncate: cut what is longer, of two texts the longer one first, at its end.
        text: name of the column of the first text.
        second: name of that of the second, if there is one.
        label: name of that of the label.

    Raises:
        InputError: names the row that is too long, lacks a column, or has a label outside
            ``names``.
    """
    classes = {name: number for number, name in enumerate(names)}
    cls, sep = tokenizer.special_id("cls_token"), tokenizer.special_id("sep_token")
    for row in rows:
        texts = tokenizer.encode_many([row.text(c) for c in (text, second) if c is not None])
        room = context - 1 - len(texts)
        if truncate:
            _cut(texts, room)
        if sum(map(len, texts)) > room:
            raise InputError(
                f"{row.where}: expected at most {context} tokens, the model's context, got "
                f"{sum(map(len, texts)) + context - room}; say truncate to cut it"
            )
        ids, segments = [cls], [0]
        for number, part in enumerate(texts):
            ids += [*part, sep]
            segments += [number] * (len(part) + 1)
        yield ClassifiedExample(ids, segments, _class(row, label, classes), row.where)


def _cut(texts: list[list[int]], room: int) -> None:
    """Shorten the longer text first (the reference's truncate_seq_pair), in one go."""
    if len(texts) == 1:
        del texts[0][max(room, 0) :]
        return
    first, second = texts
    half = max(room, 0) // 2
    keep = max(half + room % 2, room - len(second))
    del first[max(keep, 0) :]
    del second[max(room - len(first), 0) :]


def _class(row: Row, column: str, classes: dict[str, int]) -> int:
    name = _label(row, column)
    if name not in classes:
        raise InputError(
            f"{row.where}: expected one of the labels {', '.join(classes)} in the column "
            f"{column!r}, got {name!r}"
        )
    return classes[name]
