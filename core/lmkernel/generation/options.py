"""How to generate."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import TYPE_CHECKING, Any, TypedDict, final

from lmkernel.arguments import require_known
from lmkernel.errors import InputError, shown
from lmkernel.tokenizers.checks import check_text

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from lmkernel.tokenizers.tokenizer import Tokenizer

__all__ = ["GenerationChanges", "GenerationOptions"]

_MOST = 1e200
"""Above it, and below its inverse, a quotient of logits may leave float64."""
_MOST_BEAMS, _STEEPEST, _MOST_GUESSES = 1024, 100, 256
_WHOLE = (
    *("max_new_tokens", "top_k", "seed", "num_beams", "no_repeat_ngram_size", "min_new_tokens"),
    "prompt_lookup_num_tokens",
)
_REAL = ("temperature", "top_p", "min_p", "repetition_penalty", "length_penalty")


class GenerationChanges(TypedDict, total=False):
    """The options as keywords of ``generate`` and ``chat``; see `GenerationOptions`."""

    max_new_tokens: int
    temperature: float
    top_k: int
    top_p: float
    min_p: float
    repetition_penalty: float
    seed: int
    stop: str | Sequence[str]
    stop_ids: int | Sequence[int]
    ignore_eos: bool
    num_beams: int
    length_penalty: float
    early_stopping: bool | str
    no_repeat_ngram_size: int
    min_new_tokens: int
    bad_words_ids: Sequence[Sequence[int]]
    forced_bos_token_id: int | Sequence[int]
    forced_eos_token_id: int | Sequence[int]
    json_schema: Mapping[str, Any] | None

    prompt_lookup_num_tokens: int


@final
@dataclass(frozen=True, kw_only=True)
class GenerationOptions:
    """Options of one generation; the defaults are greedy.

    Args:
        max_new_tokens: the most tokens to generate.
        temperature: the divisor of the logits; 0 takes the largest logit.
        top_k: the number of largest logits that may be drawn; 0 for all.
        top_p: the probability that the smallest set of most probable tokens must reach; only these
            may be drawn (nucleus sampling, arXiv:1904.09751).
        min_p: the least probability that may be drawn, as a share of the largest
            (arXiv:2407.01082).
        repetition_penalty: the factor for tokens that came before: positive logits are divided by
            it, negative ones multiplied (arXiv:1909.05858, §4.1).
        seed: the seed of the draws, below 2**64; they are keyed by (seed, row, step).
        stop: strings before which generation ends; one may be given alone.
        stop_ids: tokens at which generation ends, besides the model's own end.
        ignore_eos: whether generation goes on after the model's own end.
        num_beams: number of beams, that is of beginnings that are gone on with side by side; of all
            that ended, the one of the best score is the answer. 1 for none.
        length_penalty: with beams, a score is the log-probability divided by the number of tokens
            to this power.
        early_stopping: with beams, True ends when as many have ended as there are beams; False when
            no beam looks better than those; ``"never"`` when none can become better.
        no_repeat_ngram_size: so many tokens in a row are never the same twice; 0 for no limit.
        min_new_tokens: the fewest tokens before an end.
        bad_words_ids: tokens, or tokens in a row, that are never written.
        forced_bos_token_id: the token that comes after a prompt of one token, such as the start of
            a decoder; or several that may.
        forced_eos_token_id: the token that comes last where ``max_new_tokens`` is reached.
        json_schema: the schema of JSON that the answer is kept to, as long as ``max_new_tokens``
            allows; of a model with a tokenizer, and with the extra ``structured``.

        prompt_lookup_num_tokens: how many tokens are guessed where a row repeats what stands in it
            already, and fed in one step; the answer is the same, in fewer steps. 0 for none.

    Raises:
        InputError: a value that makes no sense; the message names the option.
    """

    max_new_tokens: int = 512
    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    seed: int = 0
    stop: str | Sequence[str] = ()
    stop_ids: int | Sequence[int] = ()
    ignore_eos: bool = False
    num_beams: int = 1
    length_penalty: float = 1.0
    early_stopping: bool | str = False
    no_repeat_ngram_size: int = 0
    min_new_tokens: int = 0
    bad_words_ids: Sequence[Sequence[int]] = ()
    forced_bos_token_id: int | Sequence[int] = ()
    forced_eos_token_id: int | Sequence[int] = ()
    json_schema: Mapping[str, Any] | None = None

    prompt_lookup_num_tokens: int = 0

    def __post_init__(self) -> None:
        self._unify("stop", str, "a string, or several")
        self._unify("stop_ids", Integral, "a token id, or several")
        for name in ("forced_bos_token_id", "forced_eos_token_id"):
            self._unify(name, Integral, "a token id, or several")
        for name in _WHOLE:
            self._number(name, Integral, "a whole number")
        for name in _REAL:
            self._number(name, Real, "a number")
        self._require("max_new_tokens", "at least 1", ok=self.max_new_tokens >= 1)
        self._require("temperature", f"0 to {_MOST:g}", ok=0 <= self.temperature <= _MOST)
        self._require("top_k", "0 or more", ok=self.top_k >= 0)
        self._require("top_p", "in (0, 1]", ok=0 < self.top_p <= 1)
        self._require("min_p", "in [0, 1]", ok=0 <= self.min_p <= 1)
        mild = 1 / _MOST <= self.repetition_penalty <= _MOST
        self._require("repetition_penalty", f"{1 / _MOST:g} to {_MOST:g}", ok=mild)
        self._require("seed", "0 to 2**64 - 1", ok=0 <= self.seed < 1 << 64)
        self._require("ignore_eos", "True or False", ok=isinstance(self.ignore_eos, bool))
        self._require("stop", "without empty strings", ok=all(self.stop))
        for stop in self.stop_strings:
            check_text(stop, "stop")
        schema = self.json_schema
        self._require("json_schema", "a mapping", ok=schema is None or isinstance(schema, Mapping))
        free = schema is None
        self._require("num_beams", "1 with json_schema", ok=free or self.num_beams == 1)
        self._require("ignore_eos", "False with json_schema", ok=free or not self.ignore_eos)
        self._check_beams()

    def _check_beams(self) -> None:
        """What concerns beams, and tokens that may not or must be written."""
        self._require("num_beams", "1 to 1024", ok=1 <= self.num_beams <= _MOST_BEAMS)
        self._require("length_penalty", "-100 to 100", ok=abs(self.length_penalty) <= _STEEPEST)
        one = isinstance(self.early_stopping, bool) or self.early_stopping == "never"
        self._require("early_stopping", "True, False or 'never'", ok=one)
        for name in ("no_repeat_ngram_size", "min_new_tokens"):
            self._require(name, "0 or more", ok=getattr(self, name) >= 0)
        self._require(
            "temperature", "0 where there are beams", ok=self.num_beams == 1 or not self.temperature
        )
        guesses, one = self.prompt_lookup_num_tokens, self.num_beams == 1
        few = 0 <= guesses <= _MOST_GUESSES
        self._require("prompt_lookup_num_tokens", f"0 to {_MOST_GUESSES}", ok=few)
        self._require("prompt_lookup_num_tokens", "0 where there are beams", ok=one or not guesses)
        words = self.bad_words_ids
        listed = isinstance(words, list | tuple) and all(_is_word(word) for word in words)
        self._require("bad_words_ids", "lists of one token id or more", ok=listed)
        object.__setattr__(self, "bad_words_ids", tuple(tuple(word) for word in words))

    @classmethod
    def of(cls, options: object, changes: Mapping[str, Any]) -> GenerationOptions:
        """Options, or the usual ones for None, with others in place of single values.

        Raises:
            InputError: they are something else.
            UnknownNameError: a change of what is no option.
        """
        if not isinstance(options, cls | None):
            raise InputError(
                "options: expected GenerationOptions, or keywords such as max_new_tokens=20, "
                f"got {shown(options)}"
            )
        return (options or cls()).replace(**changes)

    def replace(self, **changes: Any) -> GenerationOptions:
        """The same with other values.

        Raises:
            UnknownNameError: a name that is no option.
        """
        known = [field.name for field in dataclasses.fields(self)]
        for name in changes:
            require_known("option of generation", name, known)
        return dataclasses.replace(self, **changes)

    @property
    def stop_strings(self) -> tuple[str, ...]:
        """``stop``, as the tuple that it has become."""
        return tuple(self.stop)

    def end_ids(self, own: Collection[int]) -> frozenset[int]:
        """The tokens that end a row, given those that end the model's own answers."""
        more = [self.stop_ids] if isinstance(self.stop_ids, int) else self.stop_ids
        return frozenset(more) | (frozenset() if self.ignore_eos else frozenset(own))

    def with_special_stops(self, tokenizer: Tokenizer) -> GenerationOptions:
        """The same, ending also at the special tokens that ``stop`` names: no text holds them."""
        ids = (tokenizer.token_id(stop) for stop in self.stop_strings)
        found = [token for token in ids if token in tokenizer.special_ids]
        return self.replace(stop_ids=[*self.end_ids(()), *found]) if found else self

    def check_ids(self, vocab: int) -> None:
        """Raise `InputError` unless a vocabulary of this size has every id that is named."""
        named: dict[str, Any] = {"stop_ids": self.end_ids(())}
        named["bad_words_ids"] = [token for word in self.bad_words_ids for token in word]
        for name in ("forced_bos_token_id", "forced_eos_token_id"):
            named[name] = getattr(self, name)
        for name, tokens in named.items():
            for token in tokens:
                if not 0 <= token < vocab:
                    expected = f"token ids in 0 … {vocab - 1}"
                    raise InputError(f"{name}: expected {expected}, got {shown(token)}")

    def _unify(self, field: str, kind: type, expected: str) -> None:
        """One value and any sequence of values become a tuple."""
        value = getattr(self, field)
        values = (value,) if _is(value, kind) else value
        ok = isinstance(values, list | tuple | set | frozenset) and all(
            _is(v, kind) for v in values
        )
        self._require(field, expected, ok=ok)
        object.__setattr__(self, field, tuple(values))

    def _number(self, field: str, kind: type, expected: str) -> None:
        """A number of any library becomes Python's own, which is compared without overflow."""
        value = getattr(self, field)
        self._require(field, expected, ok=_is(value, kind))
        object.__setattr__(self, field, int(value) if isinstance(value, Integral) else float(value))

    def _require(self, field: str, expected: str, *, ok: bool) -> None:
        if not ok:
            raise InputError(f"{field}: expected {expected}, got {shown(getattr(self, field))}")


def _is_word(word: object) -> bool:
    return isinstance(word, list | tuple) and bool(word) and all(_is(t, Integral) for t in word)


def _is(value: object, kind: type) -> bool:
    """Whether a value is of a kind; a bool is no number."""
    return isinstance(value, kind) and not isinstance(value, bool)
