"""What a run starts from: a model in files, or nothing but sizes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, final

from lmkernel.checkpoints.directory import open_model
from lmkernel.families.family import HfConfig, find_family
from lmkernel.training.data.documents import Documents
from lmkernel.training.data.readers import open_rows
from lmkernel.training.data.vocabulary import BERT_TOKENS, train_tokenizer
from lmkernel.training.run.blueprint import check_new, check_objective
from lmkernel.training.run.trainee import Trainee, loaded, new

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from lmkernel.checkpoints.directory import ModelFiles
    from lmkernel.plugins.registry import Registry
    from lmkernel.sources.progress import Progress
    from lmkernel.tokenizers.tokenizer import Tokenizer
    from lmkernel.training.run.settings import DataSettings, ModelSettings, RunSettings

__all__ = ["Start", "start_of"]

ENCODERS = ("bert",)


@final
@dataclass(frozen=True, kw_only=True)
class Start:
    """What is known before data are read.

    Args:
        context: of the model; 0 for no limit.
        vocab: tokens that the model knows.
        tokenizer: of the model.
        labels: names of the classes that it tells apart already.
        files: of the model that is gone on from, or None.
    """

    context: int
    vocab: int
    tokenizer: Tokenizer
    labels: tuple[str, ...] = ()
    files: ModelFiles | None = None

    def trainee(self, settings: RunSettings, labels: Sequence[str], registry: Registry) -> Trainee:
        """The model with the head that the objective needs."""
        if self.files is None:
            return new(settings.model, self.tokenizer, settings.objective, labels, registry)
        return loaded(self.files, settings.model.start, settings.objective, labels, registry)


def start_of(settings: RunSettings, registry: Registry, progress: Progress | None = None) -> Start:
    """The model that the settings name, or a new one's tokenizer, trained on the run's data.

    Raises:
        LmkernelError: there is no such model, it is damaged, or it cannot be trained this way.
    """
    model = settings.model
    if not model.start:
        check_new(model.family)
        check_objective(model.family, settings.objective)
        tokenizer = _new_tokenizer(model, settings.data, progress)
        return Start(context=model.context, vocab=tokenizer.vocab_size, tokenizer=tokenizer)
    from lmkernel.sources.resolve import find_model

    def find(name: str) -> Path:
        return find_model(name, registry=registry, progress=progress)

    files = open_model(find(model.start), find)
    check_objective(files.config.get("model_type"), settings.objective)
    where = HfConfig(files.config, f"{files.path}: config.json")
    family = find_family(files.config.get("model_type"), str(files.path), registry)
    config = family.read(where)
    return Start(
        context=config.context,
        vocab=config.embedding.vocab,
        tokenizer=files.tokenizer(),
        labels=where.labels(),
        files=files,
    )


def _new_tokenizer(
    model: ModelSettings, data: DataSettings, progress: Progress | None
) -> Tokenizer:
    """The one in a folder, or one learnt from the documents that the model is trained on."""
    if model.tokenizer:
        from lmkernel.tokenizers.load import load_tokenizer

        return load_tokenizer(model.tokenizer)
    if progress is not None:
        progress.say(f"learning a vocabulary of {model.vocab} tokens")
    rows = open_rows(data.train, blank_lines=data.blank_lines)
    documents = Documents(rows, data.columns.get("text", "text"))
    if model.family in ENCODERS:
        return train_tokenizer(documents, model.vocab, BERT_TOKENS)
    return train_tokenizer(documents, model.vocab)
