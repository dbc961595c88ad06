"""A model as a Keras 3 model, shared by the backends whose frameworks Keras runs on.

Constraint: it is no backend, and imports Keras only when it is asked for a model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel.errors import CapabilityError, MissingDependencyError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lmkernel.native import NativeModel

__all__ = ["as_keras"]


def as_keras(model: NativeModel, values: Mapping[str, NDArray[Any]], *, framework: str) -> Any:
    """The `keras.Model` of a loaded model, with a copy of its parameters.

    Args:
        model: a model on a backend of ``framework``.
        values: every parameter by dotted name, on the host.
        framework: the framework that Keras must run on: ``"tensorflow"``, ``"jax"`` or ``"torch"``.

    Raises:
        MissingDependencyError: Keras is not installed.
        CapabilityError: Keras runs on another framework; the message says what to set.
    """
    try:
        import keras
    except ImportError as error:
        raise MissingDependencyError(
            f"a Keras model needs keras ({error}): pip install 'lmkernel[keras]'"
        ) from error
    running = keras.backend.backend()
    if running != framework:
        raise CapabilityError(
            f"a Keras model of this backend: expected Keras to run on {framework}, got {running}; "
            f"set the environment variable KERAS_BACKEND={framework} before the first "
            "import of keras"
        )
    from lmkernel_keras.model import KerasLanguageModel

    return KerasLanguageModel(model, values)
