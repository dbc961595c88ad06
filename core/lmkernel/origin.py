"""A model, opened once: its files, its family, its configuration and its tokenizer.

Everything that is done with a model begins here, whether it is loaded, trained, evaluated or
written. Nothing is on a backend yet, and no weight has been read.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

from lmkernel.checkpoints.directory import fill_directory, open_model
from lmkernel.checkpoints.sentence_files import sentence_files
from lmkernel.errors import CheckpointError, ConfigError
from lmkernel.families.agreement import agreed_config, axis_keys, checkpoint_rules
from lmkernel.families.family import HfConfig, find_family, require_new_family
from lmkernel.families.files import hf_configuration
from lmkernel.families.further import further_layers
from lmkernel.families.names import from_ours, to_ours
from lmkernel.families.text_parts import text_part
from lmkernel.parameters import flatten
from lmkernel.paths import path_text

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lmkernel.checkpoints.directory import ModelFiles
    from lmkernel.config import ModelConfig
    from lmkernel.families.family import Family
    from lmkernel.families.names import Rule
    from lmkernel.families.sizes import Sizes
    from lmkernel.interfaces import ParamTree
    from lmkernel.model import Model
    from lmkernel.parameters.holding import Holding
    from lmkernel.progress import Progress
    from lmkernel.tokenizers.tokenizer import Tokenizer

__all__ = ["Origin", "new_origin", "open_files", "open_origin"]

_ENDS, _PADDING = "eos_token_id", "pad_token_id"


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
        own_tokenizer: the tokenizer of a new model, or one in place of the files'.
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

    @functools.cached_property
    def tokenizer(self) -> Tokenizer:
        """Its tokenizer, loaded when it is first asked for; `CheckpointError` if it has none."""
        if not self.config.vocab:
            raise CheckpointError(f"{self.where}: the model neither reads nor writes tokens")
        made = self.own_tokenizer or self.own_files.tokenizer()
        return made.with_segments(self.config.embedding.segments)

    @property
    def has_tokenizer(self) -> bool:
        """Whether there is one; a model of tokens may lie without."""
        kept = self.files is not None and self.files.has_tokenizer
        return bool(self.config.vocab) and (self.own_tokenizer is not None or kept)

    @property
    def where(self) -> str:
        """Its folder or file, for messages."""
        return str(self.files.path) if self.files else "a new model"

    @property
    def rules(self) -> tuple[Rule, ...]:
        """How its tensors' names map to ours."""
        return checkpoint_rules(self.family, self.config)

    @functools.cached_property
    def document(self) -> dict[str, Any]:
        """The content of ``config.json``, as it is written.

        Raises:
            CheckpointError: the family cannot express the model; the message names the field.
        """
        return hf_configuration(
            self.config,
            self.family,
            tokenizer=self.beside["tokenizer"],
            extra=self._other_keys(),
            check=self.changed,
        )

    def _other_keys(self) -> Mapping[str, Any]:
        """What its ``config.json`` says besides; which ids end a text, another tokenizer says."""
        values = self.described.values
        if self.own_tokenizer is None:
            return values
        return {key: value for key, value in values.items() if key != _ENDS}

    @property
    def labels(self) -> tuple[str, ...]:
        """Names of the classes that it tells apart already."""
        return self.described.labels()

    def at_checkpoint(self, folder: Path) -> Origin:
        """The same model with the weights in a checkpoint: its own, or adapters over it."""
        files = open_model(folder, lambda _: self.own_files.path)
        return replace(self, files=files)

    def with_head(self, objective: str, labels: Sequence[str]) -> Origin:
        """The same model with the head that an objective needs.

        Raises:
            ConfigError: the family has no such head.
        """
        heads = self.family.heads()
        if objective not in heads:
            raise ConfigError(f"objective: expected one of {', '.join(heads)}, got {objective!r}")
        make = heads[objective]
        if make is None and self.config.head is None:
            expected = f"objective {objective!r}: expected a model that predicts tokens"
            raise ConfigError(f"{expected}, got one without a head: {self.where}")
        head = self.config.head if make is None else make(self._with_padding(), tuple(labels))
        if head == self.config.head:
            return self
        return replace(self, config=replace(self.config, head=head), changed=True)

    def _with_padding(self) -> HfConfig:
        """What describes it, with the token of padding that its tokenizer has if it names none.

        A new head may be read beside that; one that pools already is kept as it is.
        """
        values, head = self.described.values, self.config.head
        pools = head is not None and head.pooling != "none"
        if values.get(_PADDING) is not None or pools or not self.config.vocab:
            return self.described
        own = self.tokenizer.pad_id
        said = {} if own is None else {_PADDING: own}  # null would stand for the class's default
        return HfConfig({**values, **said}, self.described.where)

    def first_weights(
        self, model: Model, seed: int, *, frozen: bool = False
    ) -> dict[str, NDArray[Any]]:
        """The weights that training begins with: the files', and drawn ones for a new head.

        Args:
            model: the same model on its backend.
            seed: of what is drawn.
            frozen: whether they stay as they are beneath adapters, so that nothing may be drawn.

        Raises:
            ConfigError: something would be.
            CheckpointError: the files are damaged, or hold another model than they say.
        """
        if self.files is None:
            return dict(model.initial(seed))
        declared = flatten(model.declare())
        heads = {n for n in declared if n.startswith("head.")} if self.changed else set()
        weights = self.weights(model.declare(), optional=heads)
        anew = heads - weights.keys()
        if frozen and anew:
            raise ConfigError(
                f"lora: {self.where} has no {min(anew)!r} of this shape, which adapters "
                "would leave as drawn; train the whole model"
            )
        drawn = model.initial(seed) if anew else {}
        return {name: drawn[name] if name in anew else weights[name] for name in declared}

    def weights(
        self,
        declared: ParamTree,
        *,
        optional: Collection[str] = (),
        only: Collection[str] | None = None,
        progress: Callable[[int], None] | None = None,
        holding: Holding | None = None,
    ) -> dict[str, Any]:
        """Every declared parameter from its files by dotted name, as views where possible.

        Args:
            declared: the parameters wanted.
            optional: those that the files may lack or hold in another shape, such as a new head's;
                the result lacks them then.
            only: the dotted names of those that are read, by default all.
            progress: called with the number of bytes of each tensor read.
            holding: what becomes of each weight; by default all come as numbers.

        Raises:
            CheckpointError: a tensor is missing, too much, or of another shape.
        """
        tensors = self.own_files.tensors
        beyond = further_layers(self.family, self.described, self.config, tensors.names())
        return to_ours(
            tensors,
            self.rules,
            declared,
            where=self.where,
            ignored=(*self.family.ignored(self.config), *beyond),
            optional=optional,
            keys=axis_keys(self.family, self.config),
            only=only,
            progress=progress,
            holding=holding,
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
            **self.beside,
        )

    @property
    def beside(self) -> dict[str, Any]:
        """What is written beside the weights, as `write_directory` takes it."""
        files = self.files
        return {
            "tokenizer": self.tokenizer if self.has_tokenizer else None,
            "generation_config": self.generation_config or None,
            "preprocessor": (files.preprocessor if files else None) or None,
            "processor": (files.processor if files else None) or None,
            # what follows the model, and its score, is of the head that it had
            "others": sentence_files(files.sentence_folder) if files and not self.changed else {},
        }

    @property
    def generation_config(self) -> Mapping[str, Any]:
        """The content of ``generation_config.json``; empty if there is none."""
        values = self.files.generation_config if self.files else {}
        if self.own_tokenizer is None or _ENDS not in values:
            return values
        return {**values, _ENDS: list(self.own_tokenizer.eos_ids)}

    @property
    def own_files(self) -> ModelFiles:
        """The files of a model that is in files."""
        if self.files is None:
            raise AssertionError("expected a model in files, got a new one")
        return self.files


def open_origin(
    model: str | os.PathLike[str], *, progress: Progress | None = None, objective: str = ""
) -> Origin:
    """Open a model: a name, which is pulled first if need be, a folder or a GGUF file.

    Args:
        model: which.
        progress: hears of a pull.
        objective: what it is to be trained for, if for anything.

    Raises:
        UnknownNameError, PullError, InputError: there is no such model, or it is no name and no
            path.
        CheckpointError: it is damaged, or of a family that nothing registers.
        ConfigError: its family's models are not trained for the objective.
    """
    from lmkernel.sources.resolve import find_model

    name = path_text(model, "model")
    # nobody asked for the model that adapters name, so that one is not fetched
    find = functools.partial(find_model, pull=False)
    path = find_model(name, progress=progress)
    return open_files(path, find=find, name=name, objective=objective)


def open_files(
    path: str | os.PathLike[str],
    *,
    find: Callable[[str], Path] | None = None,
    name: str = "",
    objective: str = "",
) -> Origin:
    """Open the model in a Hugging Face directory, a GGUF file, or a directory of LoRA adapters.

    Args:
        path: the directory or file.
        find: finds the model that adapters name; by default by its path.
        name: what it was asked for by; by default its path.
        objective: what it is to be trained for, if for anything.
    """
    files = text_part(open_model(path_text(path, "model"), find))
    model_type = files.config.get("model_type")
    family = find_family(model_type, str(files.path), objective)
    described = HfConfig(files.config, f"{files.path}: config.json")
    return _read_origin(str(model_type), family, described, files=files, name=name or str(path))


def new_origin(
    model_type: str,
    sizes: Sizes,
    tokenizer: Callable[[Mapping[str, str]], Tokenizer],
    objective: str = "",
) -> Origin:
    """A new model of a family.

    Args:
        model_type: the name of the family.
        sizes: of the model; its vocabulary is the tokenizer's.
        tokenizer: learns one with the special tokens, by role, that the family needs.
        objective: what it is to be trained for, if for anything.

    Raises:
        UnknownNameError: nothing registers the family.
        ConfigError: sizes alone do not describe a model of the family, or its models are not
            trained for the objective.
    """
    require_new_family(model_type)
    # whether the objective fits is asked before a tokenizer is learnt, which takes long
    family = find_family(model_type, "a new model", objective)
    own = tokenizer(family.special_tokens())
    values = family.new(replace(sizes, vocab=own.vocab_size))
    described = HfConfig({"model_type": model_type, **values}, "the settings")
    return _read_origin(model_type, family, described, own_tokenizer=own, name="")


def _read_origin(model_type: str, family: Family, described: HfConfig, **more: Any) -> Origin:
    """The one place where a configuration is read."""
    files: ModelFiles | None = more.get("files")
    config = agreed_config(family, described, files.tensors) if files else family.read(described)
    return Origin(model_type=model_type, family=family, config=config, described=described, **more)
