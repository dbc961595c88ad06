"""All broken ports: of which family, where each parts, and what a server of completions shows."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, final

import broken_encoders
import broken_families
import broken_transformers

from lmkernel.families.family import HfConfig, find_family

if TYPE_CHECKING:
    from collections.abc import Mapping

    from port_breaks import Broken

__all__ = ["CONFIGS", "PORTS", "SERVED", "Served", "why_unseen"]

CONFIGS = {**broken_encoders.CONFIGS, **broken_families.CONFIGS, **broken_transformers.CONFIGS}
PORTS = [*broken_transformers.PORTS, *broken_families.PORTS, *broken_encoders.PORTS]
_UNSEEN: Mapping[str, str] = MappingProxyType(
    {
        "position_ids": "positions cannot be given",
        "cache": "no token is fed by itself",
        "restart": "no token is fed by itself",
        "shifted_cache": "no token is fed by itself",
    }
)
"""What log-probabilities of prompts cannot show, and why."""
_TOGETHER = ("mask", "padding_counted")
"""What is wrong where several prompts are sent at once, which no layer is the place of."""
_SHARED = "layer 0, or the embedding, the final norm or the head around it"

_DIGITS = ("dtype.logits", "dtype.all")
"""Log-probabilities of logits of 16 bits have more digits themselves."""


@final
@dataclass(frozen=True)
class Served:
    """What is seen of a port through a server that says log-probabilities alone.

    Args:
        port: the port.
        place: where checkpoints of the first layers say that it parts.
        looks: what it is; empty where that is unknown.
    """

    port: Broken
    place: str
    looks: str


def _continues_texts(name: str) -> bool:
    """Whether a server of completions may serve it: a decoder that predicts tokens."""
    values = CONFIGS[name]
    config = find_family(values["model_type"], name).read(HfConfig(values, name))
    return config.encoder is None and config.head is not None and config.head.pooling == "none"


def _served(port: Broken) -> Served:
    if port.id in _TOGETHER:
        return Served(port, "logits", "")
    word, _, rest = port.place.partition(" ")
    number = rest.partition(" ")[0]
    place = f"layer {number}" if word == "layer" and number != "0" else _SHARED
    return Served(port, place, "" if port.looks in _DIGITS else port.looks)


_DECODERS = frozenset(name for name in CONFIGS if _continues_texts(name))
SERVED = [_served(p) for p in PORTS if p.twin in _DECODERS and p.id not in _UNSEEN]
"""Those that a server of completions shows."""


def why_unseen(port: Broken) -> str:
    """Why a server of completions does not show a port's defect; empty where it does."""
    if port.twin not in _DECODERS:
        return "no server of completions serves its family"
    return _UNSEEN.get(port.id, "")
