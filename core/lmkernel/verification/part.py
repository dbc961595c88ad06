"""What of a checkpoint is verified: a model of its own, and where its parameters are in the files.

A model of texts is its own only part. Beside a tower of pictures there are the texts' and the
pictures'; of a decoder that is shown pictures, what reads tokens, and all of it.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, final

from lmkernel.arguments import require_known
from lmkernel.backend import load_backend
from lmkernel.errors import InputError
from lmkernel.model import Model
from lmkernel.plugins.registry import DEFAULT_BACKEND

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from lmkernel.config import ModelConfig, SightConfig
    from lmkernel.interfaces import ParamTree
    from lmkernel.origin import Origin

__all__ = ["PARTS", "Part", "part_of"]

PARTS = ("texts", "pictures")
"""The parts that a model of two towers has; the first is asked about unless another is named."""


@final
@dataclass(frozen=True)
class Part:
    """A part of a checkpoint.

    Args:
        origin: the checkpoint.
        config: the part's own.
        prefix: what its parameters' names begin with among the checkpoint's.
        beside: what of the checkpoint is not verified, in a sentence; empty for nothing.
    """

    origin: Origin
    config: ModelConfig
    prefix: str = ""
    beside: str = ""

    @property
    def is_whole(self) -> bool:
        """Whether it is all that there is."""
        return not self.beside

    def tower(self, sight: SightConfig) -> Part:
        """The tower of pictures that are shown to a decoder, as far as they go through it.

        Args:
            sight: the part's own, or a changed one.
        """
        config = replace(sight.pictures, encoder=sight.encoder)
        return replace(self, config=config, prefix="pictures.")

    def weights(self, names: Collection[str]) -> dict[str, NDArray[Any]]:
        """Some of its parameters from the files, by dotted name."""
        only = frozenset(f"{self.prefix}{name}" for name in names)
        found = self.origin.weights(self._declared, only=only)
        return {name.removeprefix(self.prefix): x for name, x in found.items()}

    @functools.cached_property
    def _declared(self) -> ParamTree:
        return Model(load_backend(DEFAULT_BACKEND), self.origin.config).declare()


def part_of(origin: Origin, name: str = "texts") -> Part:
    """A part of a checkpoint by name.

    Raises:
        UnknownNameError: no part has such a name.
        InputError: this checkpoint has no such part, or none that stands for itself.
    """
    require_known("part", name, PARTS)
    config = origin.config
    texts = replace(config, pair=None, sight=None)
    if name == "texts":
        return Part(origin, texts, beside=_beside_texts(config))
    if config.sight is not None:
        return Part(origin, config, beside="rows of tokens alone are not asked; see --part texts")
    if config.pair is None:
        reason = "it has no tower of pictures beside one of texts, and shows a decoder none"
        raise InputError(f"part 'pictures': {origin.where}: {reason}; leave the part out")
    beside = "the tower of texts and the factor of similarities are not verified; see --part texts"
    return Part(origin, config.pair.pictures, "pictures.", beside)


def _beside_texts(config: ModelConfig) -> str:
    if config.pair is not None:
        return "the tower of pictures is not verified; see --part pictures"
    if config.sight is not None:
        return "what makes vectors of pictures is not verified; see --part pictures"
    return ""
