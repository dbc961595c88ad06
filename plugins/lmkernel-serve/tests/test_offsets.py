"""Where tokens begin in the text of a prompt and its answer."""

from __future__ import annotations

import pytest
from lmkernel_serve.offsets import TextOffsets

TOKENS = [b"<s>", b" the", b" cat", b"\xe4\xbd", b"\xa0", b"\xff", b"<end>"]
BEGIN, THE, CAT, HALF, REST, NONE, END = range(len(TOKENS))


def offsets_of(prompt: str, before: list[int], after: list[int]) -> tuple[list[int], list[int]]:
    offsets = TextOffsets(prompt, TOKENS.__getitem__, {BEGIN, END})
    return [*map(offsets.of_prompt, before)], [*map(offsets.of_answer, after)]


@pytest.mark.parametrize(
    ("prompt", "before", "given"),
    [
        (" the cat", [THE, CAT], [0, 4]),
        ("the cat", [THE, CAT], [0, 3]),  # the first space is the tokenizer's
        ("the cat", [BEGIN, THE, CAT], [0, 0, 3]),
        ("<s> the cat", [BEGIN, BEGIN, THE, CAT], [0, 3, 3, 7]),
        (" the你 cat", [THE, HALF, REST, CAT], [0, 4, 4, 5]),
    ],
)
def test_a_prompts_tokens_stand_where_its_text_has_them(
    prompt: str, before: list[int], given: list[int]
) -> None:
    assert offsets_of(prompt, before, [CAT, CAT]) == (given, [len(prompt), len(prompt) + 4])


def test_an_answers_tokens_count_from_the_prompts_beginning() -> None:
    answer = [THE, HALF, REST, NONE, END, CAT]
    assert offsets_of("12", [], answer)[1] == [2, 6, 6, 7, 8, 8]
