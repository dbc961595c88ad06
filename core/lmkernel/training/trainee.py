"""What is trained, as files know it: a configuration, weights, a tokenizer, a family.

Constraint: a new model is described in the ecosystem's words from the first day, so that what is
written opens there.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

from lmkernel.checkpoints.directory import fill_directory, open_model
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.names import from_ours, to_ours

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    from lmkernel.config import ModelConfig
    from lmkernel.families.family import Family
    from lmkernel.interfaces import ParamTree
    from lmkernel.plugins.registry import Registry
    from lmkernel.tokenizers.tokenizer import Tokenizer

__all__ = ["Trainee", "load_trainee"]


@final
@dataclass(frozen=True, kw_only=True)
class Trainee:
    """A model to be trained, before it is on any backend.

    Args:
        family: how it is read and written.
        hf_config: the content of its ``config.json``.
        config: the same in our words.
        tokenizer: its tokenizer, or None.
        generation_config: the content of ``generation_config.json``, or empty.
        origin: the name or path that it came from; empty for a new one.
    """

    family: Family
    hf_config: Mapping[str, Any]
    config: ModelConfig
    tokenizer: Tokenizer | None = None
    generation_config: Mapping[str, Any] = field(default_factory=dict)
    origin: str = ""

    def write(self, folder: Path, values: Mapping[str, NDArray[Any]], declared: ParamTree) -> None:
        """Fill a folder with the model's files, weights in float32."""
        fill_directory(
            folder,
            config={**self.hf_config, **self.family.write(self.config)},
            tensors=from_ours(values, self.family.rules(self.config), declared),
            tokenizer=self.tokenizer,
            generation_config=dict(self.generation_config) or None,
        )


def load_trainee(path: Path, registry: Registry, *, origin: str = "") -> Trainee:
    """The model in a directory or GGUF file; its weights are read by `read_values`."""
    files = open_model(path)
    family = find_family(files.config.get("model_type"), str(path), registry)
    return Trainee(
        family=family,
        hf_config=files.config,
        config=family.read(HfConfig(files.config, f"{path}: config.json")),
        tokenizer=files.tokenizer(),
        generation_config=files.generation_config,
        origin=origin or str(path),
    )


def read_values(path: Path, trainee: Trainee, declared: ParamTree) -> dict[str, NDArray[Any]]:
    """The weights in a directory or GGUF file as the trainee's configuration declares them."""
    return to_ours(
        open_model(path).tensors,
        trainee.family.rules(trainee.config),
        declared,
        where=str(path),
        ignored=trainee.family.ignored(trainee.config),
    )
