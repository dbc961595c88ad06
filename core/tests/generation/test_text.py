"""Text from tokens: stop strings, ends and reasons."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest
from vocabulary_samples import byte_level, sentencepiece

from lmkernel.errors import InputError
from lmkernel.generation import GenerationOptions, TextGeneration
from lmkernel.tokenizers.stream import TextStream
from lmkernel.tokenizers.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    import tokenizers


class Letters:
    """Ids are code points."""

    def stream(self, *, before: Sequence[int] = ()) -> TextStream:
        return TextStream(lambda ids: "".join(map(chr, ids)), before)


def generation(text: str, **options: Iterable[object]) -> TextGeneration:
    tokens = ((ord(letter), -0.5) for letter in text)
    return TextGeneration(tokens, cast("Tokenizer", Letters()), **options)  # type: ignore[arg-type]  # by name


def test_pieces_come_as_they_are_made() -> None:
    answer = generation("abc")
    assert list(answer) == ["a", "b", "c"]
    assert (answer.text, answer.finish_reason) == ("abc", "length")


def test_the_text_is_there_when_it_is_asked_for() -> None:
    assert str(generation("abc")) == "abc"
    assert generation("abc").text == "abc"
    assert generation("abc").tokens == [97, 98, 99]
    assert generation("abc").finish_reason == "length"
    assert generation("abc").log_probs == [-0.5] * 3


def test_what_was_generated_can_be_gone_through_again() -> None:
    answer = generation("abc")
    assert next(iter(answer)) == "a"
    assert answer.so_far == "a"
    assert list(answer) == list(answer) == ["a", "b", "c"]
    assert (answer.text, answer.so_far) == ("abc", "abc")


def test_how_it_looks_says_whether_it_is_finished() -> None:
    answer = generation("ab")
    assert repr(answer) == "TextGeneration(not begun; str() runs it, iterating streams it)"
    assert next(iter(answer)) == "a"
    assert repr(answer) == "TextGeneration('a', 1 token, not finished)"
    assert str(answer) == "ab"
    assert repr(answer) == "TextGeneration('ab', 2 tokens, length)"


def test_stop_string_ends_before_it_though_it_comes_in_parts() -> None:
    answer = generation("hello END more", stop=("END",))
    assert "".join(answer) == "hello "
    assert answer.finish_reason == "stop"
    assert answer.tokens == [ord(letter) for letter in "hello END"]


def test_one_string_is_one_stop() -> None:
    assert GenerationOptions(stop="zebra").stop_strings == ("zebra",)


def test_a_stop_that_no_text_can_hold_is_refused() -> None:
    with pytest.raises(InputError, match=r"stop: expected text .* lone surrogate U\+DC80 at"):
        GenerationOptions(stop=["END", "\udc80x"])


def test_what_only_looks_like_a_stop_is_given() -> None:
    assert "".join(generation("xENyEN", stop=("END",))) == "xENyEN"


def test_earliest_of_several_stops_wins() -> None:
    assert "".join(generation("a##b--c", stop=("--", "##"))) == "a"


def test_end_token_gives_no_text() -> None:
    answer = generation("ab\0", end_ids=(0,))
    assert "".join(answer) == "ab"
    assert answer.finish_reason == "stop"
    assert answer.tokens[-1] == 0


@pytest.mark.parametrize("text", ["", "q"])
def test_short_answers(text: str) -> None:
    assert "".join(generation(text, stop=("qq",))) == text


class Pairs:
    """Ids are code points that are spelt two at a time."""

    def stream(self, *, before: Sequence[int] = ()) -> TextStream:
        return TextStream(lambda ids: "".join(chr(i) * 2 for i in ids), before)


def test_earliest_stop_wins_where_one_piece_holds_several() -> None:
    tokens = ((ord(letter), -0.5) for letter in "xab")
    made = TextGeneration(tokens, cast("Tokenizer", Pairs()), stop=("bb", "xa", "a"))  # type: ignore[arg-type]  # by name
    assert "".join(made) == "x"
    long = TextGeneration(((0, -0.5) for _ in "x"), cast("Tokenizer", Word()), stop=("b", "a"))  # type: ignore[arg-type]  # the same
    assert "".join(long) == "x"


class Word:
    """Every id is one word."""

    def stream(self, *, before: Sequence[int] = ()) -> TextStream:
        return TextStream(lambda ids: "xaybz" * len(ids), before)


def test_an_answer_that_was_stopped_is_never_taken_for_complete() -> None:
    def broken() -> Iterator[tuple[int, float]]:
        yield ord("a"), -0.5
        raise KeyboardInterrupt

    answer = TextGeneration(broken(), cast("Tokenizer", Letters()))
    with pytest.raises(KeyboardInterrupt):
        str(answer)
    for _ in range(2):
        with pytest.raises(InputError, match="stopped after 1 token, by KeyboardInterrupt"):
            str(answer)
    assert (answer.so_far, answer.finished) == ("a", False)


@pytest.mark.parametrize("make", [byte_level, sentencepiece])
@pytest.mark.parametrize("prompt", ["the cat", "the cat ", " the", "naïve caf", "世", "the\n"])
def test_b27_prompt_and_answer_read_as_all_ids_do(
    make: Callable[[], tokenizers.Tokenizer], prompt: str
) -> None:
    tokenizer = Tokenizer(make(), {})
    before = tokenizer.encode(prompt)
    for said in ("the hat of", " sat", "é", "\n", "世界"):
        ids = tokenizer.encode(said)
        answer = TextGeneration(((token, -0.5) for token in ids), tokenizer, prompt=before)
        assert tokenizer.decode(before) + answer.text == tokenizer.decode([*before, *ids])


def test_b27_half_a_character_of_the_prompt_is_said_whole() -> None:
    tokenizer = Tokenizer(byte_level(), {})
    *before, last = tokenizer.encode("caf😀")
    answer = TextGeneration([(last, -0.5)], tokenizer, prompt=before)
    assert tokenizer.decode(before).startswith("caf\ufffd")
    assert answer.text == "😀"
