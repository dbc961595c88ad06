"""One checkpoint on several backends, judged against float64 on the default backend."""

from __future__ import annotations

import functools
import os
from typing import TYPE_CHECKING, Any, final

from lmkernel.arguments import as_names, as_strings, require_count
from lmkernel.backend import load_backend
from lmkernel.comparison.greedy import decode_greedily
from lmkernel.comparison.layers import (
    HONEST_RUNS,
    deviations,
    limits,
    parting_sentences,
    trace,
)
from lmkernel.comparison.outcome import Comparison, LayerComparison
from lmkernel.comparison.prompts import PROMPTS, fit_to_context, prompt_ids
from lmkernel.comparison.verdict import budget, judge_answers, largest_error
from lmkernel.errors import InputError
from lmkernel.inspection.inputs import check_ids
from lmkernel.loading import place_origin
from lmkernel.origin import open_origin
from lmkernel.plugins.registry import DEFAULT_BACKEND, default_registry
from lmkernel.progress import as_progress

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from lmkernel.comparison.greedy import Answer
    from lmkernel.language_model import LanguageModel
    from lmkernel.origin import Origin
    from lmkernel.progress import Progress, ProgressLike

    Trace = dict[str, NDArray[Any]]
    _Led = tuple[Sequence[int], Sequence[int]]

__all__ = ["compare", "compare_layers"]

_EVERY = 6
"""By default layers are compared on every sixth prompt: short and long, one of another script."""


def compare(
    model: str | os.PathLike[str],
    backends: Sequence[str] | None = None,
    *,
    prompts: Sequence[str] | None = None,
    max_new_tokens: int = 64,
    dtype: str = "float32",
    progress: ProgressLike = True,
) -> Comparison:
    """Decode greedily on each backend and judge tokens and logits.

    Args:
        model: a name, a folder or a GGUF file.
        backends: their names; by default all that are installed.
        prompts: the prompts; by default twenty fixed ones, of which a small context gets the end.
        max_new_tokens: the most tokens of an answer.
        dtype: the dtype of the backends that are judged.
        progress: True reports on standard error, False not at all; or a function to be called.

    Returns:
        A row for each backend; ``passed`` says whether all agree.

    Raises:
        InputError: no backends, or no tokens.
        UnknownNameError, MissingDependencyError: a backend that is not there.
    """
    require_count("max_new_tokens", max_new_tokens)
    runs = _Runs(model, backends, prompts, PROMPTS, as_progress(progress), room=max_new_tokens)
    reference = runs.decode(DEFAULT_BACKEND, "float64", max_new_tokens, role="the reference")
    # the honest run is led along the reference's tokens, so that every step has the same past
    follow = [answer.tokens for answer in reference]
    honest = runs.decode(DEFAULT_BACKEND, "float32", max_new_tokens, follow, role="an honest run")
    allowed = budget(largest_error(honest, reference), reference, dtype)
    verdicts = tuple(
        judge_answers(
            name, runs.decode(name, dtype, max_new_tokens, warm_up=follow), reference, allowed
        )
        for name in runs.backends
    )
    return Comparison(
        model=os.fspath(model),
        prompts=runs.texts,
        prompt_tokens=tuple(map(tuple, runs.prompts)),
        tokens=tuple(follow),
        backends=verdicts,
    )


def compare_layers(
    model: str | os.PathLike[str],
    backends: Sequence[str] | None = None,
    *,
    prompts: Sequence[str] | None = None,
    dtype: str = "float32",
    progress: ProgressLike = True,
) -> LayerComparison:
    """Compare what is computed on the way, and name the first activation at which backends part.

    Arguments are those of `compare`; by default there are four prompts.
    """
    runs = _Runs(model, backends, prompts, PROMPTS[::_EVERY], as_progress(progress))
    [reference] = runs.traces(DEFAULT_BACKEND, "float64", role="the reference")
    budgets = limits(
        reference, runs.traces(DEFAULT_BACKEND, "float32", range(HONEST_RUNS), role="honest runs")
    )
    found = {}
    for name in runs.backends:
        [traces] = runs.traces(name, dtype)
        found[name] = tuple(deviations(traces, reference, budgets, dtype))
    return LayerComparison(
        model=os.fspath(model),
        prompt_tokens=tuple(map(tuple, runs.prompts)),
        limits=tuple(budgets),
        backends=found,
        sentences=tuple(parting_sentences(found)),
    )


def _installed() -> list[str]:
    from lmkernel.listing.backends import backends

    return backends().installed


@final
class _Runs:
    """Runs the prompts on one backend after another; only one model is in memory at a time."""

    def __init__(
        self,
        model: str | os.PathLike[str],
        backends: Sequence[str] | None,
        prompts: Sequence[str] | None,
        usual: Sequence[str],
        progress: Progress,
        *,
        room: int = 0,
    ) -> None:
        self.backends = _installed() if backends is None else as_names("backends", backends)
        for name in self.backends:
            default_registry().select_backend(name)
        self.texts = tuple(usual) if prompts is None else as_strings("prompts", prompts)
        self._progress = progress
        self._origin: Origin = open_origin(model, progress=progress)
        self.prompts = [prompt_ids(self._origin.tokenizer, text) for text in self.texts]
        if prompts is None:
            self._fit(room)
        for number, ids in enumerate(self.prompts, 1):  # now, not when the reference comes to it
            try:
                check_ids(self._origin.config, ids)
            except InputError as error:
                raise InputError(f"prompt {number}: {error}") from error

    def _fit(self, room: int) -> None:
        """Make the usual prompts fit a small context."""
        context = self._origin.config.context
        fitting = [fit_to_context(ids, context, room) for ids in self.prompts]
        cut = sum(len(a) < len(b) for a, b in zip(fitting, self.prompts, strict=True))
        if cut:
            self._progress.note(
                f"the model's context of {context} tokens has room for only the end of {cut} of "
                f"{len(fitting)} prompts"
            )
        self.prompts = fitting

    def decode(
        self,
        backend: str,
        dtype: str,
        steps: int,
        follow: Sequence[Sequence[int]] | None = None,
        *,
        warm_up: Sequence[Sequence[int]] | None = None,
        role: str = "judged",
    ) -> list[Answer]:
        """The answers to all prompts, led along other tokens if some are given.

        A backend that compiles for each shape first decodes along ``warm_up``, which is not timed.
        """
        loaded = self._load(backend, dtype)
        compiled = warm_up is not None and loaded.backend.capabilities.compiled
        first = self._shapes(loaded, warm_up or ()) if compiled else []
        pairs = list(zip(self.prompts, follow or [()] * len(self.prompts), strict=True))
        what = f"{backend}, {dtype} ({role}{', compiled beforehand' * compiled})"
        total = (len(first) + len(pairs)) * steps
        with self._progress.bar(what, total, "token") as advance:
            run = functools.partial(decode_greedily, loaded, steps=steps, advance=advance)
            for prompt, path in first:
                run(prompt, follow=path)
            return [run(prompt, follow=path) for prompt, path in pairs]

    def _shapes(self, loaded: LanguageModel, paths: Sequence[Sequence[int]]) -> list[_Led]:
        """One prompt for each number of slots, on which its shapes depend, with a longest path."""
        longest: dict[int, _Led] = {}
        for prompt, path in sorted(zip(self.prompts, paths, strict=True), key=lambda p: len(p[1])):
            longest[loaded.model.slots(len(prompt))] = (prompt, path)
        return list(longest.values())

    def traces(
        self, backend: str, dtype: str, orders: Iterable[int] = (0,), *, role: str = "judged"
    ) -> Iterator[list[Trace]]:
        """Every activation of each prompt, once for each order of rounding."""
        loaded, every = self._load(backend, dtype), list(orders)
        with self._progress.bar(f"{backend}, {dtype} ({role})", len(every), "run") as advance:
            for order in every:
                yield [trace(loaded.model, loaded.params, p, order=order) for p in self.prompts]
                advance(1)

    def _load(self, backend: str, dtype: str) -> LanguageModel:
        where = load_backend(backend)
        return place_origin(self._origin, where, dtype=dtype)
