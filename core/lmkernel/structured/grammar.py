"""Answers that follow a grammar: what would break it is masked before each token is chosen."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.errors import InputError, MissingDependencyError
from lmkernel.tokenizers.library import library_code

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from lmkernel.tokenizers.tokenizer import Tokenizer

__all__ = ["Grammar", "GrammarMask", "GrammarTokenizer", "json_grammar", "json_rule"]

_COMPACT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""With any white space a small model may go on with it for ever."""
_MOST_WORK = 200_000
"""A fifth of llguidance's own limit, which a pattern of a few characters uses up in seconds."""
_MOST_MULTIPLES = 200_000
"""The library has a state for each remainder, which no limit of its own counts."""
_MULTIPLE = re.compile(r'"multipleOf": ([0-9.eE+-]+)')
_LARGEST = 2**53
"""The library reads bounds as floating numbers, and cuts them to 64 bits without a word; up to here
each is exact (RFC 8259, §6)."""
_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
_NAMED = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
"""Words of a schema whose objects hold schemas by name."""
_DESCRIBING = ("default", "examples")
"""Words of values that no answer is kept to."""
_REFUSAL = "expected a schema that can be kept to"


def json_grammar(schema: Mapping[str, Any]) -> str:
    """The grammar, in llguidance's Lark, of JSON of a schema."""
    return f"%llguidance {{}}\nstart: {json_rule(schema)}\n"


def json_rule(schema: Mapping[str, Any]) -> str:
    """A schema as a part of a rule of a grammar.

    Raises:
        InputError: it cannot be written as JSON, or has bounds or values that would be others.
    """
    try:
        _check_numbers(schema)
        # ours last: a schema that says of itself how white space is written could allow any text
        return f"%json {json.dumps({**schema, 'x-guidance': _COMPACT}, allow_nan=False)}"
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"expected a schema of JSON: {error}") from error


def _check_numbers(schema: Any) -> None:
    """Refuse a schema within which a bound or a value would be another number.

    Raises:
        InputError: see above; it names the word.
    """
    if isinstance(schema, list | tuple):
        for one in schema:
            _check_numbers(one)
        return
    for key, value in schema.items() if isinstance(schema, Mapping) else ():
        if key == "const" or (key == "enum" and isinstance(value, list | tuple)):
            _check_values(value, key)
        elif key in _NAMED and isinstance(value, Mapping):  # whose keys are names, not words
            _check_numbers(list(value.values()))
        elif key in _BOUNDS and isinstance(value, int | float):
            if abs(value) > _LARGEST:
                expected = f"{key}: expected a number within ±2^53, {_LARGEST}"
                raise InputError(f"{_REFUSAL}: {expected}, got {json.dumps(value):.40}")
        elif key not in _DESCRIBING:
            _check_numbers(value)


def _check_values(value: Any, key: str) -> None:
    """Refuse whole numbers of `const` and `enum`, at any depth, that would be others."""
    if isinstance(value, Mapping | list | tuple):
        for one in value.values() if isinstance(value, Mapping) else value:
            _check_values(one, key)
    elif isinstance(value, int) and abs(value) > _LARGEST:
        raise InputError(
            f"{_REFUSAL}: {key}: expected whole numbers within ±2^53, {_LARGEST}, "
            f"got one of {value.bit_length()} bits"
        )


def _check_multiples(source: str) -> None:
    """Refuse schemas whose numbers are multiples of very many: a few digits take minutes."""
    found = [Decimal(text) for text in _MULTIPLE.findall(source)]
    # zeros at the end are one state each, wherever the point stands
    states = sum(int("".join(map(str, one.as_tuple().digits)).rstrip("0") or 0) for one in found)
    if states > _MOST_MULTIPLES:
        raise InputError(
            f"{_REFUSAL}: multipleOf: expected numbers that are together at most "
            f"{_MOST_MULTIPLES}, zeros at their ends apart, got {states:.3g}"
        )


@final
class GrammarTokenizer:
    """A tokenizer as grammars need it; made once for a model.

    Args:
        tokenizer: of the model.
        vocab: the number of its logits, which may be more than the tokenizer's.

    Raises:
        MissingDependencyError: llguidance is not installed.
        InputError: llguidance can't read the tokenizer.
    """

    def __init__(self, tokenizer: Tokenizer, vocab: int) -> None:
        try:
            import llguidance
        except ImportError as error:
            raise MissingDependencyError(
                "answers of a form: llguidance is not installed; "
                "run: pip install 'lmkernel[structured]'"
            ) from error
        self.tokenizer = tokenizer
        self.library: Any = llguidance
        size = max(vocab, tokenizer.vocab_size)
        more = {"n_vocab": size, "eos_token": list(tokenizer.eos_ids) or None}
        try:
            self.own: Any = self.library.LLTokenizer(tokenizer.document, **more)
        except ValueError as error:
            raise InputError(
                f"answers of a form: llguidance can't read this tokenizer: {error!s:.200}"
            ) from error
        # the library takes <tool_call> and <think> for special tokens by their look, so that no
        # text could hold them
        ends = tokenizer.special_ids | set(tokenizer.eos_ids)
        if any(self.own.is_special_token(one) and one not in ends for one in range(size)):
            wrapped = llguidance.TokenizerWrapper(_Vocabulary(tokenizer, self.own, size))
            self.own = self.library.LLTokenizer(wrapped, **more)

    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for."""
        return bytes(self.own.decode_bytes([token]))


@final
class _Vocabulary:
    """A tokenizer as the library takes it: bytes of each token, and which of them are special."""

    def __init__(self, tokenizer: Tokenizer, read: Any, size: int) -> None:
        self._tokenizer = tokenizer
        self.eos_token_id = tokenizer.eos_ids[0] if tokenizer.eos_ids else 0
        self.bos_token_id = None
        self.tokens = [bytes(read.decode_bytes([one])) for one in range(size)]
        self.special_token_ids = sorted(tokenizer.special_ids)

    def __call__(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, special_tokens=False)


@final
class Grammar:
    """A grammar over the tokens of one model.

    Args:
        tokens: the model's.
        source: from `json_grammar` or `call_grammar`.

    Raises:
        InputError: it is no grammar, such as one with a schema that is none, or no token ends a
            text.
    """

    def __init__(self, tokens: GrammarTokenizer, source: str) -> None:
        if not tokens.tokenizer.eos_ids:
            raise InputError("answers of a form: expected a tokenizer whose texts end by a token")
        _check_multiples(source)
        limits = tokens.library.LLParserLimits(initial_lexer_fuel=_MOST_WORK, verbose_errors=False)
        with library_code(_REFUSAL, InputError):
            self._begun = tokens.library.LLMatcher(tokens.own, source, log_level=0, limits=limits)
            # the first mask takes longest, and whoever serves many asks for it elsewhere than here
            self._begun.compute_bitmask()
        if self._begun.is_error():
            raise InputError(f"{_REFUSAL}: {self._begun.get_error()}"[:1000])

    def mask(self) -> GrammarMask:
        """The mask of one answer."""
        return GrammarMask(self._begun.deep_copy())


@final
class GrammarMask:
    """Masks one answer's tokens.

    Args:
        matcher: llguidance's.
    """

    def __init__(self, matcher: Any) -> None:
        self._matcher = matcher
        self._taken = 0

    def __call__(self, logits: NDArray[Any], answer: Sequence[int], /) -> NDArray[Any]:
        """Logits with -inf for every token that the grammar does not allow next.

        Raises:
            InputError: the grammar became too large to follow.
        """
        with library_code("the grammar failed", InputError):
            for token in answer[self._taken :]:
                self._matcher.consume_token(token)
            self._taken = len(answer)
            bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        if self._matcher.is_error():
            raise InputError(f"the grammar failed: {self._matcher.get_error()}"[:1000])
        allowed = np.unpackbits(bits, bitorder="little")[: len(logits)].astype(bool)
        masked = np.full(len(logits), -np.inf)
        masked[: len(allowed)][allowed] = logits[: len(allowed)][allowed]
        return masked
