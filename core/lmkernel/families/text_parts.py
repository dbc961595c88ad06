"""Checkpoints of texts and pictures of which the part of texts is a model that is known.

Where no picture is shown, transformers' class for both computes what its class for texts does: the
three positions of a token that Qwen's models turn by are one number then (arXiv:2409.12191, §2.1),
and Gemma 3 lets tokens of a picture alone see what follows them. So such a checkpoint is opened as
its part of texts, a warning says what is left out, and what is written is a checkpoint of texts.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.checkpoints.adapter import AdaptedTensors
from lmkernel.checkpoints.renamed import RenamedTensors
from lmkernel.errors import CheckpointError
from lmkernel.families.config_keys import warn_of_unknown
from lmkernel.plugins import FamilySpec, default_registry

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from lmkernel.checkpoints.directory import ModelFiles

__all__ = ["text_part", "text_values"]

_TEXT, _TIED, _TYPE, _CLASSES = "text_config", "tie_word_embeddings", "model_type", "architectures"
_ROPES, _SECTIONED = ("rope_parameters", "rope_scaling"), "mrope"
_SECTIONS = ("mrope_section", "mrope_interleaved")
_SHARED = ("bos_token_id", "eos_token_id", "pad_token_id", _TIED)
"""Keys that a file may have outside its part of texts."""
_BODIES = ("model.language_model.", "language_model.model.")
_HEADS = ("language_model.lm_head.",)
_REST = ("vision_tower.", "visual.", "multi_modal_projector.")
_SEEN = ("image_", "video_", "vision_")
_MOST = 3


@final
@dataclass(frozen=True)
class _Composite:
    """A kind of such checkpoints.

    Args:
        part: the family of its part of texts.
        named: what else a file may call that part.
        usual: what keys of the part are where a file has none, if its family has others.
        tied: whether the head is the table of tokens where a file says nothing.
        unread: keys of the part that its family reads, and transformers' class of both does not.
    """

    part: str
    named: tuple[str, ...] = ()
    usual: Mapping[str, Any] = field(default_factory=dict)
    tied: bool = False
    unread: tuple[str, ...] = ()


_QWEN2_VL = MappingProxyType(
    {
        "vocab_size": 152064,
        "hidden_size": 8192,
        "intermediate_size": 29568,
        "num_hidden_layers": 80,
        "num_attention_heads": 64,
        "num_key_value_heads": 8,
        "max_window_layers": 80,
        "rms_norm_eps": 1e-5,
        "rope_theta": 1e6,
    }
)
_QWEN3_VL = MappingProxyType({"max_position_embeddings": 128000, "rope_theta": 500000.0})
_COMPOSITES: Mapping[str, _Composite] = MappingProxyType(
    {
        "gemma3": _Composite("gemma3_text", tied=True),
        "mistral3": _Composite("mistral", tied=True, unread=("layer_types",)),
        "qwen2_vl": _Composite("qwen2", ("qwen2_vl_text", "qwen2_vl"), _QWEN2_VL),
        "qwen2_5_vl": _Composite("qwen2", ("qwen2_5_vl_text", "qwen2_5_vl"), _QWEN2_VL),
        "qwen3_vl": _Composite("qwen3", ("qwen3_vl_text",), _QWEN3_VL),
        "qwen3_5": _Composite("qwen3_5_text"),
    }
)


def text_part(files: ModelFiles) -> ModelFiles:
    """The part of texts of a checkpoint of texts and pictures; any other as it is.

    Raises:
        CheckpointError: its part of texts is of another family, adapters lie over it, or it holds
            a tensor of that part twice.
    """
    values = text_values(files.config, f"{files.path}: config.json")
    if values is files.config:
        return files
    kind, stored = files.config[_TYPE], files.tensors.names()
    if isinstance(files.tensors, AdaptedTensors):
        raise CheckpointError(
            f"{files.path}: adapters over a {kind} model are not read; merge them with PEFT "
            "(merge_and_unload) and open the model"
        )
    names = _own_names(stored, files.path)
    others = sorted(set(stored) - set(names.values()))
    left = f": {', '.join(others[:_MOST])}{', …' * (len(others) > _MOST)}" if others else ""
    warnings.warn(
        f"{files.path}: of a {kind} model, which is shown pictures, the part of texts is opened; "
        f"{len(others)} tensors are left out{left}",
        stacklevel=3,
    )
    tensors = RenamedTensors(files.tensors, names, files.path)
    return replace(files, config=values, tensors=tensors, preprocessor={}, processor={})


def text_values(values: dict[str, Any], where: str) -> dict[str, Any]:
    """The configuration of the part of texts; that of any other model as it is.

    Raises:
        CheckpointError: the part is of another family.
    """
    kind = values.get(_TYPE)
    composite = _COMPOSITES.get(kind) if isinstance(kind, str) else None
    if composite is None or kind in default_registry().all(FamilySpec):
        return values
    # before transformers 4.52, those of Qwen were flat
    part = values.get(_TEXT, values if kind in composite.named else None)
    if not isinstance(part, dict):
        raise CheckpointError(f"{where}: {_TEXT}: expected an object, got {part!r:.80}")
    named = part.get(_TYPE, composite.part)
    if named not in (composite.part, *composite.named):
        known = " or ".join((composite.part, *composite.named))
        raise CheckpointError(f"{where}: {_TEXT}.{_TYPE}: expected {known}, got {named!r:.80}")
    shared = {key: values[key] for key in _SHARED if values.get(key) is not None}
    tied = {_TIED: values.get(_TIED, part.get(_TIED, composite.tied))}
    unread = [key for key in composite.unread if key in part]
    warn_of_unknown(f"{where}: {_TEXT}", unread)
    own = {k: value for k, value in part.items() if _is_of_texts(k) and k not in unread}
    said = {**shared, **own, **tied, _TYPE: composite.part}
    return _with_one_position(said, composite.usual)


def _is_of_texts(key: str) -> bool:
    """Whether a key, of a file that may be flat, is of the part of texts."""
    return key != _CLASSES and not key.startswith(_SEEN)


def _with_one_position(said: dict[str, Any], usual: Mapping[str, Any]) -> dict[str, Any]:
    """The same for tokens of one position each, and with what the class has by default."""
    for key in _ROPES:
        table = said.get(key)
        if not isinstance(table, dict):
            continue
        kept = {name: value for name, value in table.items() if name not in _SECTIONS}
        # a type in name alone: without sections it is the usual one
        names = [name for name in ("rope_type", "type") if kept.get(name) == _SECTIONED]
        said[key] = {**kept, **dict.fromkeys(names, "default")}
    parameters = said.get("rope_parameters")
    inside = {"rope_theta"} & set(parameters) if isinstance(parameters, dict) else set()
    return {**{k: v for k, v in usual.items() if k not in inside}, **said}


def _own_names(stored: Iterable[str], path: Path) -> dict[str, str]:
    """The names under which a file holds the tensors of a model of texts, by the own ones."""
    names: dict[str, str] = {}
    for name in stored:
        own = _own_name(name)
        if own in names:
            raise CheckpointError(
                f"{path}: expected the tensor {own!r} once, got {names[own]!r} and {name!r}"
            )
        if own:
            names[own] = name
    return names


def _own_name(stored: str) -> str:
    """The name that a tensor has in a model of texts; empty if that has none like it."""
    for prefixes, own in ((_BODIES, "model."), (_HEADS, "lm_head.")):
        for prefix in prefixes:
            if stored.startswith(prefix):
                return own + stored.removeprefix(prefix)
    return "" if stored.removeprefix("model.").startswith(_REST) else stored
