"""Asks transformers, with something done to each model that it opens."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from unittest import mock

from broken_ports import CONFIGS
from ports_server import commanded

import lmkernel as lk

if TYPE_CHECKING:
    from pathlib import Path

    from port_breaks import Break, Broken

__all__ = ["Twins", "verify_port", "verify_served"]


class Twins:
    """Twins of both corpora, each made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, Path] = {}

    def __getitem__(self, name: str) -> Path:
        if name not in self._made:
            config = self._folder / f"{name}.json"
            config.write_text(json.dumps(CONFIGS[name]))
            self._made[name] = lk.twin(config, self._folder / name).path
        return self._made[name]


def verify_port(twin: Path, apply: Break, **options: Any) -> Any:
    """What verify finds in a model of transformers that something was done to."""
    from lmkernel_transformers import subject

    own = subject._load
    with ExitStack() as patches:

        def load(*arguments: Any) -> Any:
            model = own(*arguments)
            if (patch := apply(model)) is not None:
                patches.enter_context(patch)
            return model

        patches.enter_context(mock.patch.object(subject, "_load", load))
        return lk.verify(twin, subject="transformers", level="quick", progress=False, **options)


def verify_served(twin: Path, port: Broken) -> Any:
    """What verify finds in a broken port behind a server of completions that it starts itself."""
    with commanded(port) as command:
        return lk.verify(
            twin,
            subject="http:http://127.0.0.1:{port}",
            level="quick",
            progress=False,
            options={"serve": command, "batch": "1"},
        )
