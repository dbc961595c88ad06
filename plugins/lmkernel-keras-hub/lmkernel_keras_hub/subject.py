"""A checkpoint in KerasHub, converted by KerasHub itself, as a subject."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.errors import InputError, SubjectError
from lmkernel.verification.subject import Answer, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.verification.sequences import Question
    from lmkernel.verification.subject import Opening

__all__ = ["KerasHubSubject"]

_VARIABLE = "KERAS_BACKEND"


@final
class KerasHubSubject(Subject):
    """A causal model; rows are padded on the right alone, as KerasHub does it."""

    def __init__(self, opening: Opening) -> None:
        if strange := set(opening.options) - {"backend"}:
            raise InputError(
                f"subject 'keras-hub': expected the option backend, got {min(strange)!r}"
            )
        _choose_backend(opening.options.get("backend", ""))
        import keras
        import keras_hub

        self._task = keras_hub.models.CausalLM.from_preset(
            str(opening.checkpoint), dtype=opening.dtype, preprocessor=None
        )
        body = self._task.backbone
        self._layers = list(getattr(body, "transformer_layers", ()))
        inner = [layer.output for layer in self._layers]
        if self._layers:
            # what the first layer is called with is the embedding
            inner = [self._layers[0]._inbound_nodes[0].arguments.args[0], *inner]  # noqa: SLF001 - Keras has no public way
        self._inside = keras.Model(body.inputs, inner) if inner else None

    @property
    def capabilities(self) -> frozenset[str]:
        """Positions are those of the columns, so neither they nor left padding can be given."""
        return frozenset({"batch", "checkpoints"} | ({"activations"} if self._inside else set()))

    def answer(self, question: Question, *, activations: bool) -> Answer:
        from keras import ops

        mask = (question.positions >= 0).astype(np.int32)
        given = {"token_ids": question.ids, "padding_mask": mask}
        values = _host(ops, self._task(given))
        if not activations or self._inside is None:
            return Answer(values)
        names = ["embedding", *(f"layer {i} (feed-forward)" for i in range(len(self._layers)))]
        made = zip(names, self._inside(given), strict=True)
        return Answer(values, activations={name: _host(ops, x) for name, x in made})

    def versions(self) -> Mapping[str, str]:
        from importlib.metadata import packages_distributions, version

        import keras

        backend = keras.backend.backend()
        # TensorFlow's module comes from distributions of several names
        library = packages_distributions().get(backend, ())
        names = dict.fromkeys(("keras-hub", "keras", *library))
        return {**{name: version(name) for name in names}, "backend of Keras": backend}


def _choose_backend(name: str) -> None:
    """Keras reads the variable once, when it is imported."""
    import sys

    if name and "keras" in sys.modules and sys.modules["keras"].backend.backend() != name:
        there = sys.modules["keras"].backend.backend()
        raise SubjectError(
            f"subject 'keras-hub': Keras runs on {there} in this process already; set {_VARIABLE}"
        )
    if name:
        os.environ[_VARIABLE] = name


def _host(ops: Any, x: Any) -> Any:
    return ops.convert_to_numpy(ops.cast(x, "float32"))
