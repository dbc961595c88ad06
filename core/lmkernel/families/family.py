"""The interface of a model family, and how one is found."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from lmkernel.arguments import require_known
from lmkernel.errors import CheckpointError, ConfigError, PluginError, UnknownNameError
from lmkernel.families.hf_config import ACTIVATIONS, HfConfig
from lmkernel.families.picture_tokens import PictureTokens

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from lmkernel.config import HeadConfig, ModelConfig
    from lmkernel.families.config_keys import ConfigKeys
    from lmkernel.families.gguf_architecture import GgufArchitecture
    from lmkernel.families.languages import Languages
    from lmkernel.families.names import Rule
    from lmkernel.families.sizes import Sizes
    from lmkernel.plugins import FamilySpec

__all__ = [
    "ACTIVATIONS",
    "Family",
    "HfConfig",
    "MakeHead",
    "find_family",
    "name_of_activation",
    "require_new_family",
]

MakeHead = Callable[["HfConfig", tuple[str, ...]], "HeadConfig"]
"""Makes a head from a model's configuration and the names of its classes."""


class Family(ABC):
    """A model family, found by the ``model_type`` that it is registered under.

    The abstract methods say how its checkpoints are read and written. The others say what else the
    family can do, and have defaults that fit a decoder that is only loaded.

    Attributes:
        layout: what `gguf` gives.
        keys: what it makes of each key of a configuration; None where nothing is known of that, so
            that keys are taken as `read` asks for them.
        processor: what prepares pictures where no file names it, such as ``"ViT"``; empty for a
            family that reads none.
    """

    keys: ClassVar[ConfigKeys | None] = None
    layout: ClassVar[GgufArchitecture | None] = None
    processor: ClassVar[str] = ""

    @abstractmethod
    def read(self, config: HfConfig) -> ModelConfig:
        """Our configuration of a Hugging Face one.

        Raises:
            CheckpointError: a key is missing, or asks for what is not supported.
        """

    @abstractmethod
    def write(self, config: ModelConfig) -> dict[str, Any]:
        """The Hugging Face configuration of ours; `read` inverts it.

        Raises:
            CheckpointError: a model of another shape.
        """

    @abstractmethod
    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        """How tensor names map, both ways."""

    @abstractmethod
    def ignored(self, config: ModelConfig) -> tuple[str, ...]:
        """Patterns of tensor names that a checkpoint may hold without need, such as buffers."""

    def as_stored(self, config: ModelConfig, names: Collection[str]) -> ModelConfig:
        """The configuration without what a checkpoint may lack; its tensors have these names."""
        del names
        return config

    def heads(self) -> Mapping[str, MakeHead | None]:
        """What its models can be trained for, each with what makes the head that it needs.

        A maker takes the model's Hugging Face configuration and the names of the classes, where
        there are classes; None stands for the head that the model has already.
        """
        return {"causal": None, "instruction": None}

    def new(self, sizes: Sizes) -> dict[str, Any]:
        """The Hugging Face configuration of a new model; ``model_type`` is added by the caller.

        Raises:
            ConfigError: sizes alone do not describe a model of this family.
        """
        del sizes
        raise ConfigError(
            f"{type(self).__name__}: a new model of this family cannot be described by sizes alone"
        )

    def special_tokens(self) -> dict[str, str]:
        """The special token of each role, for a tokenizer that is trained for a new model."""
        return {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}

    def languages(self) -> Languages | None:
        """How its models are told the languages that they translate, or None."""
        return None

    def picture_tokens(self) -> PictureTokens:
        """What stands in a prompt for a picture, in a family that is shown some."""
        return PictureTokens()

    def gguf(self) -> GgufArchitecture | None:
        """The layout of its models in a GGUF file, or None where they are not read from one."""
        return self.layout


def require_new_family(model_type: str) -> None:
    """Refuse a name of a family that no plugin registers.

    Raises:
        UnknownNameError: it is none; the closest name is suggested.
    """
    from lmkernel.plugins import FamilySpec, default_registry

    require_known("family of new models", model_type, default_registry().all(FamilySpec))


def find_family(model_type: object, where: str, objective: str = "") -> Family:
    """The family registered under a ``model_type``.

    Args:
        model_type: its name.
        where: what has that name, for messages.
        objective: what its models are to be trained for, if for anything.

    Raises:
        CheckpointError: there is none; the message lists those that there are.
        ConfigError: its models are not trained for the objective.
    """
    from lmkernel.plugins import FamilySpec, default_registry

    if not isinstance(model_type, str):
        raise CheckpointError(
            f"{where}: unsupported model_type: expected the name of a family, "
            f"got {model_type!r:.80}"
        )
    try:
        family = _made(default_registry().get(FamilySpec, model_type))
    except UnknownNameError as error:
        raise CheckpointError(f"{where}: unsupported model_type: {error}") from error
    if objective and objective not in family.heads():
        fitting = " or ".join(family.heads()) or "nothing here"
        others = ", ".join(_trained_by(objective)) or "no family that is installed"
        raise ConfigError(
            f"objective {objective!r}: a {model_type} model is trained by {fitting}; "
            f"{objective} is for {others}"
        )
    return family


def _made(spec: FamilySpec) -> Family:
    """The family that a spec describes; one from a plugin is guarded."""
    from lmkernel.families.guarded import GuardedFamily

    made = spec.create()
    own = spec.load.startswith("lmkernel.")
    return _with_classes(made if own else GuardedFamily(made, spec.name))


def _with_classes(family: Family) -> Family:
    """A family of decoders has the head of a classifier, which is the same for all of them."""
    from lmkernel.families.decoder_heads import ClassifyingFamily

    heads = family.heads()
    decodes = "causal" in heads and "classification" not in heads
    return ClassifyingFamily(family) if decodes else family


def _trained_by(objective: str) -> list[str]:
    """The families whose models are trained for an objective."""
    from lmkernel.plugins import FamilySpec, default_registry

    found = []
    for name, spec in default_registry().all(FamilySpec).items():
        with contextlib.suppress(PluginError):  # one that cannot be made has none
            found += [name] if objective in _made(spec).heads() else []
    return found


def name_of_activation(ours: str, names: Mapping[str, str] = ACTIVATIONS) -> str:
    """The name that a ``config.json`` has for one of our activations."""
    for theirs, name in names.items():
        if name == ours:
            return theirs
    raise CheckpointError(f"expected an activation among {', '.join(names.values())}, got {ours!r}")
