"""A plan: what each device holds and sends, and the least that a step can take."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.results import Result, human_size

if TYPE_CHECKING:
    from lmkernel.training.planning.costs import Held, Sent
    from lmkernel.training.planning.hardware import Hardware

__all__ = ["Plan"]

_HELD = ("parameters", "gradients", "moments", "joined", "activations", "cache")
_SENT = ("gradients", "weights", "activations")


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class Plan(Result):
    """What a step of training asks of each device.

    Args:
        model: which.
        mesh: how devices are arranged.
        parameters: numbers of the whole model.
        tokens: positions of a step, on all devices together.
        held, sent: bytes of one device.
        bounds: seconds that a step takes at least, by what bounds it: ``"compute"``, ``"memory"``
            and ``"network"``.
        hardware: what one device can do.
    """

    model: str
    mesh: str
    parameters: int
    tokens: int
    held: Held
    sent: Sent
    bounds: dict[str, float]
    hardware: Hardware

    @property
    def fits(self) -> bool:
        """Whether a device has as much memory as training holds."""
        return self.held.training <= self.hardware.memory

    def rows(self) -> list[list[str]]:
        """Its table."""
        kept, sent = asdict(self.held), asdict(self.sent)
        return [
            ["EACH DEVICE", "BYTES"],
            *([f"holds {name}", human_size(round(kept[name]))] for name in _HELD if kept[name]),
            *([f"sends {name}", human_size(round(sent[name]))] for name in _SENT if sent[name]),
        ]

    def notes(self) -> list[str]:
        """The sums, and the bounds of a step."""
        memory = human_size(round(self.hardware.memory))
        whole = human_size(round(self.held.training))
        fit = "fits" if self.fits else "does not fit"
        slowest = max(self.bounds, key=lambda name: self.bounds[name])
        bounds = ", ".join(f"{name} {_time(seconds)}" for name, seconds in self.bounds.items())
        sizes = f"{self.parameters:,} parameters, {self.tokens:,} tokens a step"
        return [
            f"{self.model} on {self.mesh or 'one device'}: {sizes}",
            f"training holds {whole} on each device, which {fit} in its {memory}",
            f"each sends {human_size(round(self.sent.total))} a step",
            f"a step takes at least, by {bounds}: {slowest} bounds it",
        ]

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {
            "model": self.model,
            "mesh": self.mesh,
            "parameters": self.parameters,
            "tokens": self.tokens,
            "held": asdict(self.held),
            "sent": asdict(self.sent),
            "seconds": self.bounds,
            "hardware": asdict(self.hardware),
            "fits": self.fits,
        }

    def __repr__(self) -> str:
        return f"Plan({self.model!r}, {self.mesh!r}, fits={self.fits})"


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{seconds * 1e3:.3g} ms"
