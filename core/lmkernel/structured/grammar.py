"""Answers that follow a grammar: what would break it is masked before each token is chosen."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.errors import InputError, MissingDependencyError
from lmkernel.structured.bounds import check_bounds
from lmkernel.structured.messages import REFUSAL, SchemaError, telling_part
from lmkernel.structured.numbers import check_multiples, check_numbers
from lmkernel.tokenizers.library import library_code

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from lmkernel.tokenizers.tokenizer import Tokenizer

__all__ = ["Grammar", "GrammarMask", "GrammarTokenizer", "json_grammar", "json_rule"]

_COMPACT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
"""With any white space a small model may go on with it for ever."""
_MOST_WORK = 200_000
"""A fifth of llguidance's own limit, which a pattern of a few characters uses up in seconds."""
_MOST_SIZE = 2**20
"""Of all schemas of a grammar: characters of texts, and values; each is read several times."""
_DEEP = 500
_LARGE_STACK = 2**28
"""For schemas that refer to others, of which the library reads one within the other."""
_ONE_STACK = threading.Lock()
"""The size of the next thread's stack is the process's."""
_SCHEMA = re.compile(r"^\w+: %json (.*)$", re.MULTILINE)


def json_grammar(schema: Mapping[str, Any]) -> str:
    """The grammar, in llguidance's Lark, of JSON of a schema."""
    return f"%llguidance {{}}\nstart: {json_rule(schema)}\n"


def json_rule(schema: Mapping[str, Any]) -> str:
    """A schema as a part of a rule of a grammar.

    Raises:
        SchemaError: it cannot be written as JSON, is long, or has bounds or values that would be
            others.
    """
    _check_size([schema])
    try:
        check_numbers(schema)
        # ours last: a schema that says of itself how white space is written could allow any text
        return f"%json {json.dumps({**schema, 'x-guidance': _COMPACT}, allow_nan=False)}"
    except (TypeError, ValueError, RecursionError) as error:
        raise SchemaError(f"expected a schema of JSON: {error}") from error


def _check_size(waiting: list[Any]) -> None:
    """Refuse values that are long as JSON, also where one stands in many places."""
    size = 0
    while waiting:
        one = waiting.pop()
        size += len(one) if isinstance(one, str) else 1
        if size > _MOST_SIZE:
            raise SchemaError(
                f"{REFUSAL}: expected at most {_MOST_SIZE} characters of texts and other values"
            )
        if isinstance(one, Mapping):
            waiting += [part for pair in one.items() for part in pair]
        elif isinstance(one, list | tuple):
            waiting += one


def _checked_depth(source: str) -> int:
    """How deep a grammar's schemas are; refuse those that would take long to read."""
    try:
        schemas = [json.loads(one) for one in _SCHEMA.findall(source)]
        _check_size([*schemas])
        return check_bounds(schemas)
    except (InputError, ValueError) as error:
        raise SchemaError(f"{REFUSAL}: {error}") from error
    except RecursionError as error:
        raise SchemaError(f"{REFUSAL}: its values are nested too deep") from error


def _with_large_stack(work: Callable[[], Any]) -> Any:
    """What a function gives whose recursion would end the process in a usual stack."""
    with _ONE_STACK, ThreadPoolExecutor(1) as pool:
        before = threading.stack_size(_LARGE_STACK)
        try:
            begun = pool.submit(work)  # which starts the thread
        finally:
            threading.stack_size(before)
        return begun.result()


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
        SchemaError: it is no grammar, such as one with a schema that is none.
        InputError: no token ends a text.
    """

    def __init__(self, tokens: GrammarTokenizer, source: str) -> None:
        if not tokens.tokenizer.eos_ids:
            raise InputError("answers of a form: expected a tokenizer whose texts end by a token")
        depth = _checked_depth(source)
        check_multiples(source)
        limits = tokens.library.LLParserLimits(initial_lexer_fuel=_MOST_WORK, verbose_errors=False)
        begin = partial(tokens.library.LLMatcher, tokens.own, source, log_level=0, limits=limits)
        with library_code(REFUSAL, SchemaError):
            self._begun = begin() if depth <= _DEEP else _with_large_stack(begin)
            # the first mask takes longest, and whoever serves many asks for it elsewhere than here
            self._begun.compute_bitmask()
        if self._begun.is_error():
            raise SchemaError(f"{REFUSAL}: {telling_part(self._begun.get_error())}"[:1000])

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
            SchemaError: the grammar became too large to follow.
        """
        with library_code("the grammar failed", SchemaError):
            for token in answer[self._taken :]:
                self._matcher.consume_token(token)
            self._taken = len(answer)
            bits = np.frombuffer(self._matcher.compute_bitmask(), np.uint8)
        if self._matcher.is_error():
            raise SchemaError(
                f"the grammar failed: {telling_part(self._matcher.get_error())}"[:1000]
            )
        allowed = np.unpackbits(bits, bitorder="little")[: len(logits)].astype(bool)
        masked = np.full(len(logits), -np.inf)
        masked[: len(allowed)][allowed] = logits[: len(allowed)][allowed]
        return masked
