"""What of a model of transformers is asked: itself, or one of two towers; and what it is given."""

from __future__ import annotations

import inspect
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.verification.sequences import Question

__all__ = ["asked_of", "reads", "shown_by", "source_of"]

_READS = {"pixel_values": "pictures", "input_features": "sounds", "input_values": "sounds"}
"""What the chief argument of a model is called, and what that is."""
_PICTURES = "pixel_values"
_TOWERS = ("vision_model", "vision_tower")
_CONNECTORS = ("connector", "multi_modal_projector")


def reads(model: Any) -> frozenset[str]:
    """Whether a model reads pictures or sounds, among the capabilities of a subject."""
    there = {_READS[model.main_input_name]} if model.main_input_name in _READS else set()
    there |= {"pictures"} if _has_two_towers(model) else set()
    return frozenset(there | ({"shown"} if _is_shown_pictures(model) else set()))


def asked_of(model: Any, question: Question) -> tuple[Callable[..., Any], Any]:
    """What is called, and the module whose layers are looked at."""
    if not _has_two_towers(model):
        return model, model.get_decoder() if _is_shown_pictures(model) else model
    if question.source is None:
        return _vectors(model.get_text_features), model.text_model
    return _vectors(model.get_image_features), model.vision_model


def shown_by(model: Any, question: Question) -> tuple[Any, Any]:
    """The tower of pictures that are shown among tokens, and what follows it; None for none."""
    if question.source is None or not _is_shown_pictures(model):
        return None, None
    tower, connector = (
        next(getattr(model.model, name) for name in names if hasattr(model.model, name))
        for names in (_TOWERS, _CONNECTORS)
    )
    return tower, connector


def _vectors(tower: Callable[..., Any]) -> Callable[..., Any]:
    """What a tower's head makes of what it reads."""
    return lambda **given: {"logits": tower(**given).pooler_output}


def source_of(model: Any, question: Question, tensor: Callable[[Any], Any]) -> dict[str, Any]:
    """What is read in place of tokens or beside them, under its name; nothing for tokens alone.

    Args:
        model: the model.
        question: which may have pixels, frames or samples.
        tensor: makes a tensor of an array of them.
    """
    if question.source is None:
        return {}
    given = tensor(question.source)
    if _is_shown_pictures(model):
        several = "pixel_attention_mask" in inspect.signature(model.forward).parameters
        return {_PICTURES: given[:, None] if several else given}
    name = _PICTURES if _has_two_towers(model) else model.main_input_name
    if name == "input_features":
        given = given.transpose(1, 2)
    return {name: given[..., 0] if name == "input_values" else given}


def _is_shown_pictures(model: Any) -> bool:
    return hasattr(model.config, "vision_config") and not _has_two_towers(model)


def _has_two_towers(model: Any) -> bool:
    return hasattr(model, "get_text_features") and hasattr(model, "get_image_features")
