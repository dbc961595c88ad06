"""Writes a model, loaded or new, as a Hugging Face directory that transformers opens.

Constraint: what a family cannot express is refused, never dropped: a configuration that was not
read by the family is read back before it is written, and must describe the same model. Initial
weights, dropout and gradient checkpointing concern training alone, and do not count.
"""

from __future__ import annotations

import math
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any

from lmkernel.checkpoints.directory import SHARD_BYTES, write_directory
from lmkernel.errors import CheckpointError
from lmkernel.families.family import Family, HfConfig
from lmkernel.families.names import from_ours

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from lmkernel.config import ModelConfig
    from lmkernel.interfaces import ParamTree
    from lmkernel.tokenizers.tokenizer import Tokenizer

__all__ = ["hf_configuration", "save_model"]


def save_model(
    directory: str | os.PathLike[str],
    config: ModelConfig,
    values: Mapping[str, NDArray[Any]],
    family: Family,
    *,
    declared: ParamTree,
    tokenizer: Tokenizer | None = None,
    extra_config: Mapping[str, Any] | None = None,
    generation_config: Mapping[str, Any] | None = None,
    dtype: str = "float32",
    shard_bytes: int = SHARD_BYTES,
    progress: Callable[[int], None] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a model, all of it or nothing.

    Args:
        directory: the directory to make.
        config: the model's configuration.
        values: the parameters as host arrays, by dotted name.
        family: the family that writes it.
        declared: the model's parameters, from `Model.declare`.
        tokenizer: the tokenizer to write beside it, with its special ids in ``config.json``.
        extra_config: further keys of ``config.json``; those of the model take precedence.
        generation_config: the content of ``generation_config.json``, if given.
        dtype: the dtype of floating tensors in the file: float32, bfloat16 (nearest even) or
            float16.
        shard_bytes: the most bytes in one file; more are written in several, with an index.
        progress: a function called with the number of bytes of tensors just written.
        overwrite: whether to replace a directory that exists and is not empty.

    Raises:
        CheckpointError: the family cannot express the model, a value is missing or of another
            shape, the directory is there, or the disk refuses.
    """
    rules = family.rules(config)
    write_directory(
        directory,
        config=hf_configuration(config, family, tokenizer=tokenizer, extra=extra_config),
        tensors=from_ours(values, rules, declared),
        dtype=dtype,
        shard_bytes=shard_bytes,
        tokenizer=tokenizer,
        generation_config=generation_config,
        progress=progress,
        overwrite=overwrite,
    )


def hf_configuration(
    config: ModelConfig,
    family: Family,
    *,
    tokenizer: Tokenizer | None = None,
    extra: Mapping[str, Any] | None = None,
    check: bool = True,
) -> dict[str, Any]:
    """The content of ``config.json``: the model, special ids, and what ``extra`` has besides.

    Args:
        config: the model's configuration.
        family: the family that writes it.
        tokenizer: the tokenizer whose special ids are written.
        extra: further keys; those of the model take precedence.
        check: whether to read the result back; needless for a configuration that the family read.

    Raises:
        CheckpointError: the family cannot express the model; the message names the field.
    """
    kept = {key: value for key, value in (extra or {}).items() if key not in _STORED}
    ids = _special_ids(tokenizer, config.vocab) if config.vocab else {}
    written = {**ids, **kept, **family.write(config)}
    # what is inside, too, such as ids in the part of texts, is kept
    for key in family.keys.parts if family.keys else ():
        before = kept.get(key)
        own = ids if "vocab_size" in written[key] else {}
        written[key] = {**own, **(before if isinstance(before, dict) else {}), **written[key]}
    written = {k: value for k, value in written.items() if value is not None or k not in _ABSENT}
    if check:
        again = family.read(HfConfig(written, "the configuration to be written"))
        lost = _difference(_essential(config), _essential(again), "ModelConfig")
        if lost:
            raise CheckpointError(f"the family {written['model_type']!r} cannot express {lost}")
    return written


_LAST = 1e-10
"""How far, as a share, a number may be off that a family has computed."""
_STORED = ("dtype", "torch_dtype", "transformers_version")
"""Keys that describe the files they were read from, not the model."""
_ABSENT = ("layer_types",)
"""Keys that are left out where they are null: transformers' ``AutoConfig`` goes by whether this one
is there, and takes a Mistral for a Ministral, which has to have a window."""


def _special_ids(tokenizer: Tokenizer | None, vocab: int) -> dict[str, Any]:
    """Null where there is none, since transformers would take the original model's.

    Nor is there padding that the model's table lacks, since transformers makes no such table.
    """
    if tokenizer is None:
        return dict.fromkeys(("bos_token_id", "eos_token_id", "pad_token_id"))
    ends, padding = list(tokenizer.eos_ids), tokenizer.pad_id
    return {
        "bos_token_id": tokenizer.bos_id,
        "eos_token_id": ends if len(ends) > 1 else next(iter(ends), None),
        "pad_token_id": padding if padding is not None and padding < vocab else None,
    }


def _essential(part: Any) -> Any:
    """A configuration without what concerns training alone."""
    if not is_dataclass(part) or isinstance(part, type):
        return part
    plain = {"init": None, "dropout": 0.0, "remat": False, "balance": 0.0}
    there = {field.name: getattr(part, field.name) for field in fields(part)}
    return replace(part, **{n: plain.get(n, _essential(x)) for n, x in there.items()})


def _difference(ours: Any, theirs: Any, where: str) -> str:
    """The first field in which two configurations differ; empty if there is none."""
    if is_dataclass(ours) and type(ours) is type(theirs):
        found = (
            _difference(getattr(ours, f.name), getattr(theirs, f.name), f"{where}.{f.name}")
            for f in fields(ours)
        )
        return next(filter(None, found), "")
    # a family may compute a number of others, so that its last digits are not what they were
    computed = isinstance(ours, float) and isinstance(theirs, float)
    same = math.isclose(ours, theirs, rel_tol=_LAST) if computed else ours == theirs
    return "" if same else f"{where}={ours!r}, it would become {theirs!r}"
