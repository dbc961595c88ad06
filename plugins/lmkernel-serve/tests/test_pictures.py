"""Pictures in chat completions, by the real client; and what is refused of them."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING, Any

import openai
import pytest
from lmkernel_serve.served import Served
from picture_models import save_pictures
from seeing_models import seeing_model

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lmkernel.language_model import LanguageModel

    Asked = tuple[openai.OpenAI, LanguageModel, list[Path]]

QUESTION, NEW = "What is it?", 8


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, serving: Any) -> Iterator[Asked]:
    """A client of a small SmolVLM, the model, and pictures."""
    folder = tmp_path_factory.mktemp("seeing")
    model, pictures = seeing_model(folder / "m", "smolvlm"), save_pictures(folder)
    with (
        serving(Served("sees", model, most_rows=2)) as address,
        openai.OpenAI(base_url=f"{address}/v1", api_key="-", max_retries=0) as client,
    ):
        yield client, model, pictures


def url(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"


def message(*urls: str, text: str = QUESTION) -> list[Any]:
    parts: list[Any] = [{"type": "image_url", "image_url": {"url": one}} for one in urls]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": text}]}]


def answer(client: openai.OpenAI, messages: list[Any], **options: Any) -> Any:
    return client.chat.completions.create(
        model="sees", messages=messages, temperature=0, max_completion_tokens=NEW, **options
    )


def test_answers_are_those_of_the_library(asked: Asked) -> None:
    client, model, pictures = asked
    for shown in (pictures[:1], pictures[1:2], pictures[:2], []):
        expected = model.chat(QUESTION, images=shown, max_new_tokens=NEW)
        found = answer(client, message(*map(url, shown)))
        assert found.choices[0].message.content == expected.text
        assert found.usage.completion_tokens == len(expected.tokens)


def test_pieces_of_a_stream_are_the_answer(asked: Asked) -> None:
    client, model, pictures = asked
    expected = model.chat(QUESTION, images=pictures[0], max_new_tokens=NEW).text
    stream = answer(client, message(url(pictures[0])), stream=True)
    assert "".join(piece.choices[0].delta.content or "" for piece in stream) == expected


def test_equal_tokens_of_other_pictures_are_no_prefix(asked: Asked) -> None:
    """Prompts of one size have the same tokens, whatever the pictures show."""
    client, model, pictures = asked
    found = [answer(client, message(url(path))) for path in (pictures[0], pictures[2])]
    texts = [one.choices[0].message.content for one in found]
    expected = [
        model.chat(QUESTION, images=path, max_new_tokens=NEW).text
        for path in (pictures[0], pictures[2])
    ]
    assert texts == expected
    assert texts[0] != texts[1]


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("https://example.com/cat.png", "expected data:image/…;base64,…, as this server fetches"),
        ("file:///etc/passwd", "expected data:image"),
        ("data:text/plain;base64,AAAA", "expected data:image"),
        ("data:image/png;base64,A", "expected base64"),
        ("data:image/png;base64,AAAA", "expected a picture"),
    ],
)
def test_what_is_no_picture_is_refused(asked: Asked, wrong: str, said: str) -> None:
    client, *_ = asked
    with pytest.raises(openai.BadRequestError, match=said):
        answer(client, message(wrong))


def test_what_a_model_of_pictures_does_not_do(asked: Asked) -> None:
    client, _, pictures = asked
    tool: Any = {"type": "function", "function": {"name": "now"}}
    with pytest.raises(openai.BadRequestError, match="tools: expected none for a model that"):
        answer(client, message(url(pictures[0])), tools=[tool])
    with pytest.raises(openai.BadRequestError, match="the prompt names 2 pictures"):
        answer(client, message(url(pictures[0]), text="<image>"))


def test_a_model_of_texts_says_that_it_sees_none(tmp_path: Path, serving: Any, tiny: Any) -> None:
    shown = message(url(save_pictures(tmp_path, 1)[0]))
    with (
        serving(Served("blind", tiny(tmp_path / "m"))) as address,
        openai.OpenAI(base_url=f"{address}/v1", api_key="-", max_retries=0) as client,
        pytest.raises(openai.BadRequestError, match="expected a model that is shown some"),
    ):
        client.chat.completions.create(model="blind", messages=shown)
