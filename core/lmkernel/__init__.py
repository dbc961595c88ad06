"""lmkernel: one language model, every backend.

The public names are imported when they are first used, so that ``import lmkernel`` is light.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmkernel.backend import Backend, load_backend
    from lmkernel.errors import LmkernelError
    from lmkernel.generation import GenerationOptions
    from lmkernel.language_model import LanguageModel
    from lmkernel.loading import load_model
    from lmkernel.model import Model

__all__ = [
    "Backend",
    "GenerationOptions",
    "LanguageModel",
    "LmkernelError",
    "Model",
    "load_backend",
    "load_model",
]

_HOMES = {
    "Backend": "lmkernel.backend",
    "GenerationOptions": "lmkernel.generation",
    "LanguageModel": "lmkernel.language_model",
    "LmkernelError": "lmkernel.errors",
    "Model": "lmkernel.model",
    "load_backend": "lmkernel.backend",
    "load_model": "lmkernel.loading",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'lmkernel' has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
