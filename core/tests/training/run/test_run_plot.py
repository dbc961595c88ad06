"""The loss curve: a PNG that shows what was measured, and no picture without matplotlib."""

from __future__ import annotations

import math
import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from matplotlib.image import imread

from lmkernel.errors import MissingDependencyError, RunError
from lmkernel.training.run.metrics_log import MetricsLog
from lmkernel.training.run.plot import (
    LossCurve,
    _limits,
    _smooth,
    attempt_loss_curve,
    write_loss_curve,
)

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

STEPS = range(1, 101)
CURVE = LossCurve(
    [(step, 2 + 3 * math.exp(-step / 20)) for step in STEPS],
    [(25, 3.0), (50, 2.5), (75, 2.75), (100, 2.8)],
)
BLUE, ORANGE = (0x1F, 0x6F, 0xB4), (0xD9, 0x54, 0x1E)
TOUCHES_NOTHING = """
import sys, pathlib, matplotlib
before = matplotlib.rcParams.copy()
from lmkernel.training.run.plot import LossCurve, write_loss_curve
write_loss_curve(pathlib.Path(sys.argv[1]), LossCurve([(1, 2.0), (2, 1.0)]))
assert str(matplotlib.rcParams.copy()) == str(before)
assert "matplotlib.pyplot" not in sys.modules
"""


def pixels(path: Path, colour: tuple[int, int, int]) -> NDArray[np.intp]:
    """Rows and columns of the pixels of a colour: ``(2, count)``."""
    image = np.round(imread(path)[..., :3] * 255).astype(int)
    return np.array(np.nonzero((abs(image - colour) <= 2).all(axis=-1)))


def test_curve_falls_from_left_to_right(tmp_path: Path) -> None:
    write_loss_curve(tmp_path / "loss.png", CURVE)
    rows, columns = pixels(tmp_path / "loss.png", BLUE)
    inside = rows > 120  # below the legend
    rows, columns = rows[inside], columns[inside]
    assert columns.max() - columns.min() > 1000
    assert (
        rows[columns < columns.min() + 20].mean() < rows[columns > columns.max() - 20].mean() - 300
    )


def test_validation_is_drawn(tmp_path: Path) -> None:
    write_loss_curve(tmp_path / "with.png", CURVE)
    write_loss_curve(tmp_path / "without.png", LossCurve(CURVE.train))
    assert pixels(tmp_path / "with.png", ORANGE).shape[1] > 500
    assert pixels(tmp_path / "without.png", ORANGE).shape[1] == 0


@pytest.mark.parametrize(
    "curve",
    [
        LossCurve([(1, 2.0)]),
        LossCurve([], [(0, 2.0)]),
        LossCurve([(1, 0.0), (2, 0.0)]),
        LossCurve([(1, 1e-30), (2, 1e30)], [(2, 1e30)]),
        LossCurve([(step, 1 / step) for step in range(1, 20_000)]),
    ],
)
def test_any_curve_can_be_drawn(tmp_path: Path, curve: LossCurve) -> None:
    write_loss_curve(tmp_path / "loss.png", curve)
    assert imread(tmp_path / "loss.png").shape == (675, 1200, 4)


def test_metrics_file_can_be_drawn(tmp_path: Path) -> None:
    with MetricsLog(tmp_path / "m.jsonl") as log:
        log.append(1, {"train/loss": 2.0, "train/rate": 0.1})
        log.append(2, {"train/loss": math.nan, "validation/loss": math.inf})
        log.append(2, {"validation/loss": 1.5})
    write_loss_curve(tmp_path / "loss.png", tmp_path / "m.jsonl")
    write_loss_curve(tmp_path / "same.png", LossCurve([(1, 2.0)], [(2, 1.5)]))
    assert (tmp_path / "loss.png").read_bytes() == (tmp_path / "same.png").read_bytes()


def test_nothing_to_draw_draws_nothing(tmp_path: Path) -> None:
    write_loss_curve(tmp_path / "loss.png", tmp_path / "m.jsonl")
    assert list(tmp_path.iterdir()) == []


def test_state_of_matplotlib_is_not_touched(tmp_path: Path) -> None:
    command = [sys.executable, "-c", TOUCHES_NOTHING, str(tmp_path / "loss.png")]
    subprocess.run(command, check=True)


def test_missing_matplotlib_is_said_and_the_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    said: list[str] = []
    attempt_loss_curve(tmp_path / "loss.png", CURVE, said.append)
    assert len(said) == 1
    assert "pip install 'lmkernel[plot]'" in said[0]
    with pytest.raises(MissingDependencyError, match="needs matplotlib"):
        write_loss_curve(tmp_path / "loss.png", CURVE)


def test_former_picture_stays_when_the_disk_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "loss.png"
    path.write_bytes(b"former")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(RunError, match=r"loss\.png: cannot be written: No space left on device"):
        write_loss_curve(path, CURVE)
    assert [(p.name, p.read_bytes()) for p in tmp_path.iterdir()] == [("loss.png", b"former")]


def test_smooth_line_lies_on_a_straight_one() -> None:
    line = [5 - 0.01 * step for step in range(400)]
    np.testing.assert_allclose(_smooth(line), line, atol=1e-9)


def test_smooth_line_is_the_mean_of_what_is_around() -> None:
    losses = [1.0, 3.0] * 200
    assert _smooth(losses)[100] == pytest.approx(np.mean(losses[92:109]))


def test_one_wild_step_does_not_squeeze_the_rest() -> None:
    wild = LossCurve([(step, 1000.0 if step == 50 else loss) for step, loss in CURVE.train])
    assert _limits(wild)[1] < 400
