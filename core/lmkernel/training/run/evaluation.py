"""A model's metrics on data, without a run."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lmkernel.training.run.recording import evaluated
from lmkernel.training.run.session import put_together

if TYPE_CHECKING:
    from lmkernel.plugins.registry import Registry
    from lmkernel.sources.progress import Progress
    from lmkernel.training.run.settings import RunSettings

__all__ = ["evaluate"]


def evaluate(
    settings: RunSettings, registry: Registry, progress: Progress | None = None
) -> dict[str, float]:
    """Loss, and what follows from it, over all of the data that the settings name.

    Raises:
        LmkernelError: whatever is wrong with settings, model or data, by its name.
    """
    settings = replace(settings, lora=None, merge=False)  # untrained adapters change nothing
    session = put_together(settings, registry, progress, whole=True)
    return evaluated(session.trainer, session.begin(), session.data)
