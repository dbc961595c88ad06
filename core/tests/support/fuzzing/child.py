"""A process that may be lost: it makes inputs, uses them under limits, and says what came of each.

It reads a line of JSON for each input, ``{"format", "number"}`` or ``{"format", "file", "data"}``,
and answers with a line: how it ended, in what words, and the input if it is a finding.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import random
import resource
import signal
import sys
import tempfile
import traceback
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fuzzing import models, pictures, requests, runs, sounds
from lmkernel.errors import LmkernelError

if TYPE_CHECKING:
    from fuzzing.formats import Format

FORMATS: dict[str, Format] = {
    each.name: each
    for module in (models, pictures, sounds, runs, requests)
    for each in module.FORMATS
}
MEMORY = 2**30
"""Bytes of address space that an input may take beyond what the process began with."""
SECONDS = 5
"""Of a processor, for one input; and six times as many of waiting."""
LONGEST = 2100
"""Characters of a complaint."""


class Place:
    """A folder with a sound example of a format, which is sound again after each input."""

    def __init__(self, kind: Format, folder: Path) -> None:
        self.kind, self.folder = kind, folder
        folder.mkdir()
        kind.make(folder)
        self._sound = {path: path.read_bytes() for path in _files(folder)}
        self._seen = {path: _state(path) for path in self._sound}

    def put(self, name: str, data: bytes) -> None:
        """Never into the file that is there: it may be mapped into memory still."""
        path = self.folder / name
        path.unlink(missing_ok=True)
        path.write_bytes(data)

    def restore(self) -> None:
        for path in set(_files(self.folder)) - self._sound.keys():
            path.unlink()
        for path, data in self._sound.items():
            if _state(path) != self._seen[path]:
                self.put(str(path.relative_to(self.folder)), data)
                self._seen[path] = _state(path)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file() or path.is_symlink()]


def _state(path: Path) -> tuple[int, ...]:
    with contextlib.suppress(OSError):
        seen = path.lstat()
        return seen.st_ino, seen.st_size, seen.st_mtime_ns
    return ()


def judge(kind: Format, folder: Path) -> tuple[str, str]:
    """How the use of a folder ends: with a result, a refusal, or a fault; and in what words."""
    try:
        kind.use(folder)
    except LmkernelError as error:
        text = str(error)
        if len(text) > LONGEST:
            return "fault", f"a complaint of {len(text)} characters: {text[:300]}"
        if not text.isprintable() and set(text) & _CONTROLS:
            return "fault", f"a complaint with control characters: {text!r:.300}"
        if kind.named and str(folder) not in text:
            return "fault", f"a complaint that names no file: {type(error).__name__}: {text}"
        return "refusal", text
    except BaseException as error:  # noqa: BLE001 - whatever else it is, it is a finding
        frames = traceback.extract_tb(error.__traceback__)[-4:]
        places = " < ".join(f"{Path(f.filename).name}:{f.lineno}" for f in reversed(frames))
        return "fault", f"{type(error).__name__}: {error!s:.300} at {places}"
    return "result", ""


_CONTROLS = {chr(code) for code in (*range(9), 11, 12, *range(14, 32), 127)}


def limit() -> None:
    """What one more input may take; the kernel ends the process that takes more."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    seconds = int(used.ru_utime + used.ru_stime) + SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, resource.getrlimit(resource.RLIMIT_CPU)[1]))
    signal.alarm(6 * SECONDS)


def answer(asked: dict[str, Any], place: Place) -> dict[str, Any]:
    """Make the input, or take it as given, and use it."""
    if "number" in asked:
        draw = random.Random(f"{asked['format']} {asked['number']}")  # noqa: S311 - a test's seed
        name, data = place.kind.make_input(draw, place.folder)
    else:
        name, data = asked["file"], base64.b64decode(asked["data"])
    place.put(name, data)
    limit()
    end, words = judge(place.kind, place.folder)
    signal.alarm(0)
    place.restore()
    found = {"file": name, "data": base64.b64encode(data).decode()} if end == "fault" else {}
    return {"end": end, "words": words, **found}


def main() -> None:
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    quiet = os.open(os.devnull, os.O_WRONLY)
    os.dup2(quiet, 1)
    os.dup2(quiet, 2)  # where the library of tokenizers prints its panics
    warnings.simplefilter("ignore")
    places: dict[str, Place] = {}
    with tempfile.TemporaryDirectory() as home:
        os.environ["LMKERNEL_HOME"] = f"{home}/home"
        for line in sys.stdin:
            asked = json.loads(line)
            name = asked["format"]
            if name not in places:
                resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY,) * 2)
                places[name] = Place(FORMATS[name], Path(home) / name.replace(" ", "-"))
                places[name].kind.use(places[name].folder)  # what it imports is not counted
                places[name].restore()
                _limit_memory()
            replies.write(json.dumps(answer(asked, places[name])) + "\n")


def _limit_memory() -> None:
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    soft = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (soft, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
