"""The smallest files that are a model's."""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["CONFIG", "safetensors_of", "write_tiny"]

CONFIG = json.dumps({"model_type": "made"}).encode()
"""Of a family that nothing registers."""


def safetensors_of(*numbers: float, name: str = "weight") -> bytes:
    """A file with one tensor."""
    data = struct.pack(f"<{len(numbers)}f", *numbers)
    entry = {"dtype": "F32", "shape": [len(numbers)], "data_offsets": [0, len(data)]}
    header = json.dumps({name: entry}).encode()
    return len(header).to_bytes(8, "little") + header + data


def write_tiny(folder: Path, count: int = 0) -> None:
    """A model in a folder that is there; ``count`` tells one from another."""
    (folder / "config.json").write_text(json.dumps({"model_type": "made", "count": count}))
    (folder / "model.safetensors").write_bytes(safetensors_of(1.0, float(count)))
