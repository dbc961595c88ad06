"""A model by name, on a backend by name."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from lmkernel.backend import Backend, load_backend
from lmkernel.errors import InputError, shown
from lmkernel.progress import as_progress

if TYPE_CHECKING:
    import os
    from collections.abc import Callable

    from lmkernel.language_model import LanguageModel
    from lmkernel.origin import Origin
    from lmkernel.progress import ProgressLike

__all__ = [
    "DEFAULT_MODEL",
    "as_language_model",
    "load",
    "load_model",
    "open_language_model",
    "place_origin",
]

DEFAULT_MODEL = "smollm2-135m-instruct"


def as_language_model(model: str | os.PathLike[str] | LanguageModel, **where: Any) -> LanguageModel:
    """The model itself, if it is loaded; else what `load` makes of the name and of ``where``."""
    from lmkernel.language_model import LanguageModel

    return model if isinstance(model, LanguageModel) else load(model, **where)


def load(
    model: str | os.PathLike[str] = DEFAULT_MODEL,
    *,
    backend: str | Backend | None = None,
    device: str | None = None,
    dtype: str | None = None,
    progress: ProgressLike = True,
    weights: str | None = None,
) -> LanguageModel:
    """Load a model, fetching it first if its name is known and it is not here yet.

    Args:
        model: a name that ``lmkernel models`` lists, ``hf:ORG/NAME``, a Hugging Face directory or
            a GGUF file.
        backend: a name, or a backend that is loaded; by default ``LMKERNEL_BACKEND``, else the
            default backend.
        device: one that the backend declares, such as ``"cuda:1"``.
        dtype: of the computation, such as ``"bfloat16"``; by default float32.
        progress: True reports a pull on standard error, False not at all; or a function.
        weights: how weights are held in memory. By default as numbers of ``dtype``; ``"stored"``:
            those that are quantised in their file stay so; ``"int8"`` or ``"int4"``: quantised
            when loading, a scale for each row or, with ``",group=32"`` (64, 128), for each group of
            it, and with ``",asymmetric"`` a zero of its own. int4 has groups of 32 by default, and
            leaves tables of tokens 8 bits.

    Raises:
        UnknownNameError, MissingDependencyError, CapabilityError, PullError, CheckpointError.
        InputError: ``weights`` are none of these.
    """
    from lmkernel.origin import open_origin

    if backend is None or isinstance(backend, str):
        loaded = load_backend(backend, device=device)
    else:
        loaded = _on(backend, device)
    origin = open_origin(model, progress=as_progress(progress))
    return place_origin(origin, loaded, dtype=dtype, weights=weights)


def _on(backend: object, device: str | None) -> Backend:
    """A backend that was loaded before, on the device that it has."""
    if not isinstance(backend, Backend) or device not in (None, backend.device):
        raise InputError(
            "backend: expected a name, or a loaded backend and no other device, "
            f"got {shown(backend)} and device {shown(device)}"
        )
    return backend


def load_model(*args: Any, **options: Any) -> LanguageModel:
    """The former name of `load`, to be removed in 1.0."""
    warnings.warn("load_model is now load: lmkernel.load(…)", DeprecationWarning, stacklevel=2)
    return load(*args, **options)


def open_language_model(
    path: str | os.PathLike[str], backend: Backend, *, dtype: str | None = None
) -> LanguageModel:
    """Load the model in a Hugging Face directory or a GGUF file onto a backend.

    Args:
        path: the directory or file.
        backend: from `lmkernel.load_backend`.
        dtype: of the computation; by default float32.

    Raises:
        CheckpointError: a file is missing, damaged, or contradicts its configuration.
        CapabilityError: a dtype that the backend does not declare.
    """
    from lmkernel.origin import open_files

    with backend.registry.use():
        return place_origin(open_files(path), backend, dtype=dtype)


def place_origin(
    origin: Origin,
    backend: Backend,
    *,
    dtype: str | None = None,
    progress: Callable[[int], None] | None = None,
    weights: str | None = None,
) -> LanguageModel:
    """Read a model's weights onto a backend.

    Args:
        origin: the model, opened.
        backend: from `lmkernel.load_backend`.
        dtype: of the computation; by default float32.
        progress: called with the number of bytes of each tensor read.
        weights: how they are held, as for `load`.
    """
    from lmkernel.checkpoints.dtypes import STORED_DTYPES
    from lmkernel.config import PrecisionPolicy
    from lmkernel.language_model import LanguageModel
    from lmkernel.model import Model
    from lmkernel.parameters.holding import Holding

    asked = "float32" if dtype is None else dtype
    compute = backend.capabilities.require_dtype(backend.name, asked, backend.device)
    output = compute if compute == "float64" else "float32"
    model = Model(backend, origin.config, PrecisionPolicy(compute=compute, output=output))
    holding = Holding(weights, STORED_DTYPES[compute].itemsize, later=True)
    values = origin.weights(model.declare(), progress=progress, holding=holding)
    return LanguageModel(model, model.pack(values), origin, holding if weights else None)
