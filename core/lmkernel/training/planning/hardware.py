"""What one device can do: a small table of makers' figures, and numbers of one's own.

Sources: NVIDIA's data sheets of the A100 80GB SXM, the H100 SXM and the H200 SXM (dense products in
bfloat16; NVLink, one way), and Google Cloud's pages "TPU v5e" and "TPU v5p" (between chips).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, final

from lmkernel.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["HARDWARE", "Hardware", "parse_hardware"]


@final
@dataclass(frozen=True, kw_only=True)
class Hardware:
    """One device, as its maker describes it; a run reaches a part of each.

    Args:
        flops: products and sums a second.
        memory: bytes that it has.
        bandwidth: bytes a second between its memory and itself.
        network: bytes a second that it sends to its peers.
    """

    flops: float
    memory: float
    bandwidth: float
    network: float


HARDWARE: Mapping[str, Hardware] = MappingProxyType(
    {
        "a100": Hardware(flops=312e12, memory=80e9, bandwidth=2.039e12, network=300e9),
        "h100": Hardware(flops=989e12, memory=80e9, bandwidth=3.35e12, network=450e9),
        "h200": Hardware(flops=989e12, memory=141e9, bandwidth=4.8e12, network=450e9),
        "tpu-v5e": Hardware(flops=197e12, memory=16e9, bandwidth=819e9, network=200e9),
        "tpu-v5p": Hardware(flops=459e12, memory=95e9, bandwidth=2.765e12, network=600e9),
    }
)
"""Devices by name."""


def parse_hardware(text: str) -> Hardware:
    """The device of a text: a name, numbers, or both: ``"h100,network=5e10"``.

    Raises:
        InputError: no such device or number, or one that is missing.
    """
    name, *rest = text.split(",")
    parts = rest if name in HARDWARE else [name, *rest]
    numbers = dict(_number(part) for part in parts)
    if name in HARDWARE:
        return replace(HARDWARE[name], **numbers)
    missing = [field.name for field in fields(Hardware) if field.name not in numbers]
    if missing:
        raise InputError(f"hardware: expected {', '.join(missing)} too, got {text!r}")
    return Hardware(**numbers)


def _number(part: str) -> tuple[str, float]:
    known = [field.name for field in fields(Hardware)]
    name, _, value = (word.strip() for word in part.partition("="))
    try:
        number = float(value)
    except ValueError:
        number = math.nan
    if name not in known or not (0 < number < math.inf):
        raise InputError(
            f"hardware: expected one of {', '.join(HARDWARE)}, or numbers such as "
            f"{'=1e12,'.join(known)}=1e12; got {part!r}"
        )
    return name, number
