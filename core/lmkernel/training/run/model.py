"""The model of a run: one that is gone on with, or a new one with a vocabulary of its own."""

from __future__ import annotations

import functools
import itertools
from dataclasses import replace
from typing import TYPE_CHECKING

from lmkernel.families.family import HfConfig
from lmkernel.origin import new_origin, open_origin
from lmkernel.paths import user_path
from lmkernel.tokenizers.chat_formats import PLAIN, with_chat_template
from lmkernel.tokenizers.load import load_tokenizer
from lmkernel.training.data.conversations import read_conversation
from lmkernel.training.data.readers import open_rows
from lmkernel.training.data.rows import Documents
from lmkernel.training.data.span_corruption import SENTINELS
from lmkernel.training.data.vocabulary import train_tokenizer
from lmkernel.training.objectives import find_objective

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.origin import Origin
    from lmkernel.progress import Progress
    from lmkernel.tokenizers.tokenizer import Tokenizer
    from lmkernel.training.run.settings import RunSettings

__all__ = ["model_of", "with_problem_type"]

_PROBLEM = "problem_type"


def model_of(settings: RunSettings, progress: Progress) -> Origin:
    """The model that the settings name, or a new one with a tokenizer learnt from the run's data.

    Raises:
        LmkernelError: there is no such model, it is damaged, or it cannot be trained this way.
    """
    model, objective = settings.model, settings.objective
    if model.start:
        origin = open_origin(model.start, progress=progress, objective=objective)
    else:
        learn = functools.partial(_new_tokenizer, settings, progress)
        origin = new_origin(model.family, model.sizes, learn, objective)
        if not origin.config.context and model.context != type(model)().context:
            progress.note(
                f"a {model.family} model has no context of its own, so that of {model.context} "
                "changes nothing; data.context says how long examples may be"
            )
    template = model.chat_template or _usual_template(settings, origin, progress)
    if not template:
        return origin
    return replace(origin, own_tokenizer=with_chat_template(origin.tokenizer, template))


def with_problem_type(origin: Origin, settings: RunSettings, progress: Progress) -> Origin:
    """The same model, whose ``config.json`` says the loss that its head is trained by.

    What is asked of it follows from that: a softmax over classes, or a sigmoid for each. Adapters
    keep no such key, so where their model has another it is said.
    """
    wanted = find_objective(settings.objective).problem_type
    values = origin.described.values
    had = values.get(_PROBLEM)
    if wanted is None or wanted == had:
        return origin
    if had is not None and settings.lora is not None and not settings.merge:
        progress.note(
            f"{origin.where}: {_PROBLEM} is {had!r}, and adapters, which are trained as "
            f"{wanted!r}, leave it so; --merge writes a model that says what was trained"
        )
    described = HfConfig({**values, _PROBLEM: wanted}, origin.described.where)
    return replace(origin, described=described)


def _usual_template(settings: RunSettings, origin: Origin, progress: Progress) -> str:
    """A chat template for conversations that the model has none for; else none.

    Texts that are prompts and completions are put together as they are.
    """
    if not find_objective(settings.objective).converses or origin.tokenizer.chat_template:
        return ""
    data = settings.data
    first = next(iter(open_rows(data.train, blank_lines=data.blank_lines)))
    if read_conversation(first, data.columns).texts:
        return ""
    progress.note(
        f"{origin.where} has no chat template; it gets the one named {PLAIN}, and keeps it "
        "(--chat-template chooses another)"
    )
    return PLAIN


def _new_tokenizer(
    settings: RunSettings, progress: Progress, special_tokens: Mapping[str, str]
) -> Tokenizer:
    """The one in a folder, or one learnt from the documents that the model is trained on."""
    model, data = settings.model, settings.data
    if model.tokenizer:
        return load_tokenizer(user_path(model.tokenizer))
    progress.say(f"learning a vocabulary of {model.vocab} tokens")
    rows = open_rows(data.train, blank_lines=data.blank_lines)
    objective = find_objective(settings.objective)
    named = [data.columns.get(name, name) for name in objective.texts]
    documents = itertools.chain.from_iterable(Documents(rows, name) for name in named)
    extra = SENTINELS if objective.sentinels and "mask_token" not in special_tokens else ()
    return train_tokenizer(documents, model.vocab, special_tokens, extra=extra)
