"""What surrounds a training run: its settings, its folder, its display, its trackers."""

from lmkernel.training.run.environment import environment
from lmkernel.training.run.flops import flops_per_token, peak_flops
from lmkernel.training.run.folder import RunFolder, has_run, open_run
from lmkernel.training.run.memory import current_memory, peak_memory
from lmkernel.training.run.metrics_log import MetricsLog, read_metrics
from lmkernel.training.run.plot import LossCurve, attempt_loss_curve, write_loss_curve
from lmkernel.training.run.progress import Display, Workload, open_display
from lmkernel.training.run.settings_file import (
    flat,
    load_settings,
    merge,
    parse_overrides,
    read_settings,
    settings_from,
    written,
)
from lmkernel.training.run.trackers import Trackers, open_trackers

__all__ = [
    "Display",
    "LossCurve",
    "MetricsLog",
    "RunFolder",
    "Trackers",
    "Workload",
    "attempt_loss_curve",
    "current_memory",
    "environment",
    "flat",
    "flops_per_token",
    "has_run",
    "load_settings",
    "merge",
    "open_display",
    "open_run",
    "open_trackers",
    "parse_overrides",
    "peak_flops",
    "peak_memory",
    "read_metrics",
    "read_settings",
    "settings_from",
    "write_loss_curve",
    "written",
]
