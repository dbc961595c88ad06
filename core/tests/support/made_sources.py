"""Sources made for tests, named by the ``load`` of their specs."""

from __future__ import annotations

import errno
import os
import time
from functools import partial
from typing import TYPE_CHECKING, final

from tiny_files import write_tiny

from lmkernel.contract.version import CONTRACT_VERSION
from lmkernel.plugins import Registry, SourceSpec, hookimpl
from lmkernel.sources import Source

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.sources import Progress


@final
class Plugin:
    def __init__(self, *specs: SourceSpec) -> None:
        self.specs = specs

    @hookimpl
    def lmkernel_register_sources(self) -> list[SourceSpec]:
        return list(self.specs)


def registry(kind: str, *names: str, prefix: str = "") -> Registry:
    models = {name: f"the model {name}" for name in names}
    spec = SourceSpec(
        contract=CONTRACT_VERSION,
        name="made",
        load=f"made_sources:{kind}",
        models=models,
        prefix=prefix,
    )
    return Registry({"made": Plugin(spec)})


def home_of(directory: Path) -> Path:
    """The home that a workspace ``home/models/.NAME.HEX.part/NAME`` belongs to."""
    return directory.parents[2]


@final
class Whole(Source):
    """Writes a file that counts the fetches in this home."""

    def fetch(self, name: str, directory: Path, *, progress: Progress) -> None:
        progress.say(f"fetching {name}")
        log = home_of(directory) / "log"
        with log.open("a") as opened:
            opened.write(f"{name}\n")
        write_tiny(directory, count=len(log.read_text().splitlines()))


@final
class Patient(Source):
    """Like `Whole`, once a file called ``go`` is there."""

    def fetch(self, name: str, directory: Path, *, progress: Progress) -> None:
        while not (home_of(directory) / "go").exists():
            time.sleep(0.01)
        Whole().fetch(name, directory, progress=progress)


@final
class Endless(Source):
    """Writes half a model, says so, and never comes back."""

    def fetch(self, name: str, directory: Path, *, progress: Progress) -> None:
        (directory / "config.json").write_text("half")
        progress.say(f"half of {name}")
        time.sleep(600)


@final
class DiskFull(Source):
    def fetch(self, name: str, directory: Path, *, progress: Progress) -> None:
        progress.say(name)
        (directory / "config.json").write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@final
class InterruptedSource(Source):
    def fetch(self, name: str, directory: Path, *, progress: Progress) -> None:
        progress.say(name)
        (directory / "config.json").write_text("half")
        raise KeyboardInterrupt


@final
class Leaving(Source):
    """Would end the program, as if all were well."""

    def fetch(self, name: str, directory: Path, *, progress: Progress) -> None:
        progress.say(name)
        (directory / "config.json").write_text("half")
        raise SystemExit(0)


@final
class Nothing(Source):
    def fetch(self, name: str, directory: Path, *, progress: Progress) -> None:
        progress.say(f"{name} {directory}")


class NoSource:
    pass


@final
class Version(Source):
    """Writes one version of a model."""

    def __init__(self, count: int) -> None:
        self.count = count

    def fetch(self, name: str, directory: Path, *, progress: Progress) -> None:
        progress.say(name)
        write_tiny(directory, self.count)


version_1, version_2, version_3 = (partial(Version, count) for count in (1, 2, 3))
