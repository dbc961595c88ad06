"""One hash for all that data follow from: names, numbers, arrays."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import numpy as np

__all__ = ["digest_of"]


def digest_of(*parts: Any) -> str:
    """Hexadecimal BLAKE2b-128 of parts in their order: arrays, and values that JSON can express."""
    state = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, np.ndarray):
            _add(state, json.dumps([part.dtype.str, *part.shape]).encode())
            _add(state, np.ascontiguousarray(part).view(np.uint8).data)
        else:
            _add(state, json.dumps(part, sort_keys=True).encode())
    return state.hexdigest()


def _add(state: Any, data: bytes | memoryview) -> None:
    """Each part after its length, so that no two lists of parts run together alike."""
    state.update(len(data).to_bytes(8, "little"))
    state.update(data)
