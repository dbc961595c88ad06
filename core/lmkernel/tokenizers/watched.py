"""The library's tokenizer of a file, watched where the file holds rules that may take for ever.

An expression such as ``(a+)+$`` doubles its work with each character. The library's engine ends one
try after ten million steps, a fifth of a second, but has a try at each character of a text. And
WordPiece tries each beginning of each rest of a word, so words of any length take long.

Constraint: only the library's calls for batches let another thread go on meanwhile.
"""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import CheckpointError
from lmkernel.own_thread import OwnThread
from lmkernel.tokenizers.check import added_tokens, expressions_of
from lmkernel.tokenizers.library import tokenizers_package

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["open_library"]

PATIENCE = 5.0
"""Seconds of computing for a text of any length."""
_EACH = 20e-6
"""Seconds for each character more, ten times what the slowest tokenizers take."""
_LONG_WORD = 200
"""Characters of a word that WordPiece cuts quickly; published tokenizers have half of it."""
_SHOWN = 3
_NO_MODEL = {"version": "1.0", "model": {"type": "WordLevel", "vocab": {"x": 0}, "unk_token": "x"}}


def open_library(data: bytes, document: Mapping[str, Any], where: str) -> Any:
    """The library's tokenizer.

    Args:
        data: a ``tokenizer.json``.
        document: its content.
        where: the file, for messages.

    Raises:
        CheckpointError: its expressions take too long for the tokens that it adds.
    """
    reading = expressions_of(document, "normalizer", "pre_tokenizer")
    writing = expressions_of(document, "decoder")
    library = tokenizers_package().Tokenizer
    if reading:
        steps = {"normalizer": document.get("normalizer"), **_NO_MODEL}
        trial = _Watched(library.from_str(json.dumps(steps)), reading, writing, where)
        trial.encode_batch_fast([text for text, _ in added_tokens(document) if text])
    longest = document["model"].get("max_input_chars_per_word")
    if isinstance(longest, int) and longest > _LONG_WORD:
        reading.append(f"max_input_chars_per_word={longest}")
    own = library.from_buffer(data)
    return _Watched(own, reading, writing, where) if reading or writing else own


@final
class _Watched:
    """The library's tokenizer, whose calls end in time, be it in an error.

    Args:
        own: the library's.
        reading: the expressions, and what else may take long, by which a text is cut.
        writing: those of its decoder.
        where: the file, for messages.
    """

    def __init__(
        self, own: Any, reading: Sequence[str], writing: Sequence[str], where: str
    ) -> None:
        self._own = own
        self._reading, self._writing, self._where = reading, writing, where
        self._refused = ""

    def encode(self, text: str, pair: str | None = None, *, add_special_tokens: bool = True) -> Any:
        """See the library."""
        given = text if pair is None else (text, pair)
        size = len(text) + len(pair or "")
        [made] = self._read("encode_batch", [given], size, add_special_tokens)
        return made

    def encode_batch_fast(self, texts: Sequence[str], *, add_special_tokens: bool = True) -> Any:
        """See the library."""
        return self._read("encode_batch_fast", texts, sum(map(len, texts)), add_special_tokens)

    def add_tokens(self, tokens: Sequence[Any]) -> Any:
        """See the library, which looks for each token as it is normalised."""
        self.encode_batch_fast([token.content for token in tokens])
        return self._own.add_tokens(tokens)

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = True) -> str:
        """See the library."""
        if not self._writing:
            text: str = self._own.decode(ids, skip_special_tokens=skip_special_tokens)
            return text
        call = partial(self._own.decode_batch, [ids], skip_special_tokens=skip_special_tokens)
        [text] = self._within(call, len(ids), self._writing)
        return text

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def _read(self, method: str, texts: Sequence[Any], size: int, special_tokens: bool) -> Any:
        call = partial(getattr(self._own, method), texts, add_special_tokens=special_tokens)
        return self._within(call, size, self._reading) if self._reading else call()

    def _within(self, work: Callable[[], Any], size: int, rules: Sequence[str]) -> Any:
        """What a call gives, in the time that ``size`` characters take at most."""
        if self._refused:
            raise CheckpointError(self._refused)
        seconds = PATIENCE + _EACH * size
        try:
            with OwnThread() as thread:
                return thread.call(work, seconds, computing=True)
        except TimeoutError:
            shown = ", ".join(f"{text:.80}" for text in rules[:_SHOWN])
            self._refused = (
                f"{self._where}: expected rules that are done with {size} characters in "
                f"{seconds:.0f} seconds, got others, among them: {shown}"
            )
            raise CheckpointError(self._refused) from None
