"""What a backend declares of itself, readable without importing it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from lmkernel.errors import CapabilityError

__all__ = ["FLOATING", "WIDE", "Capabilities", "DType"]

DType = Literal["float32", "float64", "bfloat16", "float16", "int32", "bool"]
FLOATING: tuple[DType, ...] = ("float32", "float64", "bfloat16", "float16")
WIDE: dict[DType, DType] = {"bfloat16": "float32", "float16": "float32"}
"""The dtype in which sums over a narrow dtype accumulate; the others use their own."""


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """Declared in advance and asked for; nothing falls back in silence.

    Args:
        dtypes: floating dtypes; float32 and float64 are mandatory.
        devices: kinds of device, such as ``"cpu"``; the first is the default.
        compiled: whether `compile` specialises on shapes. Then the core keeps shapes few: it
            pads prompts and grows caches in steps of ``shape_step``.
        shape_step: the multiple that varying lengths are rounded up to; 1 when not compiled.
        unsupported: operations that raise `CapabilityError` when called, each with its reason.
    """

    dtypes: tuple[DType, ...] = ("float32", "float64")
    devices: tuple[str, ...] = ("cpu",)
    compiled: bool = False
    shape_step: int = 1
    unsupported: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        missing = {"float32", "float64"} - set(self.dtypes)
        unknown = set(self.dtypes) - set(FLOATING)
        if missing or unknown:
            raise CapabilityError(
                f"dtypes: expected float32, float64 and any of {', '.join(FLOATING)}; "
                f"got {', '.join(self.dtypes)}"
            )
        if not self.devices or self.shape_step < 1:
            raise CapabilityError(
                f"expected a device and shape_step >= 1; got {self.devices}, {self.shape_step}"
            )

    def require_dtype(self, backend: str, dtype: str) -> DType:
        """Return ``dtype`` if it is declared, else raise `CapabilityError`."""
        for declared in self.dtypes:
            if declared == dtype:
                return declared
        known = "" if dtype in get_args(DType) else " (no such dtype is known)"
        raise CapabilityError(
            f"backend {backend!r} declares the dtypes {', '.join(self.dtypes)}; "
            f"got {dtype!r}{known}"
        )
