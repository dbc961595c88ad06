"""Asks transformers, with something done to each model that it opens."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from unittest import mock

import broken_encoders
import broken_families
import broken_transformers

import lmkernel as lk

if TYPE_CHECKING:
    from pathlib import Path

    from port_breaks import Break

__all__ = ["Twins", "verify_port"]

_CONFIGS = {
    **broken_encoders.CONFIGS,
    **broken_families.CONFIGS,
    **broken_transformers.CONFIGS,
}


class Twins:
    """Twins of both corpora, each made when it is first asked for."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[str, Path] = {}

    def __getitem__(self, name: str) -> Path:
        if name not in self._made:
            config = self._folder / f"{name}.json"
            config.write_text(json.dumps(_CONFIGS[name]))
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
