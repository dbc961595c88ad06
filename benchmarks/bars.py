"""The bars: how fast this project must be beside a rival, and whether it is.

A bar compares medians of one run. Speeds are to be at least a multiple of the rival's, times and
memory at most a share of it; the rival is the best of its variants.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from contestants import BACKENDS, OURS, RIVALS

if TYPE_CHECKING:
    from collections.abc import Mapping

    Medians = Mapping[str, Mapping[str, float]]

__all__ = ["BARS", "METRICS", "Metric", "Verdict", "verdicts"]


@dataclass(frozen=True)
class Metric:
    """What a number means.

    Args:
        title: for people.
        unit: of the number.
        is_speed: whether more is better.
        digits: after the point in tables.
    """

    title: str
    unit: str
    is_speed: bool
    digits: int


METRICS: Mapping[str, Metric] = MappingProxyType(
    {
        "decode1": Metric("decode, batch 1", "tokens/s", is_speed=True, digits=1),
        "decode8": Metric("decode, batch 8", "tokens/s", is_speed=True, digits=1),
        "prefill": Metric("prefill of 512", "tokens/s", is_speed=True, digits=0),
        "cold_seconds": Metric("cold start to 32 tokens", "s", is_speed=False, digits=2),
        "cold_peak": Metric("its peak memory", "MiB", is_speed=False, digits=0),
    }
)

BARS: Mapping[tuple[str, str], float] = MappingProxyType(
    {
        ("decode1", "numpy"): 2.0,
        ("decode1", "torch"): 1.5,
        ("decode1", "tensorflow"): 1.0,
        ("decode1", "jax"): 1.0,
        ("decode8", "torch"): 1.7,
        ("prefill", "torch"): 1.4,
        ("prefill", "numpy"): 0.8,
        ("cold_seconds", "numpy"): 0.45,
        ("cold_peak", "numpy"): 0.85,
    }
)
"""By metric and our backend: the ratio to reach, or not to exceed."""


@dataclass(frozen=True)
class Verdict:
    """One comparison.

    Args:
        metric: a key of `METRICS`.
        backend: ours.
        value: our median.
        rival: the name of the rival's best variant.
        rival_value: its median.
        bar: the ratio asked for, or None where none is.
    """

    metric: str
    backend: str
    value: float
    rival: str
    rival_value: float
    bar: float | None

    @property
    def ratio(self) -> float:
        """Ours over theirs."""
        return self.value / self.rival_value

    @property
    def is_met(self) -> bool | None:
        """Whether the bar is met; None without a bar."""
        if self.bar is None:
            return None
        return self.ratio >= self.bar if METRICS[self.metric].is_speed else self.ratio <= self.bar


def verdicts(medians: Medians) -> list[Verdict]:
    """Compare every backend that was measured with the rival that stands beside it.

    Args:
        medians: by contestant's name and metric.
    """
    found = [
        _verdict(metric, backend, medians)
        for metric in METRICS
        for backend in BACKENDS
        if metric in medians.get(f"{OURS} {backend}", {})
    ]
    return [one for one in found if one is not None]


def _verdict(metric: str, backend: str, medians: Medians) -> Verdict | None:
    group = f"{RIVALS[backend]} "
    rivals = {
        name: values[metric]
        for name, values in medians.items()
        if name.startswith(group) and metric in values
    }
    if not rivals:
        return None
    best = max if METRICS[metric].is_speed else min
    rival = best(rivals, key=rivals.__getitem__)
    value = medians[f"{OURS} {backend}"][metric]
    return Verdict(metric, backend, value, rival, rivals[rival], BARS.get((metric, backend)))
