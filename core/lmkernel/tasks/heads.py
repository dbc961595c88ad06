"""Whether a model has the head that a task needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.errors import InputError

if TYPE_CHECKING:
    from lmkernel.config import HeadConfig
    from lmkernel.language_model import LanguageModel

__all__ = ["task_head"]


def task_head(model: LanguageModel, task: str, objective: str) -> HeadConfig:
    """The head of a model that was fine-tuned for a task.

    Raises:
        InputError: it has another one.
    """
    head = model.config.head
    if head is None or head.task != task:
        raise InputError(
            f"{model.origin.where}: expected a model that was fine-tuned by the objective "
            f"{objective}, got a {model.origin.model_type} model that is not"
        )
    return head
