"""Small encoders with the head of a task, and letters for a tokenizer that frames texts."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from small_bert import BERT, small_bert

import lmkernel as lk
from lmkernel.checkpoints.directory import write_directory
from lmkernel.families.bert import Bert
from lmkernel.families.names import from_ours
from lmkernel.model import Model
from lmkernel.training.data.vocabulary import train_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.language_model import LanguageModel

TAGS = ("O", "B-X", "I-X", "B-Y", "I-Y")


def task_bert(folder: Path, kind: str, labels: tuple[str, ...] = (), **said: Any) -> LanguageModel:
    """A BERT of one of transformers' classes, whose outputs differ from each other."""
    names = {"id2label": {str(n): label for n, label in enumerate(labels)}} if labels else {}
    more = {"architectures": [f"BertFor{kind}"], "vocab_size": 261, **names, **said}
    model = Model(lk.load_backend("numpy"), small_bert(f"BertFor{kind}", **more))
    values = {name: 30 * x for name, x in model.initial(3).items()}
    tensors = from_ours(values, Bert().rules(model.config), model.declare())
    tokenizer = train_tokenizer(["q"], 261, Bert().special_tokens())
    write_directory(folder, config={**BERT, **more}, tensors=tensors, tokenizer=tokenizer)
    return lk.load(folder, backend="numpy")


__all__ = ["TAGS", "task_bert"]
