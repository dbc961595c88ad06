"""The modules that are mutated, and their syntax trees.

Constraint: none of the suite's oracle is among them.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from types import ModuleType

__all__ = ["LOADING", "SOURCES", "Source"]


@final
@dataclass(frozen=True)
class Source:
    """A module by its name."""

    module: str

    @property
    def label(self) -> str:
        """A short path that names it, such as ``composed/attention.py``."""
        return f"{self.module.removeprefix('lmkernel.').replace('.', '/')}.py"

    @property
    def file(self) -> str:
        """Where it is, as code objects name it."""
        return _file(self.module)

    def tree(self) -> ast.Module:
        """A fresh tree, which may be changed."""
        return ast.parse(Path(self.file).read_text(encoding="utf-8"))

    def loaded(self) -> ModuleType:
        """The module itself."""
        return importlib.import_module(self.module)


@functools.cache
def _file(module: str) -> str:
    spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"the source of {module} is not there to be mutated")
    return spec.origin


def _sources(package: str, names: str) -> tuple[Source, ...]:
    return tuple(Source(f"{package}.{name}") for name in names.split())


SOURCES = (
    *_sources("lmkernel_numpy", "ops overrides attention gradients optimizer"),
    *_sources(
        "lmkernel.composed",
        "activation attention linear loss normalization optimizer precision recurrent selection",
    ),
    *_sources(
        "lmkernel.components",
        "attention embedding feed_forward layer losses parts positions recurrent single_vector "
        "transformer",
    ),
    *_sources("lmkernel.training.step.optimizers", "adafactor adam decay lion muon sgd"),
    *_sources("lmkernel.training.step", "clipping gradients schedules update"),
    Source("lmkernel.generation.sampling"),
)
"""The reference backend, the compositions, the components, and what trains and draws with them."""

LOADING = frozenset(
    {
        "composed/precision.py:accumulated",
        "lmkernel_numpy/gradients.py:differentiable",
        "lmkernel_numpy/gradients.py:differentiable.made",
        "lmkernel_numpy/overrides.py:overrides",
        "lmkernel_numpy/overrides.py:_guarded",
    }
)
"""Functions that only put others together, once, when a module or a backend is loaded."""
