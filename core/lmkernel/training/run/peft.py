"""Adapters written in PEFT's format, so that they open there, and here over their model.

Where a checkpoint stores several of our layers as one matrix (GPT-2's queries, keys and values),
their adapters become one of the summed rank: A's one under the other, B's along the diagonal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.checkpoints.adapter_files import ADAPTER_CONFIG, PREFIX
from lmkernel.checkpoints.json_files import write_object
from lmkernel.checkpoints.safetensors_writer import write_safetensors
from lmkernel.families.names import rule_pairs
from lmkernel.parameters import flatten
from lmkernel.training.step.trainable import A, B

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from lmkernel.families.names import Rule
    from lmkernel.interfaces import Param, ParamTree
    from lmkernel.training.config import LoraConfig

__all__ = ["write_adapters"]


def write_adapters(
    folder: Path,
    adapters: Mapping[str, NDArray[Any]],
    config: LoraConfig,
    rules: Sequence[Rule],
    declared: ParamTree,
    *,
    base: str,
    revision: str | None = None,
    task: str | None = "CAUSAL_LM",
) -> None:
    """Write ``adapter_config.json`` and ``adapter_model.safetensors`` into a folder.

    Args:
        folder: there already.
        adapters: ``NAME.lora_a`` and ``NAME.lora_b`` by dotted name.
        config: their rank and scale.
        rules: how the family names the weights.
        declared: the model's parameters.
        base: name or path of the model that they adapt.
        revision: of that model, if one is named.
        task: what PEFT calls the model's task, if it has a name for it.
    """
    known = flatten(declared)
    modules = list(_modules(adapters, rules, known))
    tensors = [(f"{PREFIX}{name}.{key}.weight", x) for name, _, pair in modules for key, x in pair]
    write_safetensors(folder, tensors, dtype="float32", shard_bytes=2**62, stem="adapter_model")
    parts = {name: pair[0][1].shape[0] // config.rank for name, _, pair in modules}
    written = {
        "peft_type": "LORA",
        "task_type": task,
        "base_model_name_or_path": base,
        **({"revision": revision} if revision else {}),
        "r": config.rank,
        "lora_alpha": config.alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "fan_in_fan_out": any(transposed for _, transposed, _ in modules),
        "inference_mode": True,
        "target_modules": _targets(parts, rules, known),
        "rank_pattern": {name: n * config.rank for name, n in parts.items() if n > 1},
        "alpha_pattern": {name: n * config.alpha for name, n in parts.items() if n > 1},
    }
    write_object(folder / ADAPTER_CONFIG, written)


def _modules(
    adapters: Mapping[str, NDArray[Any]], rules: Sequence[Rule], known: Mapping[str, Param]
) -> Iterator[tuple[str, bool, list[tuple[str, NDArray[Any]]]]]:
    """(their module, stored transposed, its A and B) of every weight that is adapted."""
    for rule, theirs, ours in rule_pairs(rules, known):
        names = [name.removesuffix(".weight") for name in ours]
        if not any(f"{name}.{A}" in adapters for name in names):
            continue
        pairs = [
            (adapters.get(f"{name}.{A}"), adapters.get(f"{name}.{B}"), known[f"{name}.weight"])
            for name in names
        ]
        a = np.concatenate([a for a, _, _ in pairs if a is not None])
        module = theirs.removesuffix(".weight")
        yield module, rule.transpose, [("lora_A", a), ("lora_B", _diagonal(pairs, a.shape[0]))]


def _targets(
    adapted: Collection[str], rules: Sequence[Rule], known: Mapping[str, Param]
) -> list[str]:
    """Last parts of the modules' names; the names where other modules have such last parts too."""
    all_names = {theirs.removesuffix(".weight") for _, theirs, _ in rule_pairs(rules, known)}
    short = {name.split(".")[-1] for name in adapted}
    others = {name.split(".")[-1] for name in all_names - set(adapted)}
    return sorted(adapted if short & others else short)


def _diagonal(pairs: Sequence[tuple[Any, Any, Any]], rank: int) -> NDArray[np.float32]:
    """The B's as blocks ``(Σ out, Σ rank)``; rows that are not adapted are zero."""
    whole = np.zeros((sum(param.shape[0] for _, _, param in pairs), rank), np.float32)
    row = column = 0
    for _, b, param in pairs:
        if b is not None:
            whole[row : row + b.shape[0], column : column + b.shape[1]] = b
            column += b.shape[1]
        row += param.shape[0]
    return whole
