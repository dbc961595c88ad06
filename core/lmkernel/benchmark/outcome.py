"""The result of a benchmark: speeds beside what the machine allows."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.results import Result

if TYPE_CHECKING:
    from lmkernel.benchmark.speed import Speed

__all__ = ["BUSY", "Benchmark"]

BUSY = 0.05
"""The share of the processors' time that others may take without making figures doubtful."""


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class Benchmark(Result):
    """A model's speed on several backends.

    Args:
        model: its name or path.
        parameters: how many numbers it has learnt.
        read_rate: bytes a second that the machine reads from memory.
        prompt_tokens: length of the prompt that is read.
        new_tokens: how many tokens were written.
        repeats: how many times each speed was measured.
        speeds: of each backend.
    """

    model: str
    parameters: int
    read_rate: float
    prompt_tokens: int
    new_tokens: int
    repeats: int
    speeds: tuple[Speed, ...]

    @property
    def product_rate(self) -> float:
        """Operations a second of the fastest product that was found."""
        return max(one.product_rate for one in self.speeds)

    def rows(self) -> list[list[str]]:
        """A row for each backend."""
        several = any(one.decode_batch is not None for one in self.speeds)
        head = ["BACKEND", "DECODE", "OF READING", *["BATCH 8"] * several]
        rows = [[*head, "PREFILL", "OF PRODUCTS", "FIRST RUN"]]
        for one in self.speeds:
            read = f"{one.share_of_reading(self.read_rate):.0%}"
            multiplied = f"{one.share_of_products(self.product_rate):.0%}"
            both = "" if one.decode_batch is None else f"{one.decode_batch:.1f}"
            cells = [one.backend, f"{one.decode:.1f}", read, *[both] * several]
            rows.append([*cells, f"{one.prefill:.0f}", multiplied, f"{one.first_seconds:.1f} s"])
        return rows

    def notes(self) -> list[str]:
        """What the figures mean, and what they were measured on."""
        read, multiplied = self.read_rate / 1e9, self.product_rate / 1e9
        written = f"{self.new_tokens} tokens written, {self.prompt_tokens} read by prefill"
        products = f"of products: a prompt's, at {multiplied:.0f} GFLOP/s"
        lines = [
            f"tokens/s, the median of {self.repeats}: {written}",
            f"of reading: a step reads the weights once, at {read:.1f} GB/s; {products}",
            *self._where(),
        ]
        for one in self.speeds:
            if one.weights:
                lines.append(f"{one.backend}: weights {one.weights}")
            if one.others is not None and one.others > BUSY:
                lines.append(
                    f"{one.backend}: other programs took {one.others:.0%} of the processors' time, "
                    "twice; the figures are too low"
                )
        return lines

    def _where(self) -> list[str]:
        """The machine, and the version of everything that took part."""
        here = self.speeds[0].environment
        count = here["processors"]
        packages = {n: v for one in self.speeds for n, v in one.environment["packages"].items()}
        versions = {"python": here["python"], **packages}
        where = f"{count['usable']} of {count['there']} processors, {here['system']}"
        parts = [f"{name} {number}" for name, number in versions.items()]
        return [f"{here['processor']}, {where}", ", ".join(parts)]

    def json(self) -> dict[str, Any]:
        """The same as plain values, with the shares."""
        return {
            **{f.name: getattr(self, f.name) for f in dataclasses.fields(self)},
            "product_rate": self.product_rate,
            "speeds": [
                {
                    **dataclasses.asdict(one),
                    "share_of_reading": one.share_of_reading(self.read_rate),
                    "share_of_products": one.share_of_products(self.product_rate),
                }
                for one in self.speeds
            ],
        }

    def __repr__(self) -> str:
        speeds = ", ".join(f"{one.backend} {one.decode:.1f} tokens/s" for one in self.speeds)
        return f"Benchmark({self.model!r}: {speeds})"
