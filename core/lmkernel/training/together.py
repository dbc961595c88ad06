"""A run of several processes: they meet, agree on what runs, and process 0 keeps the folder."""

from __future__ import annotations

from contextlib import ExitStack
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from lmkernel.backend import distributed_spec, load_distributed
from lmkernel.contract.distribution import Mesh
from lmkernel.distribution.agreement import agree, joined, tell_failure
from lmkernel.distribution.roll_call import call_roll
from lmkernel.errors import ConfigError
from lmkernel.settings.file import flat
from lmkernel.training.run.following import follow_session
from lmkernel.training.run.results import RESULT
from lmkernel.training.run.running import run_session
from lmkernel.training.run.session import prepare_session

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from lmkernel.contract.distribution import Processes
    from lmkernel.progress import Progress
    from lmkernel.training.run.folder import RunFolder
    from lmkernel.training.run.running import Outcome
    from lmkernel.training.run.settings import RunSettings

__all__ = ["train_together"]


def train_together(
    settings: RunSettings,
    processes: Processes,
    hold: Callable[[], AbstractContextManager[RunFolder]],
    progress: Progress,
) -> tuple[Path, Outcome]:
    """Take part in a run; returns its folder, and how it ended.

    Args:
        settings: what it follows from, the same in each process.
        processes: which one this is.
        hold: holds the run's folder; process 0 alone calls it.
        progress: shows how it goes on; process 0 alone shows it.

    Raises:
        CapabilityError: the backend has no such tier.
        RunError: the processes do not come together.
        PeerError: another process failed, or ended.
    """
    distributed_spec(settings.backend or None, processes)
    if processes.count > 1:
        facts = {name: str(value) for name, value in flat(settings).items()}
        call_roll(processes, {**facts, "lmkernel": version("lmkernel")})
    backend = load_distributed(
        settings.backend or None,
        Mesh.parse(settings.mesh),
        processes,
        device=settings.device or None,
    )
    distribution, leads = backend.distribution, processes.rank == 0
    with ExitStack() as stack:
        stack.enter_context(joined(distribution))
        _check_batch(settings, distribution.mesh)
        with tell_failure(distribution):
            folder = stack.enter_context(hold()) if leads else None
            session = (
                prepare_session(settings, progress, backend=backend)
                if leads
                else prepare_session(settings, backend=backend)
            )
            latest = folder.latest() if folder else None
        said = agree(
            distribution,
            data=session.data.training.digest,
            own_folder=str(folder.path.absolute()) if folder else "",
            own_latest=str(latest.absolute()) if latest else "",
        )
        if folder is not None:
            return folder.path, run_session(session, folder, progress)
        path = Path(said["own_folder"])
        last = Path(said["own_latest"]) if said["own_latest"] else None
        return path, follow_session(session, last, path / RESULT)


def _check_batch(settings: RunSettings, mesh: Mesh) -> None:
    batch, parts = settings.training.batch, mesh.extent(mesh.rows)
    if batch % parts:
        raise ConfigError(
            f"training.batch: expected a multiple of {parts}, as the mesh {mesh} divides its rows "
            f"into so many parts; got {batch}"
        )
