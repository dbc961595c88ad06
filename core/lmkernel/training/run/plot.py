"""``loss.png``: the loss over the steps of a run, drawn by matplotlib, which is optional.

Constraints: nothing of matplotlib's global state is touched, neither pyplot nor its settings; the
file appears whole or not at all; a run never stops for its picture.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np

from lmkernel.atomic import write_whole
from lmkernel.errors import LmkernelError, MissingDependencyError, RunError
from lmkernel.training.run.metrics_log import read_metrics

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

__all__ = ["LossCurve", "attempt_loss_curve", "write_loss_curve"]

TRAIN, VALIDATION = "train/loss", "validation/loss"
_INSTALL = (
    "the loss curve needs matplotlib, which is not installed; run: pip install 'lmkernel[plot]'"
)
_BLUE, _ORANGE = "#1f6fb4", "#d9541e"


@final
@dataclass(frozen=True)
class LossCurve:
    """Pairs of a step and a loss, finite ones alone.

    Args:
        train: of each step, or of some.
        validation: of each evaluation.
    """

    train: Sequence[tuple[int, float]]
    validation: Sequence[tuple[int, float]] = ()

    @classmethod
    def of(cls, lines: Iterable[Mapping[str, Any]]) -> Self:
        """From the lines of ``metrics.jsonl``."""
        found: dict[str, list[tuple[int, float]]] = {TRAIN: [], VALIDATION: []}
        for line in lines:
            for name, pairs in found.items():
                if math.isfinite(line.get(name, math.nan)):
                    pairs.append((line["step"], line[name]))
        return cls(found[TRAIN], found[VALIDATION])


def write_loss_curve(path: Path, curve: LossCurve | Path) -> None:
    """Draw a curve, or that of a ``metrics.jsonl``, as PNG; with no pair at all, nothing.

    Raises:
        MissingDependencyError: matplotlib is not installed; the message says what to run.
        RunError: the disk refuses.
    """
    lines = curve if isinstance(curve, LossCurve) else LossCurve.of(read_metrics(curve))
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingDependencyError(_INSTALL) from error
    if not (lines.train or lines.validation):
        return
    figure = Figure(figsize=(8, 4.5), dpi=150, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    _draw(figure.add_subplot(), lines)
    data = io.BytesIO()
    canvas.print_png(data)
    write_whole(path, data.getvalue(), RunError)


def attempt_loss_curve(path: Path, curve: LossCurve | Path, say: Callable[[str], None]) -> None:
    """The same, but what is wrong is said as one line in place of being raised."""
    try:
        write_loss_curve(path, curve)
    except LmkernelError as error:
        say(f"no picture: {error}")


def _draw(axes: Axes, curve: LossCurve) -> None:
    from matplotlib.ticker import MaxNLocator

    if curve.train:
        _draw_train(axes, curve.train)
    if curve.validation:
        _draw_validation(axes, curve.validation)
    axes.set_xlabel("step")
    axes.set_ylabel("loss")
    last = max(step for step, _ in [*curve.train, *curve.validation])
    axes.set_xlim(0, 1.02 * max(last, 1))
    axes.set_ylim(*_limits(curve))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(visible=True, color="#e4e4e4", linewidth=0.8)
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    axes.legend(frameon=False, loc="lower right", bbox_to_anchor=(1, 1), ncols=3)


def _draw_train(axes: Axes, pairs: Sequence[tuple[int, float]]) -> None:
    """The raw line faint, its running mean over it."""
    steps, losses = zip(*pairs, strict=True)
    alone = "." if len(pairs) == 1 else ""
    axes.plot(steps, losses, color=_BLUE, alpha=0.3, linewidth=0.9)
    axes.plot(steps, _smooth(losses), alone, color=_BLUE, linewidth=1.8, label="training, smoothed")


def _draw_validation(axes: Axes, pairs: Sequence[tuple[int, float]]) -> None:
    """Markers, and the best one named."""
    steps, losses = zip(*pairs, strict=True)
    axes.plot(steps, losses, "o-", color=_ORANGE, markersize=5, linewidth=1.0, label="validation")
    step, best = min(pairs, key=lambda pair: pair[1])
    label = f"best: {best:.4f} at step {step}"
    axes.plot([step], [best], "o", markersize=11, fillstyle="none", color=_ORANGE, label=label)


def _smooth(losses: Sequence[float]) -> NDArray[np.float64]:
    """The straight line through the points around each, taken there: over 1/25 of the curve.

    In the middle this is the mean of the window; at the ends it does not lag as a mean would.
    """
    y = np.asarray(losses, dtype=np.float64)
    x = np.arange(len(y), dtype=np.float64)
    reach = max(len(y) // 50, 1)
    begin = np.maximum(np.arange(len(y)) - reach, 0)
    end = np.minimum(np.arange(len(y)) + reach + 1, len(y))
    count, middle = end - begin, (begin + end - 1) / 2
    mean_y, mean_xy = ((sums[end] - sums[begin]) / count for sums in map(_sums, (y, x * y)))
    slope = (mean_xy - middle * mean_y) / np.maximum((count**2 - 1) / 12, 1e-9)
    smooth: NDArray[np.float64] = mean_y + slope * (x - middle)
    return smooth


def _sums(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate([[0.0], np.cumsum(values)])


def _limits(curve: LossCurve) -> tuple[float, float]:
    """What nearly all of the curve spans: a wild step does not squeeze the rest."""
    values = [loss for _, loss in curve.validation]
    if curve.train:
        losses = [loss for _, loss in curve.train]
        values += [*_smooth(losses), *np.quantile(losses, [0.01, 0.99])]
    low, high = float(min(values)), float(max(values))
    room = 0.05 * ((high - low) or abs(high) or 1.0)
    return low - room, high + room
