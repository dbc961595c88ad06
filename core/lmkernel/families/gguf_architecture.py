"""The layout of a family's models in a GGUF file, where ``config.json`` does not say it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

__all__ = ["GgufArchitecture"]


@final
@dataclass(frozen=True, kw_only=True)
class GgufArchitecture:
    """A family's models as llama.cpp writes them.

    Tensors have the names that the package ``gguf`` gives those of the family's checkpoints; these
    are the choices that the metadata leave open.

    Args:
        class_name: the class in transformers that ``architectures`` names.
        name: its ``general.architecture``; by default the ``model_type``.
        fits: a function of the metadata after that name which says whether a file is of this family
            and not of another of the same name; None for the one of which all others are.
        interleaved: whether rows of queries and keys are stored as interleaved pairs, as Llama's
            are.
        qkv_bias: whether queries, keys and values have biases.
        biases: whether any product or norm may have a bias.
        qk_norm: whether heads of queries and keys have norms.
        norm_offset: what the stored weights of norms are more than the checkpoint's.
        partial: whether ``rope.dimension_count`` may be a part of a head.
        fields: further metadata, after the name of the architecture, each with its key of
            ``config.json``.
        values: keys of ``config.json`` that no metadata say, with their values; None for keys that
            are left out.
        latent: whether sizes of heads are those after keys and values are made of latent vectors.
        complete: a function of the names of the file's tensors and of the configuration so far that
            gives further keys.
        flags: keys of ``config.json`` that are false, such as ``"attention_bias"``.
    """

    class_name: str
    name: str = ""
    fits: Callable[[Mapping[str, Any]], bool] | None = None
    interleaved: bool = False
    qkv_bias: bool = False
    biases: bool = False
    qk_norm: bool = False
    norm_offset: float = 0.0
    partial: bool = False
    latent: bool = False
    fields: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    complete: Callable[[Collection[str], Mapping[str, Any]], Mapping[str, Any]] | None = None
    flags: tuple[str, ...] = ()
