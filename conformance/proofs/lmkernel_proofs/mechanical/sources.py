"""The modules that are mutated, and their syntax trees.

Constraint: no module of the oracle is among them, since it is what judges.
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
    """A module that is mutated, by its dotted name."""

    module: str

    @property
    def label(self) -> str:
        """Its short path, such as ``composed/attention.py``."""
        return f"{self.module.removeprefix('lmkernel.').replace('.', '/')}.py"

    @property
    def file(self) -> str:
        """Its file, spelt as code objects spell it."""
        return _file(self.module)

    def tree(self) -> ast.Module:
        """Parse it afresh, so that the tree may be changed."""
        return ast.parse(Path(self.file).read_text(encoding="utf-8"))

    def load(self) -> ModuleType:
        """Import the module."""
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
        "activation attention experts linear loss normalization optimizer precision recurrent "
        "selection",
    ),
    *_sources(
        "lmkernel.components",
        "attention embedding experts feed_forward layer losses positions primitives recurrent "
        "rotary single_vector transformer",
    ),
    *_sources("lmkernel.training.step.optimizers", "adafactor adam decay momentum muon"),
    *_sources("lmkernel.training.step", "gradients schedules"),
    Source("lmkernel.generation.sampling"),
)
"""The reference backend, the compositions, the components, optimizers, steps and sampling."""

LOADING = frozenset(
    {
        "components/layer.py:TransformerLayer.rate",
        "composed/precision.py:accumulated",
        "lmkernel_numpy/gradients.py:differentiable",
        "lmkernel_numpy/gradients.py:differentiable.decorate",
        "lmkernel_numpy/overrides.py:overrides",
        "lmkernel_numpy/overrides.py:_dispatch_on_trace",
        "training/step/optimizers/adafactor.py:Adafactor.usual",
        "training/step/optimizers/adam.py:AdamW.usual",
        "training/step/optimizers/momentum.py:SGD.usual",
        "training/step/optimizers/momentum.py:Lion.usual",
        "training/step/optimizers/muon.py:Muon.usual",
    }
)
"""Functions that no case could reach.

Most only put others together, once, when a module or a backend is loaded, and have run before the
first case; some say which settings are usual, and a case has settings of its own; `rate` is for
those who look inside a model, and takes no part in what it computes.
"""
