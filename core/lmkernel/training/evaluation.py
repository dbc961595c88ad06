"""A model's metrics on data, without a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.training.recording import bits_per_byte
from lmkernel.training.session import put_together

if TYPE_CHECKING:
    from lmkernel.plugins.registry import Registry
    from lmkernel.sources.progress import Progress
    from lmkernel.training.settings import RunSettings

__all__ = ["evaluate"]


def evaluate(
    settings: RunSettings, registry: Registry, progress: Progress | None = None
) -> dict[str, float]:
    """Loss, and what follows from it, over all of the data that the settings name.

    Raises:
        LmkernelError: whatever is wrong with settings, model or data, by its name.
    """
    session = put_together(settings, registry, progress, whole=True)
    values = session.trainer.evaluate(session.begin(), session.data.validation)
    bits = bits_per_byte(values, session.data.validation_bytes)
    return {**values, "bits_per_byte": bits} if bits else values
