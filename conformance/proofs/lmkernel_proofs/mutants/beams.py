"""What ports get wrong of beams, of forced and forbidden tokens, and of where a decoder begins."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmkernel.generation import beams, constraints
from lmkernel.model.state import chosen_rows
from lmkernel_proofs.mutants.mutant import Mutant, Patch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["MUTANTS"]

_Search = beams._Search  # noqa: SLF001 - what is broken
_keep, _is_finished, _extend = _Search._keep, _Search._is_finished, _Search._extend  # noqa: SLF001 - the same
_repeating = constraints._repeating  # noqa: SLF001 - the same
_apply, _forbidden = constraints.Constraints.apply, constraints.Constraints._forbidden  # noqa: SLF001 - the same


def _with(method: Callable[..., Any], **changes: Any) -> Callable[..., Any]:
    """A method of a search whose options are others."""

    def call(own: Any, *args: Any) -> Any:
        kept = own._options  # noqa: SLF001 - a method's
        own._options = replace(kept, **changes)  # noqa: SLF001 - the same
        try:
            return method(own, *args)
        finally:
            own._options = kept  # noqa: SLF001 - the same

    return call


def _length_of_the_prompt(own: Any, ended: Any) -> None:
    """Lengths count the prompt."""
    step = own._step  # noqa: SLF001 - a method's
    own._step = step + len(own._prompt)  # noqa: SLF001 - the same
    try:
        _keep(own, ended)
    finally:
        own._step = step  # noqa: SLF001 - the same


def _newest_alone(own: Any, ended: Any) -> None:
    """Answers that end later replace those that ended before."""
    found = list(ended)
    if found:
        own._ended = []  # noqa: SLF001 - a method's
    _keep(own, found)


def _in_their_rows(backend: Any, state: Any, rows: Any) -> Any:
    """The KV cache stays as it is while beams change places."""
    rows = list(rows)
    first = len(set(rows)) < len(rows) and rows == sorted(rows) and len(rows) != state.batch
    return chosen_rows(backend, state, rows if first else [*range(len(rows))])


def _running(own: Any) -> Any:
    """The answer is the best row that was gone on with, though others have ended."""
    return own._running[0]  # noqa: SLF001 - a property's


def _unforced(name: str) -> Callable[..., Any]:
    """A forced token is left to chance."""

    def call(own: Any, *args: Any, **options: Any) -> Any:
        kept = getattr(own, name)
        setattr(own, name, ())
        try:
            return _apply(own, *args, **options)
        finally:
            setattr(own, name, kept)

    return call


def _last_one_early(own: Any, scores: Any, history: Any, *, step: int, limit: int) -> Any:
    """The last token is forced a step early."""
    return _apply(own, scores, history, step=step, limit=limit - 1)


def _longer_runs(history: Any, size: int) -> Iterator[int]:
    """Runs may be a token longer than is said."""
    return _repeating(history, size and size + 1)


def _last_words(own: Any, history: Any, step: int) -> Iterator[int]:
    """Bad words of several tokens are known by their last one alone."""
    yield from _forbidden(own, history, step)
    yield from (word[-1] for word in own._words)  # noqa: SLF001 - a method's


def _prompt_counts(own: Any, history: Any, step: int) -> Iterator[int]:
    """The least length counts the prompt."""
    del step
    return _forbidden(own, history, len(history))


def _tokenizers_start(origin: Any) -> Any:
    """A decoder begins with the tokenizer's first token, whatever the model's files say."""
    known: tuple[int | None, ...] = (origin.tokenizer.bos_id, origin.tokenizer.pad_id)
    return next(token for token in known if token is not None)


def _mutant(name: str, where: str, broken: Any) -> Mutant:
    patch = Patch(f"lmkernel.generation.{where}", broken)
    row = _OF_BEAMS if name.startswith("beams.") else _OF_TOKENS
    return Mutant(id=name, level="generation", patch=patch, row=row)


_OF_BEAMS, _OF_TOKENS = 40, 41
"""Rows of the catalogue."""
_SEARCH, _CONSTRAINTS = "beams._Search", "constraints.Constraints"
MUTANTS = (
    _mutant("beams.penalty_ignored", f"{_SEARCH}._keep", _with(_keep, length_penalty=0.0)),
    _mutant("beams.penalty_of_the_prompt", f"{_SEARCH}._keep", _length_of_the_prompt),
    _mutant(
        "beams.stopped_early", f"{_SEARCH}._is_finished", _with(_is_finished, early_stopping=True)
    ),
    _mutant(
        "beams.never_stopped_early",
        f"{_SEARCH}._is_finished",
        _with(_is_finished, early_stopping=False),
    ),
    _mutant("beams.newest_alone", f"{_SEARCH}._keep", _newest_alone),
    _mutant("beams.in_their_rows", "beams.chosen_rows", _in_their_rows),
    _mutant("beams.running", f"{_SEARCH}.best", property(_running)),
    _mutant("constraints.first_unforced", f"{_CONSTRAINTS}.apply", _unforced("_first")),
    _mutant("constraints.last_unforced", f"{_CONSTRAINTS}.apply", _unforced("_last")),
    _mutant("constraints.last_one_early", f"{_CONSTRAINTS}.apply", _last_one_early),
    _mutant("constraints.longer_runs", "constraints._repeating", _longer_runs),
    _mutant("constraints.last_words", f"{_CONSTRAINTS}._forbidden", _last_words),
    _mutant("constraints.prompt_counts", f"{_CONSTRAINTS}._forbidden", _prompt_counts),
    _mutant("start.of_the_tokenizer", "checkpoint.decoder_start", _tokenizers_start),
)
