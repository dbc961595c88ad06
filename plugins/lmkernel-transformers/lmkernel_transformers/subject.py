"""A checkpoint in transformers, as a subject."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import InputError
from lmkernel.verification.subject import Subject
from lmkernel_transformers.decoding import answer_of, decode
from lmkernel_transformers.hooks import record, record_tower
from lmkernel_transformers.towers import asked_of, reads, shown_by, source_of

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
        self._call: Any = (
            torch.compile(self._model, dynamic=True) if self._compiled else self._model
        )

    @property
    def capabilities(self) -> frozenset[str]:
        """No activations where it is compiled, no decoding where nothing is cached."""
        can = {"batch", "left-padding", "positions", "checkpoints", "target", *reads(self._model)}
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
            call, module = asked_of(self._model, question)
            if not activations or self._compiled:
                whole = call is self._model
                return answer_of([(self._call if whole else call)(**given)])
            with record(module) as kept, record_tower(*shown_by(self._model, question), kept):
                made = call(**given)
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
        given = source_of(self._model, question, self._floats)
        if ids.numel():
            given |= {"input_ids": ids, "attention_mask": (positions >= 0).long()}
        if question.target.size:  # these count their positions themselves
            seen = (where >= 0).long()
            return {**given, "decoder_input_ids": target, "decoder_attention_mask": seen}
        if not ids.numel():
            return given
        return {**given, "position_ids": positions.clamp(min=0) + self._first_row}

    def _floats(self, array: Any) -> Any:
        import torch

        return torch.tensor(array, device=self._device, dtype=self._model.dtype)


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
        kind = getattr(transformers, names[0]) if names else _usual_class(config)
    return kind.from_pretrained(checkpoint, dtype=dtype, **more)


def _usual_class(config: Any) -> Any:
    """The class for a configuration that names none: the first in which tokens are predicted."""
    import transformers

    tables = (
        transformers.MODEL_FOR_SPEECH_SEQ_2_SEQ_MAPPING,
        transformers.MODEL_FOR_SEQ_TO_SEQ_CAUSAL_LM_MAPPING,
        transformers.MODEL_FOR_CAUSAL_LM_MAPPING,
        transformers.MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING,
        transformers.MODEL_MAPPING,
    )
    return next(table[type(config)] for table in tables if type(config) in table)
