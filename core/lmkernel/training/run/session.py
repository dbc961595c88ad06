"""A run put together from its settings: model, data, trainer, and the state it begins with.

Constraint: everything follows from the settings and the files that they name, so that a resumed run
is put together in the same way and then goes on from a checkpoint.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.backend import load_backend
from lmkernel.config import PrecisionPolicy
from lmkernel.errors import CheckpointError, ConfigError, InputError, RunError
from lmkernel.factory import ComponentFactory
from lmkernel.interfaces import LossConfig
from lmkernel.machine import whole_memory
from lmkernel.parameters import flatten
from lmkernel.plugins import TrackerSpec, default_registry
from lmkernel.progress import Progress
from lmkernel.results import human_size
from lmkernel.training.config import TrainerConfig
from lmkernel.training.data import Preparation
from lmkernel.training.objectives import find_objective
from lmkernel.training.run.model import model_of, with_problem_type
from lmkernel.training.run.recording import metrics_of
from lmkernel.training.run.state_files import read_state

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from lmkernel.backend import Backend
    from lmkernel.interfaces import TrainingState
    from lmkernel.model import Model
    from lmkernel.origin import Origin
    from lmkernel.training.data import RunData
    from lmkernel.training.run.settings import RunSettings
    from lmkernel.training.run.state_files import SavedState
    from lmkernel.training.step.trainer import ComposedTrainer

__all__ = ["Session", "evaluate_session", "prepare_session"]

_SILENT = Progress()


@final
@dataclass(frozen=True, kw_only=True)
class Session:
    """A run that can begin.

    Args:
        settings: what it follows from.
        backend: where it runs.
        origin: the model, with the head that the objective needs.
        data: what it is trained and validated on.
        trainer: takes the steps.
        weights: the model's first weights on the host; with adapters, those beneath them.
    """

    settings: RunSettings
    backend: Backend
    origin: Origin
    data: RunData
    trainer: ComposedTrainer
    weights: dict[str, NDArray[Any]]

    def begin(self) -> TrainingState:
        """The state before the first step."""
        return self.trainer.start(self.weights)

    def release(self) -> None:
        """Give up the first weights on the host, once there is a state: it has its own."""
        self.weights.clear()

    def resume(self, checkpoint: Path) -> tuple[TrainingState, SavedState]:
        """The state that a checkpoint holds.

        Raises:
            RunError: the data are not those that the run began with.
            CheckpointError: the checkpoint is damaged, or of another model.
        """
        saved = read_state(checkpoint)
        if saved.facts.get("data") != self.data.training.digest:
            raise RunError(
                f"{checkpoint}: expected the data that the run began with, got others; "
                "begin a new run, with this checkpoint as model.start"
            )
        trained = saved.trained or self.origin.at_checkpoint(checkpoint).weights(
            self.trainer.declare()
        )
        try:
            state = self.trainer.restore(self.weights, trained, saved.optimizer, saved.step)
        except InputError as error:
            raise CheckpointError(f"{checkpoint}: {error}") from error
        return state, saved


def prepare_session(
    settings: RunSettings,
    progress: Progress = _SILENT,
    *,
    whole: bool = False,
    backend: Backend | None = None,
) -> Session:
    """Everything that a run needs.

    Args:
        settings: what it follows from.
        progress: hears of long work.
        whole: validate on all data, to evaluate without training.
        backend: where it runs, on several processes; by default what the settings name.

    Raises:
        LmkernelError: whatever is wrong with settings, model or data, by its name.
    """
    backend = backend or load_backend(settings.backend or None, device=settings.device or None)
    training = settings.training
    backend.capabilities.require_dtype(backend.name, training.precision, backend.device)
    for name in settings.trackers:
        default_registry().get(TrackerSpec, name)
    origin = model_of(settings, progress)
    prepared = Preparation.of(settings, origin, progress, compiled=backend.capabilities.compiled)
    objective = find_objective(settings.objective)
    data = (prepared.whole if whole else prepared.split)(settings.objective)
    origin = origin.with_head(settings.objective, data.labels)
    origin = with_problem_type(origin, settings, progress)
    config = TrainerConfig(
        model=origin.config,
        loss=LossConfig(
            kind=objective.loss,
            smoothing=training.smoothing,
            blank=(origin.config.head and origin.config.head.blank) or 0,
        ),
        optimizer=settings.optimizer,
        schedule=settings.schedule,
        steps=training.steps,
        policy=PrecisionPolicy(compute=training.precision),  # type: ignore[arg-type]  # checked by the settings
        clip=training.clip,
        remat=training.remat,
        lora=settings.lora,
        seed=training.seed,
    )
    trainer = ComponentFactory(backend).create("trainer", config)
    frozen = settings.lora is not None
    if origin.files is None:
        _require_room(trainer.model)
    weights = origin.first_weights(trainer.model, training.seed, frozen=frozen)
    return Session(
        settings=settings,
        backend=backend,
        origin=origin,
        data=data,
        trainer=trainer,
        weights=weights,
    )


def evaluate_session(settings: RunSettings, progress: Progress = _SILENT) -> dict[str, float]:
    """Loss, and what follows from it, over all of the data that the settings name."""
    # adapters that were not trained change nothing, so they are left out
    plain = replace(settings, lora=None, merge=False)
    session = prepare_session(plain, progress, whole=True)
    return metrics_of(session.trainer, session.begin(), session.data)


def _require_room(model: Model) -> None:
    """Refuse a new model whose weights alone the machine could not hold; it would be killed."""
    count = sum(math.prod(param.shape) for param in flatten(model.declare()).values())
    need, there = count * np.dtype(model.policy.params).itemsize, whole_memory()
    if there is not None and need > there:
        raise ConfigError(
            f"a new model of {count:.3g} parameters: expected weights that this machine's memory "
            f"of {human_size(there)} holds, got {human_size(need)}"
        )
