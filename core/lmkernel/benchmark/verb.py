"""Measures a model on each backend, one after another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.arguments import as_names, require_count, require_flag
from lmkernel.backend import load_backend
from lmkernel.benchmark.limits import product_rate, read_rate
from lmkernel.benchmark.outcome import BUSY, Benchmark
from lmkernel.benchmark.speed import Speed, measure_speed
from lmkernel.errors import InputError
from lmkernel.listing.backends import backends as list_backends
from lmkernel.loading import DEFAULT_MODEL, place_origin
from lmkernel.origin import open_origin
from lmkernel.plugins.registry import default_registry
from lmkernel.progress import as_progress

if TYPE_CHECKING:
    import os
    from collections.abc import Sequence

    from lmkernel.origin import Origin
    from lmkernel.progress import Progress, ProgressLike

__all__ = ["bench"]

_PROMPT = 512
_STRIDE = 7919
"""A prime, so that ids are spread over the vocabulary."""


def bench(
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    backends: Sequence[str] | None = None,
    *,
    dtype: str | None = None,
    weights: str | None = None,
    new_tokens: int = 32,
    repeats: int = 5,
    quick: bool = False,
    progress: ProgressLike = True,
) -> Benchmark:
    """Measure how fast a decoder answers on each backend, beside what the machine allows.

    Decoding is compared with reading all weights once a token at the rate at which this machine
    reads memory, a prompt's reading with its products at the rate of the fastest backend's own.
    Where other programs take more than a twentieth of the processors, it is measured once more.

    Args:
        model: a name, a folder or a GGUF file.
        backends: their names; by default all that are installed.
        dtype: of the computation, as for `load`.
        weights: how they are held, as for `load`.
        new_tokens: how many tokens are written, two at least.
        repeats: how many times each speed is measured.
        quick: measures once, with fewer tokens, and nothing of eight rows together.
        progress: True reports on standard error, False not at all; or a function to be called.

    Raises:
        InputError: no backends, a number that makes no sense, or a model that writes nothing.
        UnknownNameError, MissingDependencyError: a backend that is not there.
    """
    require_flag("quick", quick)
    require_count("new_tokens", new_tokens, least=2)
    require_count("repeats", repeats)
    names = list_backends().installed if backends is None else as_names("backends", backends)
    for name in names:
        default_registry().select_backend(name)
    report = as_progress(progress)
    origin = open_origin(model, progress=report)
    if origin.config.decoder is None or origin.config.encoder is not None:
        raise InputError(f"{origin.where}: expected a decoder, which writes after a prompt")
    count, times = (min(new_tokens, 8), 1) if quick else (new_tokens, repeats)
    runs = _Runs(origin, report, dtype, weights, count, times, batch=not quick)
    report.say("measuring how fast memory is read")
    rate = read_rate()
    speeds = tuple(runs.speed(name) for name in names)
    return Benchmark(
        model=origin.name,
        parameters=runs.parameters,
        read_rate=rate,
        prompt_tokens=len(runs.prompt),
        new_tokens=count,
        repeats=times,
        speeds=speeds,
    )


@final
class _Runs:
    """What is the same on every backend; only one model is in memory at a time."""

    def __init__(
        self,
        origin: Origin,
        report: Progress,
        dtype: str | None,
        weights: str | None,
        new_tokens: int,
        repeats: int,
        *,
        batch: bool,
    ) -> None:
        context = origin.config.context or _PROMPT + new_tokens
        if context <= new_tokens:
            raise InputError(
                f"new_tokens: expected fewer than the context of {context}, got {new_tokens}"
            )
        length = min(_PROMPT, context - new_tokens)
        vocab = origin.config.embedding.vocab
        self.prompt = [(1 + i * _STRIDE) % vocab for i in range(length)]
        self.parameters = 0
        self._origin, self._report = origin, report
        self._placed: dict[str, Any] = {"dtype": dtype, "weights": weights}
        self._asked: dict[str, Any] = {"new_tokens": new_tokens, "repeats": repeats, "batch": batch}

    def speed(self, name: str) -> Speed:
        """What is measured on a backend; once more if other programs were in the way."""
        backend = load_backend(name)
        product = product_rate(backend)
        loaded = place_origin(self._origin, backend, **self._placed)
        self.parameters = loaded.describe().parameters
        kinds = 3 if self._asked["batch"] else 2
        tries: list[Speed] = []
        while not tries or (len(tries) == 1 and (tries[0].others or 0) > BUSY):
            again = " once more, for other programs were busy" if tries else ""
            total = kinds * (1 + self._asked["repeats"])
            with self._report.bar(f"{name}{again}", total, "run") as advance:
                tries.append(
                    measure_speed(
                        loaded, self.prompt, product_rate=product, advance=advance, **self._asked
                    )
                )
        return min(tries, key=lambda one: one.others or 0)
