"""A run put together from its settings: model, data, trainer, and the state it begins with.

Constraint: everything follows from the settings and the files that they name, so that a resumed run
is put together in the same way and then goes on from a checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

from lmkernel.backend import load_backend
from lmkernel.config import PrecisionPolicy
from lmkernel.errors import CheckpointError, ConfigError, InputError, RunError
from lmkernel.factory import ComponentFactory
from lmkernel.interfaces import LossConfig
from lmkernel.plugins import TrackerSpec, default_registry
from lmkernel.training.config import TrainerConfig
from lmkernel.training.data import DataConfig, Preparation
from lmkernel.training.objectives import OBJECTIVES
from lmkernel.training.run.model import first_weights, model_of
from lmkernel.training.run.recording import metrics_of
from lmkernel.training.run.state_files import read_state

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from lmkernel.backend import Backend
    from lmkernel.interfaces import TrainingState
    from lmkernel.origin import Origin
    from lmkernel.progress import Progress
    from lmkernel.training.data import RunData
    from lmkernel.training.run.settings import RunSettings
    from lmkernel.training.run.state_files import SavedState
    from lmkernel.training.step.trainer import ComposedTrainer

__all__ = ["Session", "evaluate_session", "prepare_session"]

_LONGEST = 512
"""Most positions of an example unless more are asked for."""
_MULTIPLE, _COMPILED_MULTIPLE = 8, 64
"""Of which lengths of padded rows are: each one is compiled once where a backend compiles."""


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
    weights: Mapping[str, NDArray[Any]]

    def begin(self) -> TrainingState:
        """The state before the first step."""
        return self.trainer.start(self.weights)

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
        trained = saved.trained or self.origin.reopened(checkpoint).weights(self.trainer.declare())
        try:
            state = self.trainer.restore(self.weights, trained, saved.optimizer, saved.step)
        except InputError as error:
            raise CheckpointError(f"{checkpoint}: {error}") from error
        return state, saved


def prepare_session(
    settings: RunSettings,
    progress: Progress | None = None,
    *,
    whole: bool = False,
) -> Session:
    """Everything that a run needs.

    Args:
        settings: what it follows from.
        progress: hears of long work.
        whole: validate on all data, to evaluate without training.

    Raises:
        LmkernelError: whatever is wrong with settings, model or data, by its name.
    """
    backend = load_backend(settings.backend or None, device=settings.device or None)
    training = settings.training
    backend.capabilities.require_dtype(backend.name, training.precision, backend.device)
    for name in settings.trackers:
        default_registry().get(TrackerSpec, name)
    origin = model_of(settings, progress)
    asked = _preparation(settings, origin, progress, compiled=backend.capabilities.compiled)
    data = (asked.whole if whole else asked.split)(settings.objective)
    origin = origin.with_head(settings.objective, data.labels)
    trainer = ComponentFactory(backend).create("trainer", _trainer_config(settings, origin))
    return Session(
        settings=settings,
        backend=backend,
        origin=origin,
        data=data,
        trainer=trainer,
        weights=first_weights(
            origin, trainer.model, training.seed, frozen=settings.lora is not None
        ),
    )


def evaluate_session(settings: RunSettings, progress: Progress | None = None) -> dict[str, float]:
    """Loss, and what follows from it, over all of the data that the settings name."""
    # adapters that were not trained change nothing, so they are left out
    plain = replace(settings, lora=None, merge=False)
    session = prepare_session(plain, progress, whole=True)
    return metrics_of(session.trainer, session.begin(), session.data)


def _preparation(
    settings: RunSettings, origin: Origin, progress: Progress | None, *, compiled: bool
) -> Preparation:
    """How the batches of a run are made."""
    data, training, context = settings.data, settings.training, origin.config.context
    if context and data.context > context:
        raise ConfigError(
            f"data.context: expected at most the model's context of {context}, got {data.context}"
        )
    config = DataConfig(
        source=data.train,
        validation=data.validation or None,
        validation_share=data.validation_share,
        context=data.context or min(context or _LONGEST, _LONGEST),
        batch=training.batch,
        seed=training.seed,
        multiple=_COMPILED_MULTIPLE if compiled else _MULTIPLE,
        truncate=data.truncate,
        blank_lines=data.blank_lines,
        columns=data.columns,
    )
    return Preparation(
        data=config,
        tokenizer=origin.tokenizer,
        vocab=origin.config.embedding.vocab,
        labels=origin.labels if OBJECTIVES[settings.objective].needs_labels else (),
        progress=progress,
    )


def _trainer_config(settings: RunSettings, origin: Origin) -> TrainerConfig:
    training = settings.training
    return TrainerConfig(
        model=origin.config,
        loss=LossConfig(kind="cross_entropy", smoothing=training.smoothing),
        optimizer=settings.optimizer,
        schedule=settings.schedule,
        steps=training.steps,
        policy=PrecisionPolicy(compute=training.precision),  # type: ignore[arg-type]  # checked by the settings
        clip=training.clip,
        remat=training.remat,
        lora=settings.lora,
        seed=training.seed,
    )
