"""A run put together from its settings: model, data, trainer, and the state it begins with.

Constraint: everything follows from the settings and the files that they name, so that a resumed run
is put together in the same way and then goes on from a checkpoint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.backend import load_backend
from lmkernel.config import PrecisionPolicy
from lmkernel.errors import CheckpointError, ConfigError, InputError, RunError
from lmkernel.factory import ComponentFactory
from lmkernel.interfaces import LossConfig
from lmkernel.plugins import TrackerSpec
from lmkernel.training.config import TrainerConfig
from lmkernel.training.data import DataConfig, Preparation
from lmkernel.training.run.start import Start, start_of
from lmkernel.training.run.state_files import read_state
from lmkernel.training.run.trainee import Trainee, first_weights, open_checkpoint

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from lmkernel.backend import Backend
    from lmkernel.interfaces import TrainingState
    from lmkernel.plugins.registry import Registry
    from lmkernel.sources.progress import Progress
    from lmkernel.training.data import Prepared
    from lmkernel.training.run.settings import RunSettings
    from lmkernel.training.run.state_files import SavedState
    from lmkernel.training.step.trainer import ComposedTrainer

__all__ = ["Session", "put_together"]

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
        trainee: the model, as files know it.
        data: what it is trained and validated on.
        trainer: takes the steps.
        weights: the model's first weights on the host; with adapters, those beneath them.
    """

    settings: RunSettings
    backend: Backend
    trainee: Trainee
    data: Prepared
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
        trained = saved.trained or open_checkpoint(checkpoint, self.trainee, self.trainer.model)
        try:
            state = self.trainer.restore(self.weights, trained, saved.optimizer, saved.step)
        except InputError as error:
            raise CheckpointError(f"{checkpoint}: {error}") from error
        return state, saved


def put_together(
    settings: RunSettings,
    registry: Registry,
    progress: Progress | None = None,
    *,
    whole: bool = False,
) -> Session:
    """Everything that a run needs.

    Args:
        settings: what it follows from.
        registry: where names are looked up.
        progress: hears of long work.
        whole: validate on all data, to evaluate without training.

    Raises:
        LmkernelError: whatever is wrong with settings, model or data, by its name.
    """
    backend = load_backend(
        settings.backend or None, device=settings.device or None, registry=registry
    )
    precision = settings.training.precision
    backend.capabilities.require_dtype(backend.name, precision, backend.device)
    for name in settings.trackers:
        registry.get(TrackerSpec, name)
    start = start_of(settings, registry, progress)
    asked = preparation(settings, start, progress, compiled=backend.capabilities.compiled)
    data = (asked.whole if whole else asked.split)(settings.objective)
    trainee = start.trainee(settings, data.labels, registry)
    config = trainer_config(settings, trainee)
    trainer = ComponentFactory(backend, registry).create("trainer", config)
    return Session(
        settings=settings,
        backend=backend,
        trainee=trainee,
        data=data,
        trainer=trainer,
        weights=first_weights(
            trainee, trainer.model, settings.training.seed, frozen=settings.lora is not None
        ),
    )


def preparation(
    settings: RunSettings, start: Start, progress: Progress | None, *, compiled: bool
) -> Preparation:
    """How the batches of a run are made."""
    data, training = settings.data, settings.training
    if start.context and data.context > start.context:
        raise ConfigError(
            f"data.context: expected at most the model's context of {start.context}, "
            f"got {data.context}"
        )
    config = DataConfig(
        source=data.train,
        validation=data.validation or None,
        validation_share=data.validation_share,
        context=data.context or min(start.context or _LONGEST, _LONGEST),
        batch=training.batch,
        seed=training.seed,
        multiple=_COMPILED_MULTIPLE if compiled else _MULTIPLE,
        truncate=data.truncate,
        blank_lines=data.blank_lines,
        columns=data.columns,
    )
    return Preparation(
        data=config,
        tokenizer=start.tokenizer,
        vocab=start.vocab,
        labels=start.labels if settings.objective == "classification" else (),
        progress=progress,
    )


def trainer_config(settings: RunSettings, trainee: Trainee) -> TrainerConfig:
    """What the trainer is told."""
    training = settings.training
    return TrainerConfig(
        model=trainee.config,
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
