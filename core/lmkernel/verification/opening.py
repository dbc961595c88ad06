"""A subject by name: found in the registry, opened, and asked with its faults reported."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import (
    LmkernelError,
    MissingDependencyError,
    PluginError,
    SubjectError,
    UnknownNameError,
)
from lmkernel.plugins import BackendSpec, SubjectSpec, default_registry
from lmkernel.plugins.guard import plugin_code
from lmkernel.verification.answers import RowAnswer, take_apart, whole_numbers
from lmkernel.verification.arithmetic import check_arithmetic, dtype_of
from lmkernel.verification.subject import Opening, Subject
from lmkernel.verification.subjects.python import FunctionSubject

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from lmkernel.config import ModelConfig
    from lmkernel.verification.sequences import Question

__all__ = ["OpenSubject", "find_subject"]

OURS = "backend"
"""The subject that our own backends are."""


@final
@dataclass(frozen=True)
class SubjectName:
    """What was asked for.

    Args:
        text: what it is called.
        argument: what stands after a name and a colon.
        create: makes the subject.
    """

    text: str
    argument: str
    create: Callable[[Opening], Any]


def find_subject(asked: str | Callable[..., Any]) -> SubjectName:
    """The subject of a name, or of a function of ids.

    Args:
        asked: ``NAME`` or ``NAME:ARGUMENT``; a backend's name stands for ``backend:NAME``.

    Raises:
        UnknownNameError: nothing registers it; the closest name is suggested.
        MissingDependencyError: it needs what is not installed; the message says what to run.
    """
    if callable(asked):
        name = getattr(asked, "__qualname__", type(asked).__name__)
        return SubjectName(name, "", lambda opening: FunctionSubject(opening, asked, name))
    return _registered(asked)


def _registered(asked: object) -> SubjectName:
    """The subject that a name stands for."""
    registry = default_registry()
    backends, known = registry.all(BackendSpec), registry.all(SubjectSpec)
    if not isinstance(asked, str):
        raise UnknownNameError("subject", asked, {*known, *backends})
    name, _, argument = asked.partition(":")
    if name not in known and asked in backends:
        name, argument = OURS, asked
    if name not in known:
        raise UnknownNameError("subject", name, {*known, *backends})
    spec = registry.get(SubjectSpec, name)
    if missing := spec.missing():
        raise MissingDependencyError(
            f"subject {name!r} needs {', '.join(missing)}, which is not installed; "
            f"run: {spec.install or 'see the documentation of its plugin'}"
        )
    return SubjectName(asked, argument, spec.create)


@final
class OpenSubject:
    """A subject on one checkpoint; a context manager, which closes it.

    Args:
        name: which.
        checkpoint: the folder or file.
        config: the checkpoint's model.
        dtype: of the subject's computation, one of `arithmetic.DTYPES`.
        options: the subject's own.
        limit: seconds for one answer.
    """

    def __init__(
        self,
        name: SubjectName,
        checkpoint: Path,
        config: ModelConfig,
        *,
        dtype: str,
        options: Mapping[str, str],
        limit: float,
    ) -> None:
        self.name, self._config = name, config
        opening = Opening(checkpoint, name.argument, dtype_of(dtype), options, limit)
        with self._faults():
            self._subject: Subject = name.create(opening)
            self.capabilities = frozenset(self._subject.capabilities)
            self.arithmetic = check_arithmetic(self._subject.arithmetic or dtype)

    def __enter__(self) -> OpenSubject:
        return self

    def __exit__(self, *_: object) -> None:
        with self._faults():
            self._subject.close()

    def ask(self, question: Question, *, activations: bool) -> list[RowAnswer]:
        """The answer to each row of a question.

        Raises:
            SubjectError: whatever the subject raises, or an answer that cannot be compared.
        """
        with self._faults(f", question {question.name!r}"):
            answer = self._subject.answer(question, activations=activations)
            return take_apart(question, answer, self._config)

    def token_ids(self, text: str) -> Sequence[int] | None:
        """What it makes of a text, or None."""
        with self._faults():
            made = self._subject.token_ids(text)
            where = f"subject {self.name.text!r}, token ids"
            return None if made is None else whole_numbers(made, where)

    def own_rows(self) -> Sequence[Sequence[int]]:
        """The ids of the rows that it has answered already; empty if it can be asked."""
        with self._faults():
            where = f"subject {self.name.text!r}, its own rows"
            return [whole_numbers(row, where) for row in self._subject.own_rows()]

    def versions(self) -> dict[str, str]:
        """The versions of what takes part."""
        with self._faults():
            return dict(self._subject.versions())

    @contextmanager
    def _faults(self, where: str = "") -> Iterator[None]:
        try:
            with plugin_code(f"subject {self.name.text!r}{where}", LmkernelError):
                yield
        except PluginError as error:  # its code cannot be imported, or failed
            raise SubjectError(str(error)) from error
