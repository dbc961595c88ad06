"""What is trained, as files know it: a configuration, a family, a tokenizer, first weights."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.checkpoints.directory import ModelFiles, fill_directory, open_model
from lmkernel.errors import ConfigError
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.files import config_document
from lmkernel.families.names import from_ours, to_ours
from lmkernel.training.run.blueprint import new_document, with_head

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lmkernel.config import ModelConfig
    from lmkernel.families.family import Family
    from lmkernel.interfaces import ParamTree
    from lmkernel.model import Model
    from lmkernel.plugins.registry import Registry
    from lmkernel.tokenizers.tokenizer import Tokenizer
    from lmkernel.training.run.settings import ModelSettings

__all__ = ["Trainee", "first_weights", "loaded", "new", "weights_in"]


@final
@dataclass(frozen=True, kw_only=True)
class Trainee:
    """A model to be trained, before it is on any backend.

    Args:
        family: how it is read and written.
        document: the content of its ``config.json``.
        config: the same in our words.
        tokenizer: its tokenizer.
        files: what it starts from, or None for a new model.
        origin: the name or path of that, or empty.
    """

    family: Family
    document: Mapping[str, Any]
    config: ModelConfig
    tokenizer: Tokenizer
    files: ModelFiles | None = None
    origin: str = ""

    def write(self, folder: Path, values: Mapping[str, NDArray[Any]], declared: ParamTree) -> None:
        """Fill a folder with the model's files, weights in float32."""
        fill_directory(
            folder,
            config=config_document(
                self.config, self.family, tokenizer=self.tokenizer, extra=self.document
            ),
            tensors=from_ours(values, self.family.rules(self.config), declared),
            tokenizer=self.tokenizer,
            generation_config=(self.files and self.files.generation_config) or None,
        )


def new(
    settings: ModelSettings,
    tokenizer: Tokenizer,
    objective: str,
    labels: Sequence[str],
    registry: Registry,
) -> Trainee:
    """A new model of a family, with a vocabulary of the tokenizer's size."""
    document = with_head(new_document(settings, tokenizer.vocab_size), objective, labels)
    return _described(document, tokenizer, registry, "the settings")


def loaded(
    files: ModelFiles, origin: str, objective: str, labels: Sequence[str], registry: Registry
) -> Trainee:
    """The model in a directory or GGUF file, with the head that the objective needs."""
    document = with_head(files.config, objective, labels)
    return _described(
        document, files.tokenizer(), registry, str(files.path), files=files, origin=origin
    )


def _described(
    document: Mapping[str, Any], tokenizer: Tokenizer, registry: Registry, where: str, **more: Any
) -> Trainee:
    family = find_family(document.get("model_type"), where, registry)
    config = family.read(HfConfig(document, f"{where}: config.json"))
    return Trainee(family=family, document=document, config=config, tokenizer=tokenizer, **more)


def first_weights(
    trainee: Trainee, model: Model, seed: int, *, frozen: bool = False
) -> dict[str, NDArray[Any]]:
    """Those that the trainee starts from; what these lack, such as another head, starts anew.

    Args:
        trainee: what is trained.
        model: the same on its backend.
        seed: of what starts anew.
        frozen: whether they stay as they are beneath adapters, so that nothing may start anew.

    Raises:
        ConfigError: something would.
        CheckpointError: the files are damaged, or hold another model than they say.
    """
    fresh: dict[str, NDArray[Any]] = dict(model.initial(seed))
    if trainee.files is None:
        return fresh
    from lmkernel.model import Model as Described

    where = f"{trainee.files.path}: config.json"
    stored = trainee.family.read(HfConfig(trainee.files.config, where))
    there = weights_in(trainee.files, trainee.family, stored, Described(model.backend, stored))
    kept = {n: x for n, x in there.items() if n in fresh and fresh[n].shape == x.shape}
    if frozen and (lacking := fresh.keys() - kept.keys()):
        raise ConfigError(
            f"lora: {trainee.files.path} has no {min(lacking)!r} of this shape, which adapters "
            "would leave as drawn; train the whole model"
        )
    return {**fresh, **kept}


def weights_in(
    files: ModelFiles, family: Family, config: ModelConfig, model: Model
) -> dict[str, NDArray[Any]]:
    """The weights in a model's files by dotted name."""
    return to_ours(
        files.tensors,
        family.rules(config),
        model.declare(),
        where=str(files.path),
        ignored=family.ignored(config),
    )


def open_checkpoint(folder: Path, trainee: Trainee, model: Model) -> dict[str, NDArray[Any]]:
    """The weights in a checkpoint of the same model."""
    return weights_in(open_model(folder), trainee.family, trainee.config, model)
