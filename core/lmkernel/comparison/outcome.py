"""The result of a comparison: a table, sentences about where backends part, and numbers."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.results import Paint, Result, plain

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.comparison.layers import Deviation, Limit
    from lmkernel.comparison.metrics import Metrics
    from lmkernel.comparison.verdict import BackendVerdict

__all__ = ["Comparison", "LayerComparison"]

_HONEST = "HONEST: the largest error of 16 float32 runs of the default backend against float64"
_SHOWN = 40
"""How many characters of a prompt a sentence quotes."""


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class Comparison(Result):
    """Backends beside the reference.

    Args:
        model: the model's name or path.
        prompts: the texts.
        prompt_tokens: the ids of each.
        tokens: the reference's answer to each.
        backends: a verdict for each backend.
    """

    model: str
    prompts: tuple[str, ...]
    prompt_tokens: tuple[tuple[int, ...], ...]
    tokens: tuple[tuple[int, ...], ...]
    backends: tuple[BackendVerdict, ...]

    @property
    def passed(self) -> bool:
        """Whether every backend agrees with the reference."""
        return all(verdict.passed for verdict in self.backends)

    def rows(self) -> list[list[str]]:
        """Its table."""
        return self.rows_in_colour(plain)

    def rows_in_colour(self, paint: Paint) -> list[list[str]]:
        """A row for each backend, its verdict in colour."""
        rows = [["BACKEND", "TOKENS", "LARGEST LOGIT ERROR", "BUDGET", "TOKENS/S", "VERDICT"]]
        for v in self.backends:
            equal = f"{v.prompts - len(v.partings)}/{v.prompts} equal"
            verdict = paint("ok", "green") if v.passed else paint("differs", "red")
            numbers = (f"{v.error:.2e}", f"{v.budget:.2e}", f"{v.tokens_per_second:.1f}")
            rows.append([v.backend, equal, *numbers, verdict])
        return rows

    def notes(self) -> list[str]:
        """What the errors are against, and where answers part."""
        lines = [
            "errors are against the float64 reference on the default backend",
            "tokens/s are of decoding alone; what compiles has done so beforehand",
        ]
        lines += [f"{v.backend}: {_known_numbers(v.metrics)}" for v in self.backends if v.metrics]
        for v in self.backends:
            for p in v.partings:
                what = "a tie" if p.tie else "NOT a tie"
                lines.append(
                    f"{v.backend}: prompt {p.prompt + 1} ({self.prompts[p.prompt][:_SHOWN]!r}) "
                    f"parts at token {p.step + 1}: expected {p.expected}, got {p.got}; their "
                    f"logits are {p.gap:.2e} apart: {what}"
                )
        return lines

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        answers = [
            {"prompt": text, "prompt_tokens": list(ids), "tokens": list(out)}
            for text, ids, out in zip(self.prompts, self.prompt_tokens, self.tokens, strict=True)
        ]
        rows = [{**dataclasses.asdict(v), "passed": v.passed} for v in self.backends]
        return {"model": self.model, "reference": answers, "backends": rows}

    def __repr__(self) -> str:
        verdicts = ", ".join(
            f"{v.backend} {'ok' if v.passed else 'differs'}" for v in self.backends
        )
        return f"Comparison({self.model!r}: {verdicts})"


@final
@dataclass(frozen=True, kw_only=True, repr=False)
class LayerComparison(Result):
    """Backends beside the reference, activation by activation.

    Args:
        model: the model's name or path.
        prompt_tokens: the ids of each prompt.
        limits: the budget of each activation.
        backends: the errors at each activation, by backend, in the same order.
        sentences: a sentence for each backend that parts: from whom, and where first.
    """

    model: str
    prompt_tokens: tuple[tuple[int, ...], ...]
    limits: tuple[Limit, ...]
    backends: Mapping[str, tuple[Deviation, ...]]
    sentences: tuple[str, ...]

    @property
    def passed(self) -> bool:
        """Whether no backend leaves its budget anywhere."""
        return all(row.share <= 1 for rows in self.backends.values() for row in rows)

    @property
    def parts_at(self) -> dict[str, str | None]:
        """The first activation at which each backend leaves its budget, or None."""
        return {
            name: next((row.activation for row in rows if not row.share <= 1), None)
            for name, rows in self.backends.items()
        }

    def rows(self) -> list[list[str]]:
        """Its table."""
        return self.rows_in_colour(plain)

    def rows_in_colour(self, paint: Paint) -> list[list[str]]:
        """A row for each activation; what is outside its budget in colour."""
        rows = [["ACTIVATION", "HONEST", *(name.upper() for name in self.backends)]]
        for i, limit in enumerate(self.limits):
            cells = (_cell(own[i], paint) for own in self.backends.values())
            rows.append([limit.activation, f"{limit.honest.max():.2e}", *cells])
        return rows

    def notes(self) -> list[str]:
        """What the numbers mean, and who parts."""
        return [
            _HONEST,
            "a backend: its largest error, (as a multiple of the honest one, share of the budget)",
            *self.sentences,
        ]

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        activations = [
            {
                "activation": limit.activation,
                "honest": float(limit.honest.max()),
                "backends": {name: _numbers(own[i]) for name, own in self.backends.items()},
            }
            for i, limit in enumerate(self.limits)
        ]
        return {
            "model": self.model,
            "prompt_tokens": [list(ids) for ids in self.prompt_tokens],
            "activations": activations,
            "parts_at": self.parts_at,
            "sentences": list(self.sentences),
        }

    def __repr__(self) -> str:
        return f"LayerComparison({self.model!r}: {'; '.join(self.sentences)})"


def _known_numbers(metrics: Metrics) -> str:
    """What others compare by: of the next token, of the whole distribution, of the choice."""
    values = {
        "mean |Δlog p| {:.2e}": metrics.log_prob,
        "mean exp|Δlog p| {:.7f}": metrics.ratio,
        "KL {:.2e}": metrics.kl_forward,
    }
    numbers = [text.format(value) for text, value in values.items() if value is not None]
    if metrics.agreement is not None:
        numbers.append(f"first choice equal at {metrics.agreement:.1%} of {metrics.positions}")
    return ", ".join(numbers)


def _cell(row: Deviation, paint: Paint) -> str:
    cell = f"{row.error:.2e} ({row.honest:.2g}×, {row.share:.0%})"
    return cell if row.share <= 1 else paint(cell, "red")


def _numbers(row: Deviation) -> dict[str, float | None]:
    """None stands for what has no bound, such as NaN."""
    values = dataclasses.asdict(row)
    del values["activation"]
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
