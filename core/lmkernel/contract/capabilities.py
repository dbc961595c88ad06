"""What a backend declares of itself, readable without importing it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, get_args

from lmkernel.contract.fields import check_fields
from lmkernel.errors import CapabilityError, as_text, shown

__all__ = ["FLOATING", "REPEATABLE", "WIDE", "Capabilities", "DType"]

DType = Literal["float32", "float64", "bfloat16", "float16", "int32", "bool"]
FLOATING: tuple[DType, ...] = ("float32", "float64", "bfloat16", "float16")
WIDE: dict[DType, DType] = {"bfloat16": "float32", "float16": "float32"}
"""The dtype in which sums over a narrow dtype accumulate; the others use their own."""
REPEATABLE = ("runs", "batch", "decoding")
"""What a backend may declare to hold to the last bit: a result asked for again; a row, whatever the
others of its batch; decoding token by token, beside all tokens at once."""


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """Declared in advance and asked for; nothing falls back in silence.

    Args:
        dtypes: floating dtypes; float32 and float64 are mandatory.
        devices: kinds of device, such as ``"cpu"``; the first is the default.
        device_dtypes: those of kinds of device, not the default one, that have others, such as a
            GPU without float64; float32 is mandatory on each.
        compiled: whether `compile` specialises on shapes. Then the core keeps shapes few: it
            pads prompts and grows caches in steps of ``shape_step``.
        shape_step: the multiple that varying lengths are rounded up to; 1 when not compiled.
        unsupported: operations that raise `CapabilityError` when called, each with its reason.
        bitwise: those of `REPEATABLE` that hold to the last bit, by kind of device; the others hold
            within the budget of rounding.
    """

    dtypes: tuple[DType, ...] = ("float32", "float64")
    devices: tuple[str, ...] = ("cpu",)
    compiled: bool = False
    shape_step: int = 1
    unsupported: dict[str, str] = field(default_factory=dict)
    device_dtypes: dict[str, tuple[DType, ...]] = field(default_factory=dict)
    bitwise: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        check_fields(self, Capabilities, "capabilities.")
        _require(self.dtypes, "dtypes", "float32", "float64")
        for kind, dtypes in self.device_dtypes.items():
            _require(dtypes, f"device_dtypes of {kind}", "float32")
        if not self.devices or self.shape_step < 1:
            raise CapabilityError(
                f"expected a device and shape_step >= 1; got {self.devices}, {self.shape_step}"
            )
        for kind, properties in self.bitwise.items():
            if kind not in self.devices or set(properties) - set(REPEATABLE):
                raise CapabilityError(
                    f"bitwise: expected some of {', '.join(REPEATABLE)} on any of "
                    f"{', '.join(self.devices)}; got {', '.join(properties)} on {kind}"
                )
        strange = set(self.device_dtypes) - set(self.devices[1:])
        if strange:
            raise CapabilityError(
                f"device_dtypes: expected any of {', '.join(self.devices[1:]) or 'no device'}; "
                f"got {', '.join(sorted(strange))}"
            )

    def dtypes_on(self, device: str) -> tuple[DType, ...]:
        """The floating dtypes on a device: a declared kind, with an optional index."""
        return self.device_dtypes.get(device.partition(":")[0], self.dtypes)

    def bitwise_on(self, device: str) -> tuple[str, ...]:
        """What holds to the last bit on a device: a declared kind, with an optional index."""
        return self.bitwise.get(device.partition(":")[0], ())

    def require_device(self, backend: str, device: str) -> str:
        """Return ``device`` if it is a declared kind, with an optional index.

        Whether the machine has it is for the backend to say: `lmkernel.backend.require_present`.

        Raises:
            CapabilityError: the kind is not declared, or the index is not a whole number.
        """
        kind, colon, index = as_text(device).partition(":")
        if kind not in self.devices:
            raise CapabilityError(
                f"backend {backend!r} declares the devices {', '.join(self.devices)}; "
                f"got {shown(device)}"
            )
        if colon and not (index.isascii() and index.isdigit()):
            raise CapabilityError(
                f"backend {backend!r}: expected a whole number as the index of a device, "
                f"such as '{kind}:0'; got {shown(device)}"
            )
        return device

    def require_dtype(self, backend: str, dtype: str, device: str = "") -> DType:
        """Return ``dtype`` if it is declared for the device, else raise `CapabilityError`."""
        there, text = self.dtypes_on(device), as_text(dtype)
        for declared in there:
            if declared == text:
                return declared
        known = "" if text in get_args(DType) else " (no such dtype is known)"
        where = f" on {device}" if self.device_dtypes and device else ""
        raise CapabilityError(
            f"backend {backend!r} declares the dtypes {', '.join(there)}{where}; "
            f"got {shown(dtype)}{known}"
        )


def _require(dtypes: tuple[DType, ...], what: str, *mandatory: DType) -> None:
    if set(mandatory) - set(dtypes) or set(dtypes) - set(FLOATING):
        raise CapabilityError(
            f"{what}: expected {', '.join(mandatory)} and any of {', '.join(FLOATING)}; "
            f"got {', '.join(dtypes)}"
        )
