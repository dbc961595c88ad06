"""A sentence encoder in sentence-transformers, as a subject."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import InputError
from lmkernel.verification.subject import Answer, Subject
from lmkernel_transformers.decoding import to_host
from lmkernel_transformers.hooks import record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lmkernel.verification.sequences import Question
    from lmkernel.verification.subject import Opening

__all__ = ["SentenceSubject"]


@final
class SentenceSubject(Subject):
    """The modules that the folder lists, on PyTorch: the model, its pooling and what follows."""

    def __init__(self, opening: Opening) -> None:
        import torch
        from sentence_transformers import SentenceTransformer

        if strange := set(opening.options) - {"device"}:
            raise InputError(
                f"subject 'sentence-transformers': expected the option device, got {min(strange)!r}"
            )
        self._model = SentenceTransformer(
            str(opening.checkpoint),
            device=opening.options.get("device", "cpu"),
            local_files_only=True,
            model_kwargs={"dtype": getattr(torch, opening.dtype)},
        ).eval()

    @property
    def capabilities(self) -> frozenset[str]:
        """Positions are those of the columns."""
        return frozenset({"activations", "batch", "tokenizer"})

    def answer(self, question: Question, *, activations: bool) -> Answer:
        import torch

        ids, where = (
            torch.tensor(x, device=self._model.device, dtype=torch.long)
            for x in (question.ids, question.positions)
        )
        given: dict[str, Any] = {"input_ids": ids, "attention_mask": (where >= 0).long()}
        with torch.inference_mode(), record(self._model[0].auto_model) as kept:
            made = self._model(given)
        inside = {name: to_host(x) for name, x in kept.items()} if activations else {}
        return Answer(to_host(made["sentence_embedding"]), "vectors", inside)

    def token_ids(self, text: str) -> Sequence[int] | None:
        ids: list[int] = self._model.tokenizer(text)["input_ids"]
        return ids

    def versions(self) -> Mapping[str, str]:
        from importlib.metadata import version

        return {name: version(name) for name in ("sentence-transformers", "transformers", "torch")}
