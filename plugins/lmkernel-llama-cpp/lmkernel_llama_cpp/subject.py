"""A GGUF file in llama.cpp, as a subject."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.errors import InputError, SubjectError
from lmkernel.gguf.file import GgufFile
from lmkernel.verification.subject import Answer, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lmkernel.verification.sequences import Question
    from lmkernel.verification.subject import Opening

__all__ = ["LlamaCppSubject", "arithmetic_of"]

_CONTEXT = 8192
"""The most cells of its cache; positions may be larger than their number."""
_SHORT = {"F16": "float16", "BF16": "bfloat16"}


def arithmetic_of(path: Path) -> str:
    """In what its products are computed, which follows from how the matrices are stored.

    What a matrix of F16 or BF16 is multiplied with is rounded to the same; with one of few bits, to
    8 bits with a scale for each 256 elements (the K and IQ kinds), or 32 (all others).
    """
    kinds = {t.kind_name for t in GgufFile(path).tensors.values() if len(t.shape) > 1}
    few = kinds - {"F32", *_SHORT}
    if few:
        wide = any("_K" in kind or kind.startswith(("IQ", "TQ")) for kind in few)
        narrow = any("_K" not in kind and not kind.startswith(("IQ", "TQ")) for kind in few)
        return "int8x256" if wide and not narrow else "int8x32"
    return next((_SHORT[kind] for kind in sorted(kinds) if kind in _SHORT), "float32")


@final
class LlamaCppSubject(Subject):
    """Through llama-cpp-python, on the processor, with a cache in float32."""

    def __init__(self, opening: Opening) -> None:
        import llama_cpp

        if strange := set(opening.options) - {"threads", "batch"}:
            got = min(strange)
            raise InputError(f"subject 'llama-cpp': expected threads or batch, got {got!r}")
        if not opening.checkpoint.is_file():
            raise InputError(
                f"subject 'llama-cpp': expected a GGUF file, got {opening.checkpoint}; "
                "llama.cpp's convert_hf_to_gguf.py writes one"
            )
        self._library, self._path = llama_cpp, opening.checkpoint
        self._arithmetic = arithmetic_of(opening.checkpoint)
        numbers = {name: int(text) for name, text in opening.options.items()}
        self._batch = numbers.get("batch", 512)
        self._model = llama_cpp.Llama(
            str(opening.checkpoint),
            n_ctx=_CONTEXT,
            n_batch=self._batch,
            n_ubatch=self._batch,
            n_threads=numbers.get("threads", 1),
            n_threads_batch=numbers.get("threads", 1),
            type_k=llama_cpp.GGML_TYPE_F32,
            type_v=llama_cpp.GGML_TYPE_F32,
            logits_all=True,
            verbose=False,
        )

    @property
    def capabilities(self) -> frozenset[str]:
        """One row at a time; it has no padding."""
        return frozenset({"positions", "decoding", "tokenizer"})

    @property
    def arithmetic(self) -> str:
        """As the file's matrices are stored."""
        return self._arithmetic

    def answer(self, question: Question, *, activations: bool) -> Answer:
        del activations
        [row] = question.rows
        low = self._library
        low.llama_memory_clear(low.llama_get_memory(self._model.ctx), True)  # noqa: FBT003 - of C
        first = question.prefill or len(row.ids)
        edges = [*range(0, first, self._batch), *range(first, len(row.ids) + 1)]
        parts = [self._feed(row.ids[a:b], row.positions[a:b]) for a, b in pairwise(edges)]
        return Answer(np.concatenate(parts)[None])

    def token_ids(self, text: str) -> Sequence[int] | None:
        ids: list[int] = self._model.tokenize(text.encode(), add_bos=True, special=True)
        return ids

    def versions(self) -> Mapping[str, str]:
        return {"llama-cpp-python": self._library.__version__}

    def close(self) -> None:
        self._model.close()

    def _feed(self, ids: Sequence[int], positions: Sequence[int]) -> NDArray[Any]:
        """The logits after each of some tokens, which stand after all that were fed before."""
        low, count = self._library, len(ids)
        batch = low.llama_batch_init(count, 0, 1)
        try:
            batch.n_tokens = count
            for i, (token, position) in enumerate(zip(ids, positions, strict=True)):
                batch.token[i], batch.pos[i], batch.logits[i] = token, position, 1
                batch.n_seq_id[i], batch.seq_id[i][0] = 1, 0
            code = low.llama_decode(self._model.ctx, batch)
        finally:
            low.llama_batch_free(batch)
        if code:
            raise SubjectError(f"subject 'llama-cpp': llama_decode ended in {code}")
        made = low.llama_get_logits(self._model.ctx)
        return np.ctypeslib.as_array(made, (count, self._model.n_vocab())).copy()
