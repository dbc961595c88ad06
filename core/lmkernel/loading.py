"""A model by name, on a backend by name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.backend import load_backend

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from lmkernel.language_model import LanguageModel
    from lmkernel.plugins.registry import Registry
    from lmkernel.sources.progress import Progress

__all__ = ["DEFAULT_MODEL", "load_model"]

DEFAULT_MODEL = "smollm2-135m-instruct"


def load_model(
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    *,
    backend: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    registry: Registry | None = None,
    progress: Progress | None = None,
) -> LanguageModel:
    """Load a model, fetching it first if its name is known and it is not here yet.

    Args:
        model: a name that ``lmkernel models`` lists, ``hf:ORG/NAME``, a Hugging Face directory or
            a GGUF file.
        backend: by default ``LMKERNEL_BACKEND``, else the default backend.
        device: one that the backend declares, such as ``"cuda:1"``.
        dtype: of the computation, such as ``"bfloat16"``; by default float32.
        registry: plugins; by default all that is installed.
        progress: where a pull reports; by default nowhere.

    Raises:
        UnknownNameError, MissingDependencyError, CapabilityError, PullError, CheckpointError.
    """
    from lmkernel.language_model import open_language_model
    from lmkernel.sources.resolve import find_model

    loaded = load_backend(backend, device=device, registry=registry)

    def find(name: str) -> Path:
        return find_model(name, registry=registry, progress=progress)

    return open_language_model(find(str(model)), loaded, dtype=dtype, registry=registry, find=find)
