"""A function of token ids as a subject.

It is called with an array of ids, int64 ``(batch, time)``, and returns logits
``(batch, time, vocab)``, as a NumPy array or whatever ``numpy.asarray`` takes, or a dictionary with
them under ``"logits"`` (or ``"log_probs"``, or ``"token_log_probs"``) and activations under their
names. What it also wants it names as arguments: ``checkpoint``, the folder; ``dtype``;
``attention_mask``, 1 at tokens and 0 at padding; ``positions``, -1 at padding;
``target``, what a decoder beside an encoder is fed, int64 ``(batch, target time)``. Without a mask
or positions it is given one row at a time. Of a model that reads pictures or sounds it is called
with these in place of ids: float32 pixels ``(batch, channels, height, width)``, frames ``(batch,
time, bins)`` or samples ``(batch, time, 1)``. ``pictures`` are the pixels of those that are shown
among tokens, one for each row.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.errors import InputError, SubjectError, shown
from lmkernel.plugins.installed import installed_versions
from lmkernel.verification.answers import read_answer
from lmkernel.verification.subject import Answer, Subject
from lmkernel.verification.time_limit import time_limit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.verification.sequences import Question
    from lmkernel.verification.subject import Opening

__all__ = ["FunctionSubject", "open_function"]


@final
class FunctionSubject(Subject):
    """A function; the arguments that it names say what it can do.

    Args:
        opening: the checkpoint.
        function: as above.
        name: what it is called in messages.
    """

    def __init__(self, opening: Opening, function: Callable[..., Any], name: str) -> None:
        self._opening, self._function, self._name = opening, function, name
        self._wants = frozenset(inspect.signature(function).parameters)

    @property
    def capabilities(self) -> frozenset[str]:
        """What follows from the arguments that it names."""
        there = {"activations", "pictures", "sounds"}
        if self._wants & {"attention_mask", "positions"}:
            there |= {"batch", "left-padding"}
        if "positions" in self._wants:
            there.add("positions")
        if "checkpoint" in self._wants:
            there.add("checkpoints")
        there |= {"target"} & self._wants
        there |= {"shown"} if "pictures" in self._wants else set()
        return frozenset(there)

    def versions(self) -> Mapping[str, str]:
        """Of the distribution that the function comes with, if it comes with one."""
        top = str(getattr(self._function, "__module__", "")).partition(".")[0]
        return installed_versions(packages_distributions().get(top, ()))

    def answer(self, question: Question, *, activations: bool) -> Answer:
        del activations
        offered = {
            "checkpoint": self._opening.checkpoint,
            "dtype": self._opening.dtype,
            "attention_mask": (question.positions >= 0).astype(np.int64),
            "positions": question.positions.astype(np.int64),
            "target": question.target.astype(np.int64),
            "pictures": question.source,
        }
        given = {name: x for name, x in offered.items() if name in self._wants}
        source = question.source
        read = question.ids.astype(np.int64) if question.ids.size else source
        with time_limit(self._opening.limit, f"{self._name}, question {question.name!r}"):
            made = self._function(read, **given)
        named = made if isinstance(made, dict) else {"logits": made}
        return read_answer(named, self._name)


def open_function(opening: Opening) -> FunctionSubject:
    """The subject ``python:MODULE:FUNCTION``; the module may lie in the current folder."""
    return FunctionSubject(opening, _find(opening.argument), f"python:{opening.argument}")


def _find(argument: str) -> Callable[..., Any]:
    module, _, name = argument.partition(":")
    if not module or not name:
        raise InputError(f"subject 'python': expected python:MODULE:FUNCTION, got {argument!r}")
    if str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise SubjectError(f"subject python:{argument}: {error}") from error
    except AttributeError as error:
        raise SubjectError(f"subject python:{argument}: {module} has no {name!r}") from error
    if not callable(found):
        raise SubjectError(f"subject python:{argument}: expected a function, got {shown(found)}")
    return found  # type: ignore[no-any-return]  # as just tested
