"""What a run leaves: checkpoints on the way, and a model at the end."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from lmkernel.atomic import new_directory
from lmkernel.errors import RunError
from lmkernel.paths import user_path
from lmkernel.sources.hub import repository_of
from lmkernel.training.objectives import OBJECTIVES
from lmkernel.training.run.peft import write_adapters
from lmkernel.training.run.state_files import FOLDER, SavedState, write_state
from lmkernel.training.step.checks import check_finite_values

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.interfaces import TrainingState
    from lmkernel.training.run.folder import RunFolder
    from lmkernel.training.run.recording import Best
    from lmkernel.training.run.session import Session

__all__ = ["RESULT", "save_checkpoint", "write_result"]

RESULT = "model"
"""The folder of the resulting model, in the run's folder."""


def save_checkpoint(session: Session, folder: RunFolder, state: TrainingState, best: Best) -> None:
    """Write the checkpoint after a step, whole or not at all, then delete those not to be kept.

    Raises:
        CheckpointError: the disk refuses; what was there before stays.
        NotFiniteError: what was trained is NaN or infinite somewhere; nothing is written.
    """
    trainer = session.trainer
    trained, optimizer = trainer.trained(state), trainer.optimizer_values(state)
    check_finite_values(trained, state.step)
    facts = {
        "step": state.step,
        "data": session.data.training.digest,
        "seed": session.settings.training.seed,
        "backend": session.backend.name,
        "best": best.facts(),
    }
    adapters = trained if session.settings.lora else {}
    folder.restore_checkpoints()
    with new_directory(folder.checkpoint(state.step), overwrite=True) as place:
        _write_model(session, place, trained)
        write_state(place, SavedState(facts, optimizer, adapters))
    folder.prune(session.settings.training.keep, best.step)


def _write_model(session: Session, place: Path, trained: dict[str, Any]) -> None:
    origin, declared, lora = session.origin, session.trainer.declare(), session.settings.lora
    if lora is None:
        origin.fill(place, trained, declared)
        return
    # as others know it: by the place of its files, or by its name on the Hub
    base, revision = repository_of(origin.name)
    if user_path(origin.name).exists():
        base, revision = str(origin.own_files.path.absolute()), None
    task = OBJECTIVES[session.settings.objective].peft_task
    write_adapters(
        place, trained, lora, origin.rules, declared, base=base, revision=revision, task=task
    )
    if origin.own_tokenizer is not None:
        origin.tokenizer.save(place)


def write_result(session: Session, folder: RunFolder, best: Best) -> Path:
    """The model of the best checkpoint, or the last where none was evaluated; returns its folder.

    Adapters are written as such, or merged into their model if the settings ask for it.
    """
    latest = folder.latest()
    chosen = folder.checkpoint(best.step) if best.step is not None else latest
    if chosen is None or not chosen.exists():
        raise RunError(f"{chosen or folder.checkpoints}: expected the best checkpoint, got none")
    target = folder.path / RESULT
    with new_directory(target, overwrite=True) as place:
        if session.settings.lora is not None and session.settings.merge:
            _write_merged(session, chosen, place)
        else:
            shutil.copytree(
                chosen, place, dirs_exist_ok=True, ignore=shutil.ignore_patterns(FOLDER)
            )
    return target


def _write_merged(session: Session, chosen: Path, place: Path) -> None:
    origin, declared = session.origin, session.trainer.declare()
    origin.fill(place, origin.at_checkpoint(chosen).weights(declared), declared)
