"""What of a model of transformers is asked: itself, or one of two towers; and what it is given."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.verification.sequences import Question

__all__ = ["asked_of", "reads", "source_of"]

_READS = {"pixel_values": "pictures", "input_features": "sounds", "input_values": "sounds"}
"""What the chief argument of a model is called, and what that is."""
_PICTURES = "pixel_values"


def reads(model: Any) -> frozenset[str]:
    """Whether a model reads pictures or sounds, among the capabilities of a subject."""
    there = {_READS[model.main_input_name]} if model.main_input_name in _READS else set()
    return frozenset(there | ({"pictures"} if _has_two_towers(model) else set()))


def asked_of(model: Any, question: Question) -> tuple[Callable[..., Any], Any]:
    """What is called, and the module whose layers are looked at."""
    if not _has_two_towers(model):
        shown = hasattr(model.config, "text_config") and hasattr(model, "get_decoder")
        return model, model.get_decoder() if shown else model
    if question.source is None:
        return _vectors(model.get_text_features), model.text_model
    return _vectors(model.get_image_features), model.vision_model


def _vectors(tower: Callable[..., Any]) -> Callable[..., Any]:
    """What a tower's head makes of what it reads."""
    return lambda **given: {"logits": tower(**given).pooler_output}


def source_of(model: Any, question: Question, tensor: Callable[[Any], Any]) -> dict[str, Any]:
    """What is read in place of tokens, under its name; nothing for tokens.

    Args:
        model: the model.
        question: which may have pixels, frames or samples.
        tensor: makes a tensor of an array of them.
    """
    if question.source is None:
        return {}
    name = _PICTURES if _has_two_towers(model) else model.main_input_name
    given = tensor(question.source)
    if name == "input_features":
        given = given.transpose(1, 2)
    return {name: given[..., 0] if name == "input_values" else given}


def _has_two_towers(model: Any) -> bool:
    return hasattr(model, "get_text_features") and hasattr(model, "get_image_features")
