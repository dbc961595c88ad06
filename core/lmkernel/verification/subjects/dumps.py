"""Dumps that other programs write, with token ids of their own.

- llama.cpp: ``llama-debug --save-logits`` writes ``NAME.bin``, the logits after the last token of
  one prompt in float32, beside ``NAME-tokens.bin``, the prompt's ids in int32.
- MaxText: golden logits, and what ``forward_pass_logit_checker.py --output_logits_path`` writes,
  are lines of JSON with ``tokens`` and ``logits``, ``(time, vocab)``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.errors import SubjectError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["TOKENS", "read_golden_line", "read_llama_cpp"]

TOKENS = "-tokens.bin"
"""How the file of a prompt's ids ends, beside that of its logits."""


def read_golden_line(values: Mapping[str, Any], where: str) -> dict[str, Any]:
    """A line of MaxText's: the ids and the logits of one row.

    Raises:
        SubjectError: something else than ids, or no logits.
    """
    ids = values["tokens"]
    if not isinstance(ids, list) or not ids or not all(type(i) is int for i in ids):
        raise SubjectError(f"{where}: tokens: expected a list of token ids, got {ids!r:.60}")
    if "logits" not in values:
        raise SubjectError(f"{where}: expected logits beside tokens, got {', '.join(values)}")
    return {"ids": ids, "logits": values["logits"]}


def read_llama_cpp(path: Path) -> dict[str, Any]:
    """The ids of llama.cpp's prompt and the logits after its last token, as ``(1, vocab)``.

    Raises:
        SubjectError: no ids beside the logits, or a file that is not of whole numbers.
    """
    beside = path.with_name(path.stem + TOKENS)
    if path.name.endswith(TOKENS) or not beside.is_file():
        raise SubjectError(
            f"{path}: expected NAME.bin of llama.cpp's logits with NAME{TOKENS} beside it, as "
            "llama-debug --save-logits writes them"
        )
    arrays = []
    for file, dtype in ((beside, "<i4"), (path, "<f4")):
        size = file.stat().st_size
        if not size or size % 4:
            raise SubjectError(f"{file}: expected numbers of 4 bytes each, got {size} bytes")
        arrays.append(np.fromfile(file, dtype))
    return {"ids": arrays[0].tolist(), "logits": arrays[1][None]}
