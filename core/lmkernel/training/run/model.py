"""The model of a run: one that is gone on with, or a new one, and the weights it begins with."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel.errors import ConfigError, UnknownNameError
from lmkernel.families.family import find_family
from lmkernel.families.sizes import Sizes
from lmkernel.origin import check_objective, new_origin, open_origin
from lmkernel.plugins import FamilySpec, default_registry
from lmkernel.tokenizers.load import load_tokenizer
from lmkernel.training.data.readers import open_rows
from lmkernel.training.data.rows import Documents
from lmkernel.training.data.vocabulary import train_tokenizer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lmkernel.families.family import Family
    from lmkernel.model import Model
    from lmkernel.origin import Origin
    from lmkernel.progress import Progress
    from lmkernel.tokenizers.tokenizer import Tokenizer
    from lmkernel.training.run.settings import RunSettings

__all__ = ["first_weights", "model_of"]


def model_of(settings: RunSettings, progress: Progress | None = None) -> Origin:
    """The model that the settings name, or a new one with a tokenizer learnt from the run's data.

    Raises:
        LmkernelError: there is no such model, it is damaged, or it cannot be trained this way.
    """
    if not settings.model.start:
        return _new_model(settings, progress)
    origin = open_origin(settings.model.start, progress=progress)
    origin.check_objective(settings.objective)
    return origin


def _new_model(settings: RunSettings, progress: Progress | None) -> Origin:
    model, families = settings.model, default_registry().all(FamilySpec)
    if model.family not in families:
        raise UnknownNameError("family of new models", model.family, families)
    family = find_family(model.family, "a new model")
    # before the data are read, which takes long
    check_objective(family, model.family, settings.objective)
    tokenizer = _new_tokenizer(settings, family, progress)
    sizes = Sizes(
        width=model.width,
        layers=model.layers,
        heads=model.heads,
        inner=model.hidden or 4 * model.width,
        context=model.context,
        vocab=tokenizer.vocab_size,
        dropout=model.dropout,
    )
    return new_origin(model.family, sizes, tokenizer)


def _new_tokenizer(settings: RunSettings, family: Family, progress: Progress | None) -> Tokenizer:
    """The one in a folder, or one learnt from the documents that the model is trained on."""
    model, data = settings.model, settings.data
    if model.tokenizer:
        return load_tokenizer(model.tokenizer)
    if progress is not None:
        progress.say(f"learning a vocabulary of {model.vocab} tokens")
    rows = open_rows(data.train, blank_lines=data.blank_lines)
    documents = Documents(rows, data.columns.get("text", "text"))
    return train_tokenizer(documents, model.vocab, family.special_tokens())


def first_weights(
    origin: Origin, model: Model, seed: int, *, frozen: bool = False
) -> dict[str, NDArray[Any]]:
    """The weights in the model's files; a head that these lack starts anew.

    Args:
        origin: what is trained.
        model: the same on its backend.
        seed: of what starts anew.
        frozen: whether they stay as they are beneath adapters, so that nothing may start anew.

    Raises:
        ConfigError: something would.
        CheckpointError: the files are damaged, or hold another model than they say.
    """
    drawn: dict[str, NDArray[Any]] = dict(model.initial(seed))
    if origin.files is None:
        return drawn
    heads = {n: x for n, x in drawn.items() if n.startswith("head.")} if origin.changed else {}
    weights = origin.weights(model.declare(), fresh=heads)
    anew = [name for name, value in heads.items() if weights[name] is value]
    if frozen and anew:
        raise ConfigError(
            f"lora: {origin.where} has no {min(anew)!r} of this shape, which adapters "
            "would leave as drawn; train the whole model"
        )
    return weights
