"""A checkpoint in transformers, as a subject."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import InputError
from lmkernel.verification.subject import Subject
from lmkernel_transformers.decoding import answer_of, decode
from lmkernel_transformers.hooks import record

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from lmkernel.verification.sequences import Question
    from lmkernel.verification.subject import Answer, Opening

__all__ = ["TransformersSubject"]

_OPTIONS = ("attn", "compile", "device")


@final
class TransformersSubject(Subject):
    """The class that ``config.json`` names first, on PyTorch; it may have no head."""

    def __init__(self, opening: Opening) -> None:
        import torch
        from transformers.utils import logging

        if strange := set(opening.options) - set(_OPTIONS):
            raise InputError(
                f"subject 'transformers': expected options among {', '.join(_OPTIONS)}, "
                f"got {min(strange)!r}"
            )
        logging.disable_progress_bar()
        self._options, self._place = opening.options, opening.checkpoint
        self._device = opening.options.get("device", "cpu")
        dtype = getattr(torch, opening.dtype)
        self._model = _load(opening.checkpoint, dtype, opening.options.get("attn"))
        self._model.eval().to(self._device)
        # transformers 5.2x renames the argument, and warns of the old name
        self._named = frozenset(inspect.signature(self._model.forward).parameters)
        self._cache = "cache" if "cache" in self._named else "past_key_values"
        self._first_row = _first_row(self._model)
        self._compiled = opening.options.get("compile", "0") not in ("", "0")
        self._call: Any = torch.compile(self._model) if self._compiled else self._model

    @property
    def capabilities(self) -> frozenset[str]:
        """No activations where it is compiled, no decoding where nothing is cached."""
        can = {"batch", "left-padding", "positions", "checkpoints", "target"}
        can |= set() if self._compiled else {"activations"}
        can |= {"decoding"} if self._cache in self._named else set()
        can |= {"tokenizer"} if (self._place / "tokenizer.json").exists() else set()
        return frozenset(can)

    def answer(self, question: Question, *, activations: bool) -> Answer:
        import torch

        with torch.inference_mode():
            given = self._inputs(question)
            if question.prefill:
                return answer_of(decode(self._call, self._cache, given, question))
            if not activations or self._compiled:
                return answer_of([self._call(**given)])
            with record(self._model) as kept:
                made = self._model(**given)
            return answer_of([made], kept)

    def token_ids(self, text: str) -> Sequence[int] | None:
        if not (self._place / "tokenizer.json").exists():
            return None
        from transformers import AutoTokenizer

        ids: list[int] = AutoTokenizer.from_pretrained(self._place)(text)["input_ids"]
        return ids

    def versions(self) -> Mapping[str, str]:
        from importlib.metadata import version

        return {name: version(name) for name in ("transformers", "torch")}

    def _inputs(self, question: Question) -> dict[str, Any]:
        import torch

        ids, positions, target, where = (
            torch.tensor(x, device=self._device, dtype=torch.long)
            for x in (
                question.ids,
                question.positions,
                question.target,
                question.target_positions,
            )
        )
        given = {"input_ids": ids, "attention_mask": (positions >= 0).long()}
        if question.target.size:  # these count their positions themselves
            seen = (where >= 0).long()
            return {**given, "decoder_input_ids": target, "decoder_attention_mask": seen}
        return {**given, "position_ids": positions.clamp(min=0) + self._first_row}


def _first_row(model: Any) -> int:
    """The row of position 0 in the table of positions: after that of padding, as in RoBERTa."""
    for name, module in model.named_modules():
        if (
            name.endswith("position_embeddings")
            and getattr(module, "padding_idx", None) is not None
        ):
            return int(module.padding_idx) + 1
    return 0


def _load(checkpoint: Path, dtype: Any, attention: str | None) -> Any:
    import transformers

    more = {} if attention is None else {"attn_implementation": attention}
    if checkpoint.is_file():
        more["gguf_file"] = checkpoint.name
        checkpoint = checkpoint.parent
        kind: Any = transformers.AutoModelForCausalLM
    else:
        config = transformers.AutoConfig.from_pretrained(checkpoint)
        names = config.architectures or []
        kind = getattr(transformers, names[0]) if names else transformers.AutoModelForCausalLM
    return kind.from_pretrained(checkpoint, dtype=dtype, **more)
