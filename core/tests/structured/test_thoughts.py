"""Thoughts are told apart from answers, wherever the text is cut."""

from __future__ import annotations

import pytest

from lmkernel.structured import Part, ThoughtReader, template_thinks

CASES = [
    ("user:", "<think>\nTwo and\n two.\n</think>\n\nIt is 4.\n", "Two and\n two.", "It is 4.\n"),
    ("user:<think>\n", "Two.\n</think>\nIt is <b>4</b>.", "Two.", "It is <b>4</b>."),
    ("user:", "It is 4, not <think>5</think>.", "", "It is 4, not <think>5</think>."),
    ("user:<think>\n\n</think>\n\n", " It is 4.", "", " It is 4."),
    ("user:", "\n <think></think>4", "", "4"),
    ("user:", "<think>Two < 3 </thin and on", "Two < 3 </thin and on", ""),
    ("user:", "<think>cut </thi", "cut </thi", ""),
    ("user:", "<thin", "", "<thin"),
    ("user:", "<think>a</think>b</think>c", "a", "b</think>c"),
    ("user:", " ", "", " "),
]


def read(prompt: str, pieces: list[str]) -> tuple[str, str]:
    """The thought and the text of an answer that comes in pieces."""
    reader = ThoughtReader(prompt)
    parts = [part for piece in pieces for part in reader.push(piece)] + reader.finish()
    assert all(part.text for part in parts)
    texts = ["".join(one.text for one in parts if one.thought is kind) for kind in (True, False)]
    return texts[0], texts[1]


@pytest.mark.parametrize(("prompt", "text", "thought", "answer"), CASES)
def test_a_thought_is_no_answer(prompt: str, text: str, thought: str, answer: str) -> None:
    assert read(prompt, [text]) == (thought, answer)


@pytest.mark.parametrize(("prompt", "text", "thought", "answer"), CASES)
def test_where_the_text_is_cut_changes_nothing(
    prompt: str, text: str, thought: str, answer: str
) -> None:
    assert read(prompt, list(text)) == (thought, answer)
    for at in range(len(text)):
        assert read(prompt, [text[:at], text[at:]]) == (thought, answer), text[:at]


def test_what_is_certain_is_given_at_once() -> None:
    reader = ThoughtReader("user:")
    assert reader.push("<think>\nTwo ") == [Part("Two", thought=True)]
    assert reader.thinking
    assert reader.push("and</think>\n") == [Part(" and", thought=True)]
    assert reader.push("4") == [Part("4")]
    assert not reader.thinking


@pytest.mark.parametrize(
    ("template", "thinks"),
    [("{{ content.split('</think>')[-1] }}", True), ("{{ '<think>' }}", True), ("{{ x }}", False)],
)
def test_a_template_says_whether_its_model_thinks(template: str, thinks: bool) -> None:
    assert template_thinks(template) is thinks
