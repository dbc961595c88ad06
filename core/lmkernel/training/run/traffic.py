"""What a process of a run sends and holds, beside what formulas say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from lmkernel.config import TransformerConfig
from lmkernel.distribution.traffic import sent_bytes
from lmkernel.machine import peak_memory
from lmkernel.parameters import flatten
from lmkernel.results import human_size
from lmkernel.training.planning.costs import Work, held, sent

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.interfaces import TrainingState
    from lmkernel.training.run.session import Session

__all__ = ["Traffic", "describe_costs", "work_of"]


@final
class Traffic:
    """Bytes that this process sends from one step to the next.

    An evaluation or a checkpoint between two steps sends too, so the least of all is a step's own.

    Args:
        count: bytes sent so far, or None where nothing counts them.
    """

    def __init__(self, count: Callable[[], int | None] = sent_bytes) -> None:
        self._count, self._before = count, count()
        self.least: int | None = None

    def step(self) -> int | None:
        """Bytes sent since the last call, or since this was made."""
        now, before = self._count(), self._before
        self._before = now
        if now is None or before is None:
            return None
        since = now - before
        self.least = since if self.least is None else min(self.least, since)
        return since


def work_of(session: Session, state: TrainingState) -> Work | None:
    """A step of a run, as a plan takes it; None where a plan has no formula for it.

    Those are models that are no stack of transformer layers, and adapters.
    """
    config, settings = session.origin.config, session.settings
    stack = config.decoder or config.encoder
    both = config.decoder is not None and config.encoder is not None
    if not isinstance(stack, TransformerConfig) or both or settings.lora is not None:
        return None
    rows, context = session.data.training.at(0)["inputs"].shape[:2]
    return Work(
        declared=flatten(session.trainer.declare()),
        stack=stack,
        vocab=config.head.size if config.head else 0,
        mesh=session.backend.distribution.mesh,
        batch=rows,
        context=context,
        accumulate=settings.training.accumulate,
        moments=len(flatten(state.optimizer)) // max(len(state.trainable), 1),
        size=2 if settings.training.precision == "bfloat16" else 4,
    )


def describe_costs(traffic: Traffic, work: Work | None) -> str:
    """What a process sent and held, and what formulas say, in a sentence."""
    memory = peak_memory()
    parts = [
        f"sent {human_size(traffic.least)} a step" if traffic.least is not None else "",
        f"had at most {human_size(memory)} in memory" if memory else "",
    ]
    said = f"process 0 {' and '.join(part for part in parts if part)}"
    if work is None:
        return said
    kept = held(work)
    whole = round(kept.parameters + kept.gradients + kept.moments)
    return (
        f"{said}; by formula {human_size(round(sent(work).total))} a step, and "
        f"{human_size(whole)} of parameters, gradients and moments"
    )
