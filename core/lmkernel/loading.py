"""A model by name, on a backend by name."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from lmkernel.backend import load_backend
from lmkernel.progress import as_progress

if TYPE_CHECKING:
    import os

    from lmkernel.language_model import LanguageModel
    from lmkernel.progress import ProgressLike

__all__ = ["DEFAULT_MODEL", "load", "load_model"]

DEFAULT_MODEL = "smollm2-135m-instruct"


def load(
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    *,
    backend: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    progress: ProgressLike = True,
) -> LanguageModel:
    """Load a model, fetching it first if its name is known and it is not here yet.

    Args:
        model: a name that ``lmkernel models`` lists, ``hf:ORG/NAME``, a Hugging Face directory or
            a GGUF file.
        backend: by default ``LMKERNEL_BACKEND``, else the default backend.
        device: one that the backend declares, such as ``"cuda:1"``.
        dtype: of the computation, such as ``"bfloat16"``; by default float32.
        progress: True reports a pull on standard error, False not at all; or a function.

    Raises:
        UnknownNameError, MissingDependencyError, CapabilityError, PullError, CheckpointError.
    """
    from lmkernel.language_model import place_origin
    from lmkernel.origin import open_origin

    loaded = load_backend(backend, device=device)
    return place_origin(open_origin(model, progress=as_progress(progress)), loaded, dtype=dtype)


def load_model(*args: Any, **options: Any) -> LanguageModel:
    """The former name of `load`, to be removed in 1.0."""
    warnings.warn("load_model is now load: lmkernel.load(…)", DeprecationWarning, stacklevel=2)
    return load(*args, **options)
