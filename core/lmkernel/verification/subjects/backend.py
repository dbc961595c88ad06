"""One of our own backends as a subject."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.backend import load_backend
from lmkernel.errors import InputError
from lmkernel.inspection.run import activations
from lmkernel.loading import open_language_model
from lmkernel.model.sight import picture_places
from lmkernel.verification.subject import Answer, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Tree
    from lmkernel.model import Model
    from lmkernel.verification.sequences import Question
    from lmkernel.verification.subject import Kind, Opening

__all__ = ["BackendSubject"]


@final
class BackendSubject(Subject):
    """A checkpoint on the backend that the argument names.

    The option ``device`` says where it computes.
    """

    def __init__(self, opening: Opening) -> None:
        if not opening.argument:
            raise InputError("subject 'backend': expected backend:NAME")
        backend = load_backend(opening.argument, device=opening.options.get("device"))
        self._loaded = open_language_model(opening.checkpoint, backend, dtype=opening.dtype)

    @property
    def capabilities(self) -> frozenset[str]:
        """All but the tokenizer, which would be compared with itself."""
        told = {"activations", "batch", "left-padding", "positions", "checkpoints", "target"}
        told |= {"pictures", "sounds", "shown"}
        config = self._loaded.config
        predicts = config.decoder is not None and config.head is not None
        return frozenset(told | ({"decoding"} if predicts else set()))

    def answer(self, question: Question, *, activations: bool) -> Answer:
        if question.prefill:
            return Answer(self._decode(question))
        model, params = self._asked(question)
        with model.backend.scope(), model.backend.inference():
            inputs, where = self._inputs(question)
            target, beside = self._target(question)
            more = {"target_positions": beside, "shown": self._shown(question)}
            made = model.forward(params, inputs, positions=where, target=target, **more)
            values = model.backend.ops.to_numpy(made)
        kind: Kind = "hidden" if model.config.head is None else "logits"
        return Answer(values, kind, self._activations(question) if activations else {})

    def _activations(self, question: Question) -> dict[str, NDArray[Any]]:
        model, params = self._asked(question)
        with model.backend.scope(), model.backend.inference():
            ops = model.backend.ops
            inputs, where = self._inputs(question)
            target, _ = self._target(question)  # padded on the right, where no token sees it
            shown = self._shown(question)
            made = activations(model, params, inputs, positions=where, target=target, shown=shown)
            wide: DType = "float64" if model.policy.compute == "float64" else "float32"
            host = {a.name: ops.to_numpy(ops.astype(a.value, wide)) for a in made}
        host.pop("logits", None)
        return host

    def _asked(self, question: Question) -> tuple[Model, Tree]:
        """The model, or the tower of pictures beside it, and its parameters."""
        model, params = self._loaded.model, self._loaded.params
        if question.source is None or model.pictures is None:
            return model, params
        return model.pictures, params["pictures"]

    def _inputs(self, question: Question) -> tuple[Any, Any]:
        """What is read, on the device, and its positions; None where it has its own."""
        model, source = self._loaded.model, question.source
        ops = model.backend.ops
        if source is not None and not question.ids.size:
            return ops.asarray(source, model.policy.compute), None
        ids, where = (ops.asarray(x, "int32") for x in (question.ids, question.positions))
        return ids, where

    def _shown(self, question: Question) -> tuple[Any, Any] | None:
        """Vectors of the pictures among tokens, and where they stand."""
        model, params, source = self._loaded.model, self._loaded.params, question.source
        if source is None or model.sight is None:
            return None
        ops = model.backend.ops
        made = model.sight(params, ops.asarray(source, model.policy.compute))
        flat = ops.reshape(made, (-1, made.shape[-1]))
        places = picture_places(question.ids, model.sight.config.token)
        return flat, ops.asarray(places, "int32")

    def _target(self, question: Question) -> tuple[Any, Any]:
        """A target and its positions on the device; None where there is none."""
        ops, both = self._loaded.backend.ops, (question.target, question.target_positions)
        ids, where = (ops.asarray(x, "int32") if x.size else None for x in both)
        return ids, where

    def _decode(self, question: Question) -> NDArray[Any]:
        """The logits of each position from ``prefill - 1`` on; those before are NaN."""
        model, params = self._loaded.model, self._loaded.params
        ids, where, first, memory = question.ids, question.positions, question.prefill, None
        if question.target.size:
            read = (ids, where) if question.source is None else (question.source, None)
            memory = model.encode(params, *read)
            ids, where = question.target, question.target_positions
        state = model.begin(params, len(ids), ids.shape[1], memory=memory)
        steps = [slice(0, first), *(slice(t, t + 1) for t in range(first, ids.shape[1]))]
        made: list[NDArray[Any]] = []
        for step in steps:
            logits, state = model.step(params, ids[:, step], where[:, step], state)
            made.append(logits)
        before = np.full((len(ids), first - 1, made[0].shape[-1]), np.nan, made[0].dtype)
        return np.concatenate([before, np.stack(made, 1)], 1)

    def versions(self) -> Mapping[str, str]:
        from lmkernel.plugins.installed import installed_versions
        from lmkernel.plugins.specs import BackendSpec

        backend = self._loaded.backend
        spec = backend.registry.get(BackendSpec, backend.name)
        return installed_versions(("lmkernel", *spec.distributions))
