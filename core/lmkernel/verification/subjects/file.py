"""Answers that were written to a file, by whatever computed them.

``--write-prompts`` writes the rows to answer, a line of JSON each with ``name``, ``ids``,
``positions``, and ``target`` where a decoder is fed one. The answers are

- ``.npz`` or ``.safetensors``: for each row an array under its name, ``(time, vocab)``; activations
  under ``NAME/activation``, ids under ``NAME/ids`` if they are to be checked. A key
  ``NAME/log_probs`` or ``NAME/token_log_probs`` holds what it says in place of logits.
- ``.jsonl``: a line for each row with ``name`` and ``logits``, ``log_probs`` or
  ``token_log_probs``, and ``ids`` if they are to be checked;
- what ``llama-perplexity --kl-divergence-base`` writes (`subjects.kl_base`);
- a dump of llama.cpp's or MaxText's, which holds ids of its own (`subjects.dumps`): then those are
  the rows.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.checkpoints.safetensors import SafetensorsFile
from lmkernel.errors import CheckpointError, InputError, SubjectError
from lmkernel.paths import user_path
from lmkernel.verification.answers import KINDS, read_answer
from lmkernel.verification.subject import Answer, Subject
from lmkernel.verification.subjects.dumps import read_golden_line, read_llama_cpp
from lmkernel.verification.subjects.kl_base import KlBaseSubject, is_kl_base
from lmkernel.verification.subjects.npz import NpzFile
from lmkernel.verification.subjects.recorded import Stored, read_ids, read_values

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from lmkernel.checkpoints.tensors import Tensors
    from lmkernel.verification.sequences import Question
    from lmkernel.verification.subject import Opening

__all__ = ["open_file"]

_BATCHED = 3


def open_file(opening: Opening) -> Subject:
    """The subject that a file is, by what it begins with.

    Raises:
        InputError: it is not there.
    """
    path = user_path(opening.argument)
    if not path.is_file():
        raise InputError(f"subject 'file': expected file:PATH of a file, got {path}")
    return KlBaseSubject(opening, path) if is_kl_base(path) else FileSubject(path)


@final
class FileSubject(Subject):
    """``file:PATH``."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._own, self._rows = _read(path)

    @property
    def capabilities(self) -> frozenset[str]:
        """Whoever wrote the file was given the positions and targets."""
        return frozenset({"activations", "positions", "target"})

    def versions(self) -> Mapping[str, str]:
        """Which file it is."""
        with self._path.open("rb") as file:
            return {"SHA-256": hashlib.file_digest(file, "sha256").hexdigest()}

    def own_rows(self) -> list[list[int]]:
        """Those of a dump that another program has written."""
        return [row["ids"] for row in self._rows.values()] if self._own else []

    def answer(self, question: Question, *, activations: bool) -> Answer:
        del activations
        [row] = question.rows
        found = dict(self._rows.get(row.name, {}))
        if not found:
            there = ", ".join(sorted(self._rows)) or "none"
            raise SubjectError(f"{self._path}: no answer to the row {row.name!r}; there: {there}")
        ids = found.pop("ids", None)
        where = f"{self._path}, row {row.name!r}"
        if ids is not None and read_ids(ids, f"{where}: ids", len(row.ids)) != list(row.ids):
            raise SubjectError(f"{where}: the ids are not those asked for")
        values = {n: read_values(n, x, f"{where}: {n}", question) for n, x in found.items()}
        made = read_answer({name: x[None] for name, x in values.items()}, where)
        return _with_what_came_before(made, len(row.ids)) if self._own else made


def _with_what_came_before(answer: Answer, length: int) -> Answer:
    """An answer to the last position alone, as one that begins there."""
    values = answer.values
    if values.ndim != _BATCHED or values.shape[1] != 1:
        return answer
    whole = np.full((1, length, values.shape[-1]), np.nan, values.dtype)
    whole[:, -1:] = values
    return replace(answer, values=whole, first=length - 1)


def _read(path: Path) -> tuple[bool, dict[str, dict[str, Any]]]:
    """Whether the rows are the file's own, and what is there of each by name."""
    if path.suffix == ".jsonl":
        return _read_lines(path)
    if path.suffix == ".bin":
        return True, {"ids 1": read_llama_cpp(path)}
    rows: dict[str, dict[str, Any]] = {}
    tensors = _open_tensors(path)
    for key in tensors.names():
        name, _, part = key.partition("/")
        rows.setdefault(name, {})[part or "logits"] = Stored(tensors, key)
    return False, rows


def _open_tensors(path: Path) -> Tensors:
    try:
        if path.suffix == ".npz":
            return NpzFile(path)
        if path.suffix == ".safetensors":
            return SafetensorsFile(path)
    except (OSError, ValueError) as error:
        raise SubjectError(f"{path}: {error}") from error
    except CheckpointError as error:
        raise SubjectError(str(error)) from error
    raise InputError(f"{path}: expected .npz, .safetensors, .jsonl or .bin")


def _read_lines(path: Path) -> tuple[bool, dict[str, dict[str, Any]]]:
    rows: dict[str, dict[str, Any]] = {}
    kinds = set()
    for number, line in enumerate(_text(path).splitlines(), 1):
        try:
            values = json.loads(line)
            golden = "tokens" in values and "name" not in values
            kinds.add(golden)
            if golden:
                rows[f"ids {number}"] = read_golden_line(values, f"{path}, line {number}")
            else:
                rows[str(values["name"])] = {k: values[k] for k in (*KINDS, "ids") if k in values}
        except (ValueError, KeyError, TypeError) as error:
            raise SubjectError(f"{path}, line {number}: expected an object with a name") from error
        except RecursionError as error:
            raise SubjectError(
                f"{path}, line {number}: expected an object with a name, got one nested too deep"
            ) from error
    if len(kinds) > 1:
        raise SubjectError(f"{path}: expected lines with names or lines with tokens, got both")
    return True in kinds, rows


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise SubjectError(
            f"{path}: expected UTF-8, got {error.reason} at {error.start}"
        ) from error
