"""A model, opened once: its files, its family, its configuration and its tokenizer.

Everything that is done with a model begins here, whether it is loaded, trained, evaluated or
written. Nothing is on a backend yet, and no weight has been read.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.checkpoints.directory import fill_directory, open_model
from lmkernel.errors import ConfigError
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.files import config_document
from lmkernel.families.names import from_ours, to_ours

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lmkernel.checkpoints.directory import ModelFiles
    from lmkernel.config import ModelConfig
    from lmkernel.families.family import Family
    from lmkernel.families.names import Rule
    from lmkernel.families.sizes import Sizes
    from lmkernel.interfaces import ParamTree
    from lmkernel.progress import Progress
    from lmkernel.tokenizers.tokenizer import Tokenizer

__all__ = ["Origin", "check_objective", "new_origin", "open_files", "open_origin"]


@final
@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a model comes from.

    Args:
        name: what it was asked for by; empty for a new model.
        model_type: the name of its family.
        family: how it is read and written.
        config: the model in our words.
        described: the model in the ecosystem's words: what its ``config.json`` holds.
        files: what it was opened from, or None for a new model.
        own_tokenizer: the tokenizer of a new model.
        changed: whether the configuration is another than the one that the family read.
    """

    name: str
    model_type: str
    family: Family
    config: ModelConfig
    described: HfConfig
    files: ModelFiles | None = None
    own_tokenizer: Tokenizer | None = None
    changed: bool = False

    @property
    def tokenizer(self) -> Tokenizer:
        """Its tokenizer, loaded when it is first asked for; `CheckpointError` if it has none."""
        if self.own_tokenizer is not None:
            return self.own_tokenizer
        return self.opened.tokenizer()

    @property
    def where(self) -> str:
        """Its folder or file, for messages."""
        return str(self.files.path) if self.files else "a new model"

    @property
    def rules(self) -> tuple[Rule, ...]:
        """How its tensors' names map to ours."""
        return self.family.rules(self.config)

    @functools.cached_property
    def document(self) -> dict[str, Any]:
        """The content of ``config.json``, as it is written.

        Raises:
            CheckpointError: the family cannot express the model; the message names the field.
        """
        return config_document(
            self.config,
            self.family,
            tokenizer=self.tokenizer,
            extra=self.described.values,
            check=self.changed,
        )

    def check_objective(self, objective: str) -> None:
        """Raise `ConfigError` if the family's models are not trained for an objective."""
        check_objective(self.family, self.model_type, objective)

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes that it tells apart already."""
        return self.described.labels()

    def reopened(self, folder: Path) -> Origin:
        """The same model with the weights in a checkpoint: its own, or adapters over it."""
        files = open_model(folder, lambda _: self.opened.path)
        return replace(self, files=files)

    def with_head(self, objective: str, labels: Sequence[str]) -> Origin:
        """The same model with the head that an objective needs.

        Raises:
            ConfigError: the family has no such head.
        """
        self.check_objective(objective)
        head = self.family.head(objective, labels, self.described)
        if head is None or head == self.config.head:
            return self
        return replace(self, config=replace(self.config, head=head), changed=True)

    def weights(
        self,
        declared: ParamTree,
        *,
        fresh: Mapping[str, NDArray[Any]] = MappingProxyType({}),
        progress: Callable[[int], None] | None = None,
    ) -> dict[str, NDArray[Any]]:
        """Every declared parameter from its files by dotted name, as views where possible.

        Args:
            declared: the parameters wanted.
            fresh: values of those that the files may lack or hold in another shape, such as a
                new head's.
            progress: called with the number of bytes of each tensor read.

        Raises:
            CheckpointError: a tensor is missing, too much, or of another shape.
        """
        return to_ours(
            self.opened.tensors,
            self.rules,
            declared,
            where=self.where,
            ignored=self.family.ignored(self.config),
            fresh=fresh,
            progress=progress,
        )

    def tensors(
        self, values: Mapping[str, NDArray[Any]], declared: ParamTree
    ) -> Iterable[tuple[str, NDArray[Any]]]:
        """Our parameters as the checkpoint's tensors, in the order in which they are written."""
        return from_ours(values, self.rules, declared)

    def fill(self, folder: Path, values: Mapping[str, NDArray[Any]], declared: ParamTree) -> None:
        """Write the model's files, weights in float32, into a folder that is there and empty."""
        fill_directory(
            folder,
            config=self.document,
            tensors=self.tensors(values, declared),
            tokenizer=self.tokenizer,
            generation_config=self.generation_config or None,
        )

    @property
    def generation_config(self) -> Mapping[str, Any]:
        """The content of ``generation_config.json``; empty if there is none."""
        return self.files.generation_config if self.files else {}

    @property
    def opened(self) -> ModelFiles:
        """The files of a model that is in files."""
        if self.files is None:
            raise AssertionError("expected a model in files, got a new one")
        return self.files


def check_objective(family: Family, model_type: str, objective: str) -> None:
    """Raise `ConfigError` if a family's models are not trained for an objective."""
    fitting = family.objectives()
    if objective not in fitting:
        raise ConfigError(
            f"objective {objective!r}: a {model_type} model is trained by {' or '.join(fitting)}"
        )


def open_origin(
    model: str | os.PathLike[str],
    *,
    progress: Progress | None = None,
) -> Origin:
    """Open a model: a name, which is pulled first if need be, a folder or a GGUF file.

    Raises:
        UnknownNameError, PullError, InputError: there is no such model.
        CheckpointError: it is damaged, or of a family that nothing registers.
    """
    from lmkernel.sources.resolve import find_model

    def find(name: str) -> Path:
        return find_model(name, progress=progress)

    return open_files(find(str(model)), find=find, name=str(model))


def open_files(
    path: str | os.PathLike[str],
    *,
    find: Callable[[str], Path] | None = None,
    name: str = "",
) -> Origin:
    """Open the model in a Hugging Face directory, a GGUF file, or a directory of LoRA adapters.

    Args:
        path: the directory or file.
        find: finds the model that adapters name; by default by its path.
        name: what it was asked for by; by default its path.
    """
    files = open_model(path, find)
    return _described(
        files.config,
        f"{files.path}: config.json",
        str(files.path),
        files=files,
        name=name or str(path),
    )


def new_origin(family: str, sizes: Sizes, tokenizer: Tokenizer) -> Origin:
    """A new model of a family.

    Raises:
        ConfigError: sizes alone do not describe a model of the family.
        CheckpointError: nothing registers the family.
    """
    values = {"model_type": family, **find_family(family, "a new model").new(sizes)}
    return _described(values, "the settings", "a new model", own_tokenizer=tokenizer, name="")


def _described(values: Mapping[str, Any], where: str, model: str, **more: Any) -> Origin:
    """The one place where a configuration is read."""
    model_type = values.get("model_type")
    family = find_family(model_type, model)
    described = HfConfig(values, where)
    return Origin(
        model_type=str(model_type),
        family=family,
        config=family.read(described),
        described=described,
        **more,
    )
