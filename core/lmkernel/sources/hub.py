"""Models of the Hugging Face Hub: ``hf:ORG/NAME`` or ``hf:ORG/NAME@REVISION``.

Constraints: only configuration, tokenizer and safetensors at the top of the repository are fetched,
never pickled weights, small files first; what comes is compared with the size and the hash that the
Hub announces for the commit. The client library is optional; its settings apply: ``HF_ENDPOINT``,
``HF_TOKEN``, and ``HF_HUB_OFFLINE``, under which its cache alone is asked.
"""

from __future__ import annotations

import fnmatch
import importlib.util
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, final

from lmkernel.errors import InputError, MissingDependencyError, PullError
from lmkernel.results import human_size
from lmkernel.sources.home import HOME_VARIABLE
from lmkernel.sources.repository import Repository, is_wanted
from lmkernel.sources.source import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.progress import Progress

__all__ = ["HubSource", "repository_of"]

PREFIX = "hf:"


@final
class HubSource(Source):
    """Serves every repository of the Hub that holds safetensors."""

    def fetch(self, name: str, directory: Path, *, progress: Progress) -> None:
        """Download one revision, or copy it from the client's cache when offline."""
        repository, revision = repository_of(name)
        if not repository or name.endswith("@"):
            raise InputError(
                f"expected {PREFIX}ORG/NAME or {PREFIX}ORG/NAME@REVISION, got {name!r}"
            )
        if importlib.util.find_spec("huggingface_hub") is None:
            raise MissingDependencyError(
                f"{name!r} needs huggingface_hub, which is not installed; "
                "run: pip install huggingface_hub"
            )
        from huggingface_hub import constants

        _check_name(name, repository)
        try:
            if constants.HF_HUB_OFFLINE:
                _copy_cached(repository, revision or None, directory)
            else:
                _download(Repository.of(repository), revision or "main", directory, progress)
        except PullError as error:
            raise PullError(f"{name}: {error}") from error


def repository_of(name: str) -> tuple[str, str | None]:
    """The name that others have for a model, and its revision if it is of the Hub and names one."""
    if not name.startswith(PREFIX):
        return name, None
    repository, _, revision = name.removeprefix(PREFIX).partition("@")
    return repository, revision or None


def _download(hub: Repository, revision: str, directory: Path, progress: Progress) -> None:
    commit = hub.commit(revision)
    files = hub.files(commit)
    _check_parts([file.name for file in files])
    total = sum(file.size for file in files)
    free = shutil.disk_usage(directory).free
    if total > free:
        raise PullError(
            f"it has {human_size(total)}, and {directory.parents[1]} has room for "
            f"{human_size(free)}; {HOME_VARIABLE} chooses another folder"
        )
    what = f"downloading {hub.repository} from the Hugging Face Hub"
    with progress.bar(what, total) as advance:
        for file in files:
            hub.copy(file, commit, directory, advance)


def _copy_cached(repository: str, revision: str | None, directory: Path) -> None:
    """Copy what the client has in its cache."""
    from huggingface_hub import errors, snapshot_download

    try:
        snapshot = snapshot_download(repository, revision=revision, local_files_only=True)
    except errors.LocalEntryNotFoundError as error:
        raise PullError(
            "not in the client's cache, and HF_HUB_OFFLINE forbids to ask the Hub"
        ) from error
    except Exception as error:  # what is raised differs between the client's versions
        raise PullError(f"{type(error).__name__}: {' '.join(str(error).split())}") from error
    for file in Path(snapshot).rglob("*"):
        name = file.relative_to(snapshot).as_posix()
        if file.is_file() and is_wanted(name):
            (directory / name).parent.mkdir(exist_ok=True)
            shutil.copyfile(file, directory / name)
    _check_parts([file.name for file in directory.iterdir()])


def _check_name(name: str, repository: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # its address

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise PullError(f"{name}: HFValidationError: {' '.join(str(error).split())}") from error


def _check_parts(names: Sequence[str]) -> None:
    # what lies in folders follows the model, and is no part of its weights
    top = [name for name in names if "/" not in name]
    missing = [part for part in ("config.json", "*.safetensors") if not fnmatch.filter(top, part)]
    if missing:
        raise PullError(
            "expected a repository with config.json and *.safetensors, "
            f"got none of {', '.join(missing)} (pickled weights are not loaded)"
        )
