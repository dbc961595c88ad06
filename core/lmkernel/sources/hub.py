"""Models of the Hugging Face Hub: ``hf:ORG/NAME`` or ``hf:ORG/NAME@REVISION``.

Constraints: the client library is optional; only configuration, tokenizer and safetensors at the
top of the repository are fetched, never pickled weights. The client's own settings apply:
``HF_ENDPOINT``, ``HF_TOKEN``, its cache, and ``HF_HUB_OFFLINE``, under which its cache alone is
asked.
"""

from __future__ import annotations

import fnmatch
import importlib.util
import os
import shutil
from functools import partialmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import InputError, MissingDependencyError, PullError
from lmkernel.sources.source import Source

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lmkernel.progress import Progress

__all__ = ["HubSource", "repository_of"]

PREFIX = "hf:"
WANTED = (
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "tokenizer.model",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "vocab.txt",
    "merges.txt",
    "chat_template.jinja",
    "chat_template.json",
    "*.safetensors",
    "*.safetensors.index.json",
)
UNWANTED = ("*/*", "consolidated*")
"""What lies in subfolders is for other programs; consolidated files repeat the sharded ones."""


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
        progress.say(f"downloading {repository} from the Hugging Face Hub")
        _download(name, repository, revision, directory, progress)
        _check(name, directory)


def repository_of(name: str) -> tuple[str, str | None]:
    """The name that others have for a model, and its revision if it is of the Hub and names one."""
    if not name.startswith(PREFIX):
        return name, None
    repository, _, revision = name.removeprefix(PREFIX).partition("@")
    return repository, revision or None


def _download(
    name: str, repository: str, revision: str | None, directory: Path, progress: Progress
) -> None:
    from huggingface_hub import constants, snapshot_download

    asked: dict[str, Any] = {
        "revision": revision,
        "endpoint": os.environ.get("HF_ENDPOINT"),
        "allow_patterns": list(WANTED),
        "ignore_patterns": list(UNWANTED),
        "tqdm_class": None if progress.live else _silent_bar(),
    }
    try:
        if constants.HF_HUB_OFFLINE:
            cached = snapshot_download(repository, local_files_only=True, **asked)
            _copy(Path(cached), directory)
        else:
            snapshot_download(repository, local_dir=directory, **asked)
    except Exception as error:  # what is raised differs between the client's versions
        raise PullError(f"{name}: {_reason(error)}") from error
    shutil.rmtree(directory / ".cache", ignore_errors=True)


def _silent_bar() -> type:
    """The client's bar, switched off for this call alone."""
    from tqdm.auto import tqdm

    return type("SilentBar", (tqdm,), {"__init__": partialmethod(tqdm.__init__, disable=True)})


def _copy(snapshot: Path, directory: Path) -> None:
    for file in snapshot.iterdir():
        if file.is_file() and _matches(file.name, WANTED) and not _matches(file.name, UNWANTED):
            shutil.copyfile(file, directory / file.name)


def _matches(name: str, patterns: Sequence[str]) -> bool:
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


def _reason(error: Exception) -> str:
    from huggingface_hub import constants, errors

    if isinstance(error, errors.GatedRepoError):
        return "the repository is gated; accept its terms on its page and set HF_TOKEN"
    if isinstance(error, errors.RepositoryNotFoundError):
        return "the Hub knows no such repository, or it is private and HF_TOKEN is not set"
    if isinstance(error, errors.RevisionNotFoundError):
        return "the repository has no such revision"
    if isinstance(error, errors.LocalEntryNotFoundError) and constants.HF_HUB_OFFLINE:
        return "not in the client's cache, and HF_HUB_OFFLINE forbids to ask the Hub"
    return f"{type(error).__name__}: {' '.join(str(error).split())}"


def _check(name: str, directory: Path) -> None:
    missing = [part for part in ("config.json", "*.safetensors") if not any(directory.glob(part))]
    if missing:
        raise PullError(
            f"{name}: expected a repository with config.json and *.safetensors, "
            f"got none of {', '.join(missing)} (pickled weights are not loaded)"
        )
