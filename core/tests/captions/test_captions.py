"""Pictures asked about: forms, conversations, batches, and what is refused by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from inspected import small_llama
from picture_models import change_processor, save_pictures
from PIL import Image
from seeing_models import IMAGE, seeing_model

import lmkernel as lk
from lmkernel.errors import CheckpointError, InputError
from lmkernel.prompts import chat_prompt, prompt_of

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.language_model import LanguageModel

NEW = 8
QUESTION = "What is it?"


@pytest.fixture(scope="module", params=["smolvlm", "llava"])
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    return seeing_model(tmp_path_factory.mktemp("seeing") / "m", request.param)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    return save_pictures(tmp_path_factory.mktemp("pictures"), 4)


def said(model: LanguageModel, question: Any, images: Any = None) -> str:
    return model.chat(question, images=images, max_new_tokens=NEW).text


def test_answers_depend_on_the_picture(model: LanguageModel, pictures: list[Path]) -> None:
    found = [said(model, QUESTION, path) for path in pictures]
    assert len({*found, said(model, QUESTION)}) >= 4


def test_a_picture_in_each_form_is_the_same(model: LanguageModel, pictures: list[Path]) -> None:
    path = pictures[0]
    pixels = np.asarray(Image.open(path))
    parts = [{"type": "image", "image": path}, {"type": "text", "text": QUESTION}]
    expected = said(model, QUESTION, path)
    for form in (str(path), path.read_bytes(), pixels, [path]):
        assert said(model, QUESTION, form) == expected
    assert said(model, [{"role": "user", "content": parts}]) == expected


def test_parts_say_where_pictures_stand(model: LanguageModel, pictures: list[Path]) -> None:
    text, image = {"type": "text", "text": QUESTION}, {"type": "image"}
    first, second = pictures[:2]
    behind = [{"role": "user", "content": [text, image, {"type": "image", "image": second}]}]
    prompt = chat_prompt(model, behind, first)
    other = chat_prompt(model, QUESTION, [first, second])
    np.testing.assert_array_equal(prompt.pixels, other.pixels)
    assert sorted(prompt.ids) == sorted(other.ids)
    assert prompt.ids != other.ids


def test_pictures_stay_where_they_were_as_a_conversation_goes_on(
    model: LanguageModel, pictures: list[Path]
) -> None:
    first = [{"role": "user", "content": QUESTION}]
    answer = model.chat(first, images=pictures[0], max_new_tokens=NEW).text
    more = [*first, {"role": "assistant", "content": answer}, {"role": "user", "content": "Why?"}]
    begun = chat_prompt(model, first, pictures[0]).ids
    assert chat_prompt(model, more, pictures[0]).ids[: len(begun)] == begun


def test_an_answer_goes_on_from_where_it_was_cut(
    model: LanguageModel, pictures: list[Path]
) -> None:
    whole = model.chat(QUESTION, images=pictures[0], max_new_tokens=NEW)
    ids = chat_prompt(model, QUESTION, pictures[0], "It is").ids
    assert model.decode(ids).endswith("It is")
    text = model.chat(QUESTION, images=pictures[0], begun="It is", max_new_tokens=2).text
    assert text != whole.text


def test_batches_change_nothing(model: LanguageModel, pictures: list[Path]) -> None:
    alone = [lk.caption(model, path, QUESTION, max_new_tokens=NEW) for path in pictures]
    several = lk.caption(model, pictures, QUESTION, batch=3, max_new_tokens=NEW, progress=False)
    assert list(several) == alone
    assert alone[0].picture == str(pictures[0])
    assert several.json()[1]["text"] == alone[1].text
    assert several.rows()[0] == ["TEXT", "PICTURE"]


@pytest.mark.parametrize("given", [None, [None]])
def test_no_picture_has_no_caption(model: LanguageModel, given: Any) -> None:
    with pytest.raises(InputError, match=r"pictures: expected paths, bytes or arrays .* got None"):
        lk.caption(model, given)


def test_a_model_of_texts_captions_nothing(tmp_path: Path, pictures: list[Path]) -> None:
    text_model = small_llama(tmp_path / "llama")
    for given in (None, pictures[0], pictures):
        with pytest.raises(InputError, match=r"^pictures: expected "):
            lk.caption(text_model, given)  # type: ignore[arg-type]  # None is what is tested


def test_chunks_of_a_prompt_change_nothing(
    model: LanguageModel, pictures: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = said(model, QUESTION, pictures[:2])
    borders = "lmkernel.generation.decoding.chunk_borders"
    monkeypatch.setattr(borders, lambda length: [*range(length, 0, -7), 0][::-1])
    assert said(model, QUESTION, pictures[:2]) == expected


def test_a_token_that_is_generated_is_no_picture(
    model: LanguageModel, pictures: list[Path]
) -> None:
    """Where the vectors are used up, the token has its own."""
    prompt = chat_prompt(model, QUESTION, pictures[0])
    batch = model.generate_batch([prompt, [*prompt.ids, IMAGE]], max_new_tokens=NEW)
    assert len(batch[1].tokens) == NEW


@pytest.mark.parametrize(
    ("asked", "count", "expected"),
    [
        ("<image>", 0, "the prompt names 1 picture (as <image>), got 0"),
        ("<image> <image>", 1, "the prompt names 2 pictures (as <image>), got 1"),
        ("nothing", 1, "the prompt names 0 pictures (as <image>), got 1"),
    ],
)
def test_a_text_that_names_other_pictures(
    model: LanguageModel, pictures: list[Path], asked: str, count: int, expected: str
) -> None:
    with pytest.raises(InputError) as caught:
        model.generate(asked, images=pictures[:count])
    assert str(caught.value) == expected


def test_messages_that_name_other_pictures(model: LanguageModel, pictures: list[Path]) -> None:
    named: Any = [{"role": "user", "content": [{"type": "image"}]}]
    with pytest.raises(InputError, match="the messages name more pictures than there are"):
        model.chat(named)
    with pytest.raises(InputError, match="the messages name 1 picture, got 2 more than that"):
        model.chat(named, images=pictures[:3])
    film: Any = [{"role": "user", "content": [{"type": "video", "video": "a.mp4"}]}]
    with pytest.raises(InputError, match="expected a text, or parts"):
        model.chat(film)
    with pytest.raises(InputError, match="expected at most 512 tokens, the model's context"):
        said(model, QUESTION, pictures * 9)


def test_ids_have_a_place_for_each_vector(model: LanguageModel, pictures: list[Path]) -> None:
    prompt = chat_prompt(model, QUESTION, pictures[0])
    assert prompt_of(model, prompt.ids, pictures[0]).ids == prompt.ids
    with pytest.raises(InputError, match=r"expected \d+ tokens 3 for the vectors of \d+ tiles"):
        prompt_of(model, [*prompt.ids, IMAGE], pictures[0])


def test_files_that_are_no_pictures(
    model: LanguageModel, pictures: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "text.png").write_text("no picture")
    (tmp_path / "cut.png").write_bytes(pictures[0].read_bytes()[:60])
    Image.new("RGB", (1, 1)).save(tmp_path / "dot.png")
    Image.new("1", (30_000, 1)).save(tmp_path / "line.png")
    Image.new("1", (12_000, 12_000)).save(tmp_path / "bomb.png")
    for name, expected in (
        ("text.png", "expected a picture"),
        ("cut.png", "the picture is damaged or ends early"),
        ("dot.png", "expected 2×2 pixels or more, got 1×1"),
        ("line.png", "expected 2×2 pixels or more, got 30000×1"),
        ("bomb.png", "expected at most 89478485 pixels, got"),
        ("none.png", "cannot be read"),
    ):
        with pytest.raises(InputError, match=f"{name}.*{expected}"):
            lk.caption(model, tmp_path / name)


def test_a_model_of_texts_says_that_it_sees_none(tmp_path: Path, pictures: list[Path]) -> None:
    llama = small_llama(tmp_path / "l")
    expected = "expected a model that is shown some, such as SmolVLM or LLaVA, got a llama model"
    with pytest.raises(InputError, match=expected):
        llama.generate("a", images=pictures[0])
    part: Any = [{"role": "user", "content": [{"type": "image", "image": pictures[0]}]}]
    with pytest.raises(InputError, match=expected):
        llama.chat(part)


def test_a_processor_that_makes_another_size(tmp_path: Path, pictures: list[Path]) -> None:
    seeing_model(tmp_path / "m", "smolvlm")
    change_processor(tmp_path / "m", max_image_size={"longest_edge": 16})
    with pytest.raises(CheckpointError, match=r"pictures of 3 × 8 × 8 .*, got 3 × 16 × 16"):
        lk.load(tmp_path / "m").chat(QUESTION, images=pictures[0])


def test_a_folder_that_does_not_say_how_pictures_are_prepared(
    tmp_path: Path, pictures: list[Path]
) -> None:
    seeing_model(tmp_path / "m", "llava")
    (tmp_path / "m" / "preprocessor_config.json").unlink()
    with pytest.raises(CheckpointError, match="no such file says how pictures are prepared"):
        lk.load(tmp_path / "m").chat(QUESTION, images=pictures[0])


def test_it_is_asked_without_pictures_as_any_other(model: LanguageModel) -> None:
    assert said(model, QUESTION) == said(model, [{"role": "user", "content": QUESTION}])
    assert model.logits("abc").shape[0] == len(model.token_ids("abc"))
    assert set(model.describe().by_part) >= {"pictures", "connector", "decoder"}


def test_weights_of_few_bits_answer(tmp_path: Path, pictures: list[Path]) -> None:
    seeing_model(tmp_path / "m", "smolvlm")
    few = lk.load(tmp_path / "m", backend="numpy", weights="int8")
    assert len(few.chat(QUESTION, images=pictures[0], max_new_tokens=NEW).tokens) == NEW


@pytest.mark.parametrize(
    "odd", [-1, 1.5, True, "", "a\0b", "\ud800", b"x", {"a": 1}, object(), ["x", None], np.zeros(3)]
)
def test_what_is_no_picture_is_refused_in_words(model: LanguageModel, odd: Any) -> None:
    with pytest.raises(InputError):
        model.chat(QUESTION, images=odd)
    part: Any = [{"role": "user", "content": [{"type": "image", "image": odd}]}]
    with pytest.raises(InputError):
        model.chat(part)
    if not isinstance(odd, str):
        with pytest.raises(InputError):
            model.chat(QUESTION, begun=odd)
