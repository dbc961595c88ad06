"""Models that talk about pictures, beside transformers: prompts, pixels, and answers."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers
from picture_models import save_pictures
from PIL import Image
from seeing_models import END, seeing_model
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil

import lmkernel as lk
from lmkernel.prompts import chat_prompt, prompt_of

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.language_model import LanguageModel

KINDS = ("smolvlm", "idefics3", "llava")
EVERYWHERE = os.environ.get("LMKERNEL_FAMILIES") == "all"
OTHERS = ("torch", "tensorflow", "jax", "mlx") if EVERYWHERE else ("torch",)
CLASSES = {
    "smolvlm": "SmolVLMForConditionalGeneration",
    "idefics3": "Idefics3ForConditionalGeneration",
    "llava": "LlavaForConditionalGeneration",
}
QUESTIONS = ("What is it?", "Is it larger than a house?", "Count:", "é → 漢字")
NEW = 12


@dataclass(frozen=True)
class Sample:
    """A model of ours, the same of theirs with its processor, and pictures."""

    kind: str
    ours: LanguageModel
    theirs: Any
    processor: Any
    pictures: list[Path]

    def inputs(self, question: str, pictures: list[Path]) -> Any:
        """What transformers feeds its model."""
        parts = [{"type": "image"} for _ in pictures] + [{"type": "text", "text": question}]
        messages = [{"role": "user", "content": parts}]
        text = self.ours.tokenizer.chat(messages)
        images = [Image.open(path) for path in pictures]
        bos = text.startswith("<s>")
        return self.processor(
            text=text, images=images, return_tensors="pt", add_special_tokens=not bos
        )


def processor_of(kind: str, folder: Path) -> Any:
    """transformers' processor; that of SmolVLM is Idefics 3's but for films."""
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    if kind == "llava":
        pictures = transformers.CLIPImageProcessorPil.from_pretrained(folder)
        return transformers.LlavaProcessor(
            pictures,
            tokenizer,
            patch_size=2,
            vision_feature_select_strategy="default",
            num_additional_image_tokens=1,
        )
    pictures = Idefics3ImageProcessorPil.from_pretrained(folder)
    return transformers.Idefics3Processor(pictures, tokenizer, image_seq_len=4)


@pytest.fixture(scope="module", params=KINDS)
def sample(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Sample:
    folder = tmp_path_factory.mktemp("seeing")
    ours = seeing_model(folder / "m", request.param)
    theirs = getattr(transformers, CLASSES[request.param]).from_pretrained(folder / "m").eval()
    processor = processor_of(request.param, folder / "m")
    return Sample(request.param, ours, theirs, processor, save_pictures(folder, 4))


@pytest.mark.parametrize("count", [1, 2, 4])
def test_prompts_and_pixels_equal(sample: Sample, count: int) -> None:
    pictures = sample.pictures[:count]
    expected = sample.inputs(QUESTIONS[0], pictures)
    got = chat_prompt(sample.ours, QUESTIONS[0], pictures)
    assert got.ids == expected["input_ids"][0].tolist()
    pixels = expected["pixel_values"].numpy()
    np.testing.assert_array_equal(got.pixels, pixels.reshape(-1, *pixels.shape[-3:]))


def test_a_text_that_names_pictures_becomes_the_same_ids(sample: Sample) -> None:
    text, pictures = "one: <image> two: <image>.", sample.pictures[:2]
    images = [Image.open(path) for path in pictures]
    expected = sample.processor(text=text, images=images)["input_ids"][0]
    assert prompt_of(sample.ours, text, pictures).ids == list(expected)


def generated(sample: Sample, question: str, pictures: list[Path], **options: Any) -> list[int]:
    inputs = sample.inputs(question, pictures)
    with torch.inference_mode():
        made = sample.theirs.generate(
            **inputs, do_sample=False, max_new_tokens=NEW, eos_token_id=END, **options
        )
    return [int(token) for token in made[0, inputs["input_ids"].shape[1] :]]


@pytest.mark.parametrize("beams", [1, 4])
@pytest.mark.parametrize("question", QUESTIONS)
def test_answers_equal_token_for_token(sample: Sample, question: str, beams: int) -> None:
    for pictures in (sample.pictures[:1], sample.pictures[1:3]):
        expected = generated(sample, question, pictures, num_beams=beams)
        answer = sample.ours.chat(
            question, images=pictures, max_new_tokens=NEW, num_beams=beams, length_penalty=1.0
        )
        assert answer.text is not None
        assert list(answer.tokens) == expected


@pytest.mark.parametrize("backend", OTHERS)
def test_answers_are_those_of_other_backends(sample: Sample, backend: str) -> None:
    expected = sample.ours.chat(QUESTIONS[0], images=sample.pictures[:2], max_new_tokens=NEW)
    other = sample.ours.to(backend)
    got = other.chat(QUESTIONS[0], images=sample.pictures[:2], max_new_tokens=NEW)
    assert got.text == expected.text
    assert got.tokens == expected.tokens


def test_what_is_saved_answers_there(sample: Sample, tmp_path: Path) -> None:
    sample.ours.save(tmp_path / "again")
    again = getattr(transformers, CLASSES[sample.kind]).from_pretrained(tmp_path / "again").eval()
    inputs = sample.inputs(QUESTIONS[0], sample.pictures[:1])
    with torch.inference_mode():
        expected, got = sample.theirs(**inputs).logits, again(**inputs).logits
    torch.testing.assert_close(got, expected, rtol=0, atol=0)
    assert lk.load(tmp_path / "again", backend="numpy").config == sample.ours.config
