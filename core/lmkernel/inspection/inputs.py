"""What a caller gives becomes rows of token ids, checked before any backend sees them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.arguments import MOST_ITEMS, as_items, has_too_many, refuse_masked
from lmkernel.errors import InputError, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmkernel.config import ModelConfig, StackConfig
    from lmkernel.language_model import LanguageModel

__all__ = [
    "TokenRows",
    "check_ids",
    "conversation",
    "layer_indices",
    "prompt_ids",
    "refuse_long",
    "single_stack",
    "token_rows",
]

_ROWS = 2
_PIECE, _WIDE = 2**17, 4
"""A text of more characters than this, and than so many for each token of the context, is long."""


@final
@dataclass(frozen=True)
class TokenRows:
    """Token ids as a model takes them.

    Args:
        ids: int32 ``(batch, time)``.
        batched: whether they were given with a batch dimension.
    """

    ids: NDArray[np.int32]
    batched: bool

    def drop_batch(self, x: NDArray[Any], axis: int = 0) -> NDArray[Any]:
        """A result without its batch axis, where what was given had none either."""
        return x if self.batched else x.squeeze(axis)


def token_rows(model: LanguageModel, inputs: Any) -> TokenRows:
    """The ids of a text, of a sequence of ids, or of several rows of ids of equal length.

    Args:
        model: whose tokenizer, vocabulary and context count.
        inputs: a text, which is tokenised with special tokens; ids; or rows of ids, nested or as an
            integer array ``(batch, time)``.

    Raises:
        InputError: not integers, outside the vocabulary, none at all, more than the context, or
            rows of unequal length.
    """
    if isinstance(inputs, str):
        refuse_long(model, inputs)
        inputs = model.tokenizer.encode(inputs)
    _refuse_texts(inputs)
    return check_ids(model.model.config, inputs)


def refuse_long(model: LanguageModel, text: str) -> None:
    """Refuse a long text whose beginning has more tokens than the context already.

    A tokenizer takes a second and 200 MB for each megabyte, so tokens are counted piece by piece.
    Where a text is cut its tokens may be others, but not fewer by half.

    Raises:
        InputError: it has.
    """
    context, tokens = model.config.context, 0
    if not context or len(text) <= max(_PIECE, _WIDE * context):
        return
    for begin in range(0, len(text), _PIECE):
        [ids] = model.tokenizer.encode_many([text[begin : begin + _PIECE]])
        tokens += len(ids)
        if tokens > 2 * context:
            raise InputError(
                f"expected at most {context} tokens, the model's context, got a text of "
                f"{len(text)} characters, of which the first {min(begin + _PIECE, len(text))} are "
                f"more than {2 * context} tokens"
            )


def _refuse_texts(inputs: Any) -> None:
    """Several texts have unequal lengths, and so no array of results."""
    if isinstance(inputs, list | tuple) and any(issubclass(kind, str) for kind in _kinds(inputs)):
        raise InputError(
            "expected one text, or ids, got several texts; go through them one at a time, or see "
            "`generate_batch` and `embed`"
        )


def check_ids(config: ModelConfig, ids: Any) -> TokenRows:
    """Ids, flat or in rows, as a model takes them; raises as `token_rows` does."""
    if not config.embedding.vocab:
        raise InputError(
            "expected a model that reads tokens; this one takes sounds or pictures: see "
            "`transcribe`, `classify_pictures` and `embed_pictures`"
        )
    array, context = _vocabulary_ids(config, ids), config.context
    if context and array.shape[-1] > context:
        got = array.shape[-1]
        raise InputError(f"expected at most {context} tokens, the model's context, got {got}")
    return TokenRows(np.atleast_2d(array).astype(np.int32), batched=array.ndim == _ROWS)


def prompt_ids(model: LanguageModel, inputs: Any, *, special_tokens: bool = True) -> list[int]:
    """The ids of one text or of one sequence of ids, of any length.

    Args:
        model: whose tokenizer and vocabulary count.
        inputs: a text, or ids.
        special_tokens: whether the tokenizer puts its own around a text.

    Raises:
        InputError: not integers, outside the vocabulary, none at all, or several rows.
    """
    if isinstance(inputs, str):
        inputs = model.tokenizer.encode(inputs, special_tokens=special_tokens)
    _refuse_texts(inputs)
    array = _vocabulary_ids(model.model.config, inputs)
    if array.ndim == _ROWS:
        raise InputError(f"expected a text or one sequence of ids, got {len(array)} rows of ids")
    ids: list[int] = array.tolist()
    return ids


def conversation(asked: object) -> list[Mapping[str, str]]:
    """The messages of a question or of a conversation, which may be an iterator.

    Raises:
        InputError: neither of them, or an empty one.
    """
    if isinstance(asked, str):
        if not asked.strip():
            raise InputError("expected a question, got an empty prompt")
        return [{"role": "user", "content": asked}]
    messages = None if isinstance(asked, Mapping) else as_items(asked)
    if not messages or not all(isinstance(m, Mapping) for m in messages):
        raise InputError(
            'expected a question, or a list of messages {"role": …, "content": …}, '
            f"got {shown(asked)}"
        )
    return messages


def single_stack(config: ModelConfig) -> StackConfig:
    """The encoder or the decoder of a model that has one of them.

    Raises:
        InputError: it has both, or neither.
    """
    if config.encoder is not None and config.decoder is not None:
        raise InputError("expected a model with an encoder or a decoder, got one with both")
    stack = config.encoder or config.decoder
    if stack is None:
        raise InputError("expected a model with an encoder or a decoder, got one with neither")
    return stack


def layer_indices(count: int, layers: int | Sequence[int] | None) -> list[int]:
    """Which of ``count`` are asked for, each from 0; by default all.

    Args:
        count: how many there are.
        layers: their numbers; negative ones count from the end.

    Raises:
        InputError: none at all, or a number of something that is not there.
    """
    if layers is None:
        return list(range(count))
    if isinstance(layers, int | np.integer) and not isinstance(layers, bool):
        layers = [int(layers)]
    asked = _integers(layers, "layer number")
    if asked.ndim != 1 or asked.min() < -count or asked.max() >= count:
        raise InputError(f"layers: expected numbers in {-count} … {count - 1}, got {shown(layers)}")
    return [int(index) % count for index in asked]


def _vocabulary_ids(config: ModelConfig, ids: Any) -> NDArray[Any]:
    """Ids of the vocabulary, of one or two axes."""
    tables = (config.embedding, config.target_embedding)
    array = _integers(ids, "token id")
    vocab = next((table.vocab for table in tables if table is not None and table.vocab), 0)
    for got in (int(array.min()), int(array.max())):
        if not 0 <= got < vocab:
            raise InputError(f"expected token ids in 0 … {vocab - 1}, got {got}")
    return array


def _integers(inputs: Any, what: str) -> NDArray[Any]:
    """An integer array of one or two axes, with at least one element."""
    if has_too_many(inputs):
        raise InputError(f"expected at most {MOST_ITEMS} {what}s, got {shown(inputs)}")
    refuse_masked(inputs, f"{what}s")
    kinds = _kinds(inputs)
    if any(issubclass(kind, bytes | bytearray | memoryview) for kind in kinds):
        # which NumPy takes for small integers
        raise InputError(f"expected integers as {what}s, got bytes: {shown(inputs)}")
    try:
        array = np.asarray(inputs)
    except ValueError as error:  # NumPy says so of rows of unequal length
        raise InputError(f"expected rows of equal length, got {_lengths(inputs)}") from error
    except (TypeError, RuntimeError) as error:  # an array of a framework that is elsewhere
        raise InputError(f"expected integers as {what}s, got {shown(inputs)}: {error}") from error
    if array.size > MOST_ITEMS:  # of no memory at all, where strides are zero
        raise InputError(f"expected at most {MOST_ITEMS} {what}s, got {array.size}")
    if array.ndim not in (1, _ROWS):
        got = f"{array.ndim}" if array.ndim else f"{shown(inputs)}"
        raise InputError(f"expected {what}s in one or two dimensions, got {got}")
    if not array.size:
        raise InputError(f"expected at least one {what}, got none")
    # NumPy takes booleans among integers for 0 and 1
    if array.dtype.kind not in "iu" or not kinds.isdisjoint((bool, np.bool_)):
        booleans = array.dtype == np.bool_ or not kinds.isdisjoint((bool, np.bool_))
        got = "booleans" if booleans else f"an array of {array.dtype}"
        raise InputError(f"expected integers as {what}s, got {got}")
    return array


def _kinds(inputs: Any, depth: int = _ROWS) -> set[type]:
    """The types of what is in a value, and in its rows; there may be millions of ids."""
    if not depth or not isinstance(inputs, list | tuple):
        return {type(inputs)}
    found = set(map(type, inputs))
    if not any(issubclass(kind, list | tuple) for kind in found):
        return found
    return set().union(*(_kinds(row, depth - 1) for row in inputs))


def _lengths(inputs: Any) -> str:
    try:
        return f"lengths {', '.join(str(len(row)) for row in inputs)}"
    except TypeError:
        return "numbers and rows together"
