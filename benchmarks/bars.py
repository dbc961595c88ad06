"""The bars: how fast this project must be beside a rival, and whether it is.

A bar compares medians of one run. A speed must reach a multiple of the rival's, a time or a peak of
memory must stay within a share of it. The rival is the best of its variants.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from subject import OURS, Metric, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

    Medians = Mapping[str, Mapping[str, float]]

__all__ = ["Verdict", "verdicts"]


@dataclass(frozen=True)
class Verdict:
    """One comparison.

    Args:
        metric: metric that is compared.
        variant: variant of ours.
        value: median of ours.
        rival: name of the rival's best variant.
        rival_value: median of the rival's best variant.
        bar: ratio to reach or to stay within; None where there is no bar.
    """

    metric: Metric
    variant: str
    value: float
    rival: str
    rival_value: float
    bar: float | None

    @property
    def ratio(self) -> float:
        """Our median over the rival's."""
        return self.value / self.rival_value

    @property
    def is_met(self) -> bool | None:
        """Whether the bar is met; None without a bar."""
        if self.bar is None:
            return None
        return self.ratio >= self.bar if self.metric.is_speed else self.ratio <= self.bar


def verdicts(subject: Subject, medians: Medians) -> list[Verdict]:
    """Compare every variant of ours that was measured with the rival that stands beside it.

    Args:
        subject: benchmark that ran.
        medians: medians by contestant's name and metric.
    """
    found = [
        _verdict(subject, metric, variant, medians)
        for metric in subject.metrics
        for variant in subject.variants[OURS]
        if metric in medians.get(f"{OURS} {variant}", {})
    ]
    return [one for one in found if one is not None]


def _verdict(subject: Subject, name: str, variant: str, medians: Medians) -> Verdict | None:
    metric, group = subject.metrics[name], subject.rival(name, variant)
    rivals = {
        one: values[name]
        for one, values in medians.items()
        if one.startswith(f"{group} ") and name in values
    }
    if not rivals:
        return None
    rival = (max if metric.is_speed else min)(rivals, key=rivals.__getitem__)
    value, bar = medians[f"{OURS} {variant}"][name], subject.bars.get((name, variant))
    return Verdict(metric, variant, value, rival, rivals[rival], bar)
