"""Whether a configuration and the tensors beside it are of one model, asked before one is made."""

from __future__ import annotations

import re
import warnings
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np

from lmkernel.checkpoints.adapter import AdaptedTensors
from lmkernel.errors import CheckpointError, ConfigError
from lmkernel.families.config_keys import warn_of_unknown
from lmkernel.families.fixed_positions import check_sinusoids
from lmkernel.families.further import further_layers
from lmkernel.families.names import is_any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from lmkernel.checkpoints.tensors import Tensors
    from lmkernel.config import ModelConfig
    from lmkernel.families.family import Family
    from lmkernel.families.hf_config import HfConfig
    from lmkernel.families.names import Rule

__all__ = ["agreed_config", "axis_keys", "checkpoint_rules", "read_config"]

_AXES: Mapping[str, str] = MappingProxyType(
    {
        "vocab": "vocab_size",
        "embed": "hidden_size",
        "mlp": "intermediate_size",
        "inner": "embedding_size",
        "position": "max_position_embeddings",
        "segment": "type_vocab_size",
        "heads": "num_attention_heads × head_dim",
        "kv": "num_key_value_heads × head_dim",
    }
)
"""What a configuration calls the extents of our axes."""
_FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "AttentionConfig.width": "hidden_size",
        "EmbeddingConfig.uncounted": "pad_token_id",
        "AttentionConfig.heads": "num_attention_heads",
        "AttentionConfig.kv_heads": "num_key_value_heads",
        "NormConfig.eps": "rms_norm_eps",
        "InitConfig.scale": "initializer_range",
        "RotaryConfig.dim": "head_dim",
    }
)
"""What it calls our fields that may contradict each other."""
_TABLE, _HEAD = "embedding.tokens.weight", "head.weight"
_CLASSES = "architectures"
_NUMBER = "id2label (or num_labels)"
"""What says how many classes a head tells apart; transformers does not count ``label2id``."""


def _table(config: ModelConfig) -> str:
    """The name of the table of tokens that a head may be tied to."""
    target = config.target_embedding
    return _TABLE if target is None or target.shared else f"target_{_TABLE}"


def agreed_config(family: Family, described: HfConfig, tensors: Tensors) -> ModelConfig:
    """Our configuration of a checkpoint; nothing is made of a number that the tensors contradict.

    A head that the configuration ties to the embedding, though the file holds another one, is not
    tied, as in transformers; one that it does not name, though the file holds it, is used, as by
    transformers' ``AutoModelForCausalLM``. A warning says so.

    Raises:
        CheckpointError: the configuration cannot be used, contradicts itself, or says another
            number of layers than there are tensors of; or a tensor of positions that are computed
            holds others.
    """
    if family.keys is not None:
        warn_of_unknown(described.where, family.keys.unknown(described))
    config = _headed(family, described, read_config(family, described), tensors.names())
    config = family.as_stored(config, set(tensors.names()))
    rules = family.rules(config)
    beyond = further_layers(family, described, config, tensors.names())
    names = [name for name in tensors.names() if not is_any(name, beyond)]
    towers = [("encoder", config), ("decoder", config)]
    beside = config.pair or config.sight
    towers += [("pictures.encoder", beside.pictures)] if beside else []
    for part, tower in towers:
        stack = getattr(tower, part.rpartition(".")[2])
        shared = getattr(stack, "sets", 0)
        claimed = shared or getattr(stack, "layers", 0)
        layered = [rule for rule in rules if rule.layered and _ours(rule)[0].startswith(part)]
        if claimed and layered:
            key = _key(family, "num_hidden_groups" if shared else "num_hidden_layers")
            key = _decoder_key(family, described, key) if part == "decoder" else key
            _check_layers(described, key, claimed, layered, names)
    check_sinusoids(config, rules, described.where, tensors)
    if isinstance(tensors, AdaptedTensors):
        tensors.follow_layout(_transposed(rules, names))
        unused = family.ignored(config)
        tensors.warn_of_missing([name for name in names if not is_any(name, unused)])
    return _tie_as_stored(config, rules, described.where, tensors)


def _transposed(rules: Sequence[Rule], names: Sequence[str]) -> set[str]:
    """The tensors that the family stores (in, out)."""
    turned = [n.replace("{i}", "*") for rule in rules if rule.transpose for n in _names(rule)]
    return {name for name in names if is_any(name, turned)}


def _headed(
    family: Family, described: HfConfig, config: ModelConfig, names: Sequence[str]
) -> ModelConfig:
    """A decoder's configuration with the head that the file holds, though its class has none."""
    if config.head is not None or config.decoder is None:
        return config
    headed = read_config(family, described.without(_CLASSES))
    rules = family.rules(headed) if headed.head else ()
    found = (rule.found(names) for rule in rules if _HEAD in _ours(rule))
    name = next(filter(None, found), None)
    if name is None:
        return config
    warnings.warn(
        f"{described.where}: architectures names {described.names(_CLASSES)[0]}, which has no "
        f"head, and the file holds {name!r}: it is used",
        stacklevel=3,
    )
    return headed


def read_config(family: Family, described: HfConfig) -> ModelConfig:
    """Our configuration of what a file describes, whose complaints name the file and its keys.

    Raises:
        CheckpointError: it cannot be used, or contradicts itself.
    """
    try:
        return family.read(described)
    except ConfigError as error:
        named = re.sub(r"^\w+\.\w+", lambda field: _key_of_field(family, field[0]), str(error))
        raise CheckpointError(f"{described.where}: {named}") from error


def checkpoint_rules(family: Family, config: ModelConfig) -> tuple[Rule, ...]:
    """A family's rules; a tied table may be there under the head's name, alone or as a copy."""
    rules = family.rules(config)
    if config.head is None or not config.head.tied:
        return rules
    heads = tuple(name for rule in rules if _HEAD in _ours(rule) for name in _names(rule))
    table = _table(config)
    return tuple(
        replace(rule, also=(*rule.also, *heads)) if table in _ours(rule) else rule for rule in rules
    )


def axis_keys(family: Family, config: ModelConfig) -> Mapping[str, str]:
    """What a family's configuration calls the extent of each axis.

    Where an axis of one parameter is called otherwise, its key here has the parameter's name first.
    """
    called = {axis: _key(family, key) for axis, key in _AXES.items()}
    head = config.head
    pooled = head is not None and head.pooling != "none" and head.task != "choice"
    if head is None or head.activation != "none" or not (pooled or head.task == "tokens"):
        return called
    return {**called, **dict.fromkeys(("head.weight vocab", "head.bias vocab"), _NUMBER)}


def _decoder_key(family: Family, described: HfConfig, key: str) -> str:
    """What the family calls the number of a decoder's layers, beside an encoder or alone."""
    names = ("num_decoder_layers", "decoder_layers")
    read = family.keys.read if family.keys else {}
    return next((n for n in names if n in read and described.has(n)), key)


def _key(family: Family, key: str) -> str:
    """What the family calls a key that others call so."""
    return family.keys.aliases.get(key, key) if family.keys else key


def _key_of_field(family: Family, field: str) -> str:
    """What the family calls one of our fields; those of RoPE have the same names."""
    key = _FIELDS.get(field, field.removeprefix("RotaryConfig."))
    read = family.keys.read if family.keys else {}
    epsilon = next((name for name in read if "norm_eps" in name or "norm_epsilon" in name), key)
    return epsilon if field == "NormConfig.eps" else _key(family, key)


def _ours(rule: Rule) -> tuple[str, ...]:
    return (rule.ours,) if isinstance(rule.ours, str) else rule.ours


def _names(rule: Rule) -> tuple[str, ...]:
    return (rule.theirs, *rule.also)


def _check_layers(
    described: HfConfig, key: str, claimed: int, rules: Sequence[Rule], names: Sequence[str]
) -> None:
    """Each layer has a tensor, so that what is made for each is no more than the file holds."""
    numbers = dict(_layer_numbers(rules, names))
    if not numbers:
        name = rules[0].at(0).theirs
        other = next((n for n in names if n.endswith(f".{name}")), next(iter(names), ""))
        there = f"; there is {other!r}" if other else ""
        raise CheckpointError(f"{described.where}: the tensor {name!r}, for one, is missing{there}")
    last = max(numbers)
    if last >= claimed:
        expected = f"{last + 1} layers, for there is the tensor {numbers[last]!r}"
        raise described.error(key, expected, claimed)
    if len(numbers) < claimed:
        absent = next(number for number in range(claimed) if number not in numbers)
        expected = f"a number of layers that there are tensors of, as there are none of {absent}"
        raise described.error(key, expected, claimed)


def _layer_numbers(rules: Sequence[Rule], names: Sequence[str]) -> Iterator[tuple[int, str]]:
    """The layers that there are tensors of, each with the name of one."""
    patterns = {
        re.escape(name).replace(r"\{i\}", r"(\d{1,9})") for r in rules for name in _names(r)
    }
    pattern = re.compile("|".join(sorted(patterns)))
    for name in names:
        if match := pattern.fullmatch(name):
            yield int(next(filter(None, match.groups()))), name


def _tie_as_stored(
    config: ModelConfig, rules: Sequence[Rule], where: str, tensors: Tensors
) -> ModelConfig:
    there = set(tensors.names())
    pair = (_table(config), _HEAD)
    found = {
        ours: name
        for rule in rules
        for ours in _ours(rule)
        if ours in pair and (name := rule.found(there))
    }
    if config.head is None or not config.head.tied:
        return config
    if len(found) < len(pair):
        adapters = tensors if isinstance(tensors, AdaptedTensors) and not tensors.tied else None
        if adapters is not None and any(map(adapters.is_adapted, found.values())):
            raise CheckpointError(
                f"{where}: expected adapters that hold the model's head beside its table of "
                "tokens, since they change one and both are the same tensor in the model; merge "
                "them with PEFT (merge_and_unload) and open the model"
            )
        return config
    table, head = (found[ours] for ours in pair)
    if tensors.shape(table) == tensors.shape(head) and np.array_equal(
        tensors.read(table), tensors.read(head)
    ):
        return config
    warnings.warn(
        f"{where}: tie_word_embeddings is true, and the file holds {head!r} with other values than "
        f"{table!r}: both are used, as in transformers",
        stacklevel=2,
    )
    return replace(config, head=replace(config.head, tied=False))
