"""How fast one model on one backend reads a prompt and writes tokens."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.benchmark.limits import Others
from lmkernel.config import TransformerConfig
from lmkernel.machine import environment
from lmkernel.parameters import flatten
from lmkernel.plugins.specs import BackendSpec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lmkernel.language_model import LanguageModel

__all__ = ["Speed", "measure_speed", "numbers_of_a_token"]

_BATCH = 8


@final
@dataclass(frozen=True, kw_only=True)
class Speed:
    """What was measured on one backend.

    Args:
        backend: its name.
        dtype: of the computation.
        weights: how they are held, where they are not all numbers.
        first_seconds: until everything had run once, with all that compiles.
        decode: tokens a second after the first one, of one row; the median of several times.
        decode_batch: the same of eight rows together; None where it was not asked for.
        prefill: tokens of a prompt a second, until the first token is there.
        step_bytes: bytes of weights that one step reads.
        token_operations: floating-point operations of products with weights for one token.
        product_rate: floating-point operations a second of this backend's product in float32.
        others: the share of all processors' time that other programs took; None if not known.
        environment: processor, system and packages, as a run of training keeps them.
    """

    backend: str
    dtype: str
    weights: str
    first_seconds: float
    decode: float
    decode_batch: float | None
    prefill: float
    step_bytes: float
    token_operations: float
    product_rate: float
    others: float | None
    environment: Mapping[str, Any]

    def share_of_reading(self, read_rate: float) -> float:
        """The share of the tokens a second that reading the weights once for each would allow."""
        return self.decode * self.step_bytes / read_rate

    def share_of_products(self, best: float) -> float:
        """The share of the tokens a second that products at a given rate would allow."""
        return self.prefill * self.token_operations / best


def measure_speed(
    model: LanguageModel,
    prompt: Sequence[int],
    *,
    new_tokens: int,
    repeats: int,
    batch: bool,
    product_rate: float,
    advance: Callable[[int], None],
) -> Speed:
    """Measure each speed, after all has run once unmeasured.

    Args:
        model: loaded.
        prompt: the ids of the longest prompt; decoding begins after its first sixteenth.
        new_tokens: how many tokens are written, two at least.
        repeats: how many times each is measured.
        batch: whether eight rows are decoded, too.
        product_rate: of the backend.
        advance: called with 1 after each run.
    """
    short = list(prompt[: max(1, len(prompt) // 16)])
    runs: dict[str, Callable[[], float]] = {
        "decode": lambda: _decoded(model, [short], new_tokens),
        "prefill": lambda: _prefilled(model, list(prompt)),
    }
    if batch:
        rows = [short[i % len(short) :] + short[: i % len(short)] for i in range(_BATCH)]
        runs["decode_batch"] = lambda: _decoded(model, rows, new_tokens)
    begin = time.perf_counter()
    for run in runs.values():
        run()
        advance(1)
    first = time.perf_counter() - begin
    found: dict[str, float] = {}
    with Others() as others:
        for name, run in runs.items():
            speeds = []
            for _ in range(repeats):
                speeds.append(run())
                advance(1)
            found[name] = statistics.median(speeds)
    numbers, every = numbers_of_a_token(model), model.describe()
    spec = model.backend.registry.get(BackendSpec, model.backend.name)
    return Speed(
        backend=model.backend.name,
        dtype=model.model.policy.compute,
        weights=str(model.holding) if model.holding else "",
        first_seconds=first,
        decode=found["decode"],
        decode_batch=found.get("decode_batch"),
        prefill=found["prefill"],
        step_bytes=every.weight_bytes * numbers / every.parameters,
        token_operations=2.0 * numbers,
        product_rate=product_rate,
        others=others.share,
        environment=environment(spec, model.backend.device),
    )


def numbers_of_a_token(model: LanguageModel) -> float:
    """How many of the weights' numbers one token is multiplied with.

    A table of tokens counts only where it is the head's matrix, too, and of experts those that a
    token chooses.
    """
    declared, config = model.model.declare(), model.config
    stack = config.decoder
    experts = stack.mlp.experts if isinstance(stack, TransformerConfig) else None
    share = experts.chosen / experts.count if experts else 1.0
    total = 0.0
    for part, tree in declared.items():
        if part == "embedding" and not (config.head and config.head.tied):
            continue
        for name, param in flatten(tree).items():
            total += math.prod(param.shape) * (share if ".experts." in name else 1.0)
    return total


def _decoded(model: LanguageModel, rows: list[list[int]], count: int) -> float:
    """Tokens a second after the first one, of all rows together."""
    steps = model.generate_tokens(rows, max_new_tokens=count, ignore_eos=True)
    times = [time.perf_counter() for _ in steps]
    return len(rows) * (len(times) - 1) / (times[-1] - times[0])


def _prefilled(model: LanguageModel, prompt: list[int]) -> float:
    """Tokens a second until the first one is written."""
    begin = time.perf_counter()
    for _ in model.generate_tokens([prompt], max_new_tokens=1, ignore_eos=True):
        pass
    return len(prompt) / (time.perf_counter() - begin)
