"""What a family makes of each key of a configuration: read, without effect, or refused.

transformers has a class for each family, whose attributes have defaults. A key that a file does not
have means that default, so a family keeps a table of them; a test compares it with the class.
"""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.families.hf_config import HfConfig
from lmkernel.families.rope import unused_rope_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ConfigKeys", "key_set", "warn_of_unknown"]


def key_set(text: str) -> frozenset[str]:
    """Keys, written with spaces between them."""
    return frozenset(text.split())


@final
@dataclass(frozen=True, kw_only=True)
class ConfigKeys:
    """The keys of one family.

    Args:
        read: keys that are read, each with what it is where a file does not have it.
        refused: keys of which one value alone is supported, each with that value.
        nullable: keys that are read and may be null, though they are something else by default.
        inert: keys that change nothing here, whatever they say; of a key that is refused in all
            families, too, such as ``is_causal`` in those in which every token sees every other.
        aliases: other names of keys, each with the name that it stands for.
        parts: keys that hold objects, such as those of two towers, each with the keys inside.
        instead: RoPE's usual keys that are passed over, each with the one that is read instead.
    """

    read: Mapping[str, Any]
    refused: Mapping[str, Any] = field(default_factory=dict)
    nullable: frozenset[str] = frozenset()
    inert: frozenset[str] = frozenset()
    aliases: Mapping[str, str] = field(default_factory=dict)
    parts: Mapping[str, ConfigKeys] = field(default_factory=dict)
    instead: Mapping[str, str] = field(default_factory=dict)

    def but(
        self,
        *,
        nullable: tuple[str, ...] = (),
        inert: tuple[str, ...] = (),
        refused: Mapping[str, Any] = MappingProxyType({}),
        aliases: Mapping[str, str] = MappingProxyType({}),
        **read: Any,
    ) -> ConfigKeys:
        """The same with other defaults, or with more keys, or with keys treated in another way."""
        moved = {*inert, *refused}
        kept = {key: value for key, value in self.read.items() if key not in moved}
        still = {key: value for key, value in self.refused.items() if key not in read}
        merged = {**kept, **read}
        may = {key for key in self.nullable | {*nullable} if merged.get(key) is not None}
        return replace(
            self,
            read=merged,
            refused={**still, **refused},
            nullable=frozenset(may),
            inert=self.inert | {*inert},
            aliases={**self.aliases, **aliases},
        )

    def after(self, prefix: str) -> ConfigKeys:
        """The same keys with a prefix."""
        return ConfigKeys(
            read={prefix + key: value for key, value in self.read.items()},
            refused={prefix + key: value for key, value in self.refused.items()},
            inert=frozenset(prefix + key for key in self.inert),
        )

    def complete(self, config: HfConfig) -> HfConfig:
        """A configuration with each key under its own name, and defaults for those not there.

        Raises:
            CheckpointError: a key asks for what is not supported or is null where it may not be, or
                a key and its alias differ.
        """
        values = dict(config.values)
        for alias, key in self.aliases.items():
            if alias not in values:
                continue
            value = values.pop(alias)
            if values.setdefault(key, value) != value:
                raise config.error(alias, f"{values[key]!r}, which {key} says", value)
        for key in values.keys() & self.read.keys():
            if values[key] is None and self.read[key] is not None:
                if key not in self.nullable:
                    raise config.error(key, f"a value, such as {self.read[key]!r}", None)
                if isinstance(self.read[key], bool):  # null is a value there, which is not true
                    values[key] = False
        self._refuse(config)
        _check_dtype(config)
        return HfConfig({**self.read, **values}, config.where)

    def _refuse(self, config: HfConfig) -> None:
        every = {**_COMMON.refused, **self.refused}
        refused = {key: usual for key, usual in every.items() if key not in self.inert}
        for key, usual in refused.items():
            if usual is True and config.values.get(key, usual) is None:  # not true, as above
                raise config.error(key, f"{usual!r}, all that is supported", None)
        config.refuse(**refused)

    def unknown(self, config: HfConfig) -> list[str]:
        """The keys that it has no place for."""
        tables = (self.read, self.refused, self.inert, self.aliases, self.instead)
        known = (*tables, _COMMON.inert, _COMMON.refused)
        unknown = [key for key in config.values if not any(key in table for table in known)]
        inside = [
            f"{key}.{name}"
            for key, keys in self.parts.items()
            if (part := config.part(key)) is not None
            for name in keys.unknown(part)
        ]
        return [*unknown, *inside, *unused_rope_keys(config, self.instead)]


_COMMON = ConfigKeys(
    read={},
    refused=MappingProxyType(
        {
            "is_encoder_decoder": False,
            # transformers then masks nothing where a token sees those before it alone
            "is_causal": True,
            "per_layer_config": None,
            "pruned_heads": {},
        }
    ),
    inert=key_set(
        # which files there are, and who wrote them; ids are read with the tokenizer
        "model_type architectures auto_map transformers_version _name_or_path name_or_path "
        "_commit_hash dtype torch_dtype use_bfloat16 quantization_config tokenizer_class "
        "transformers.js_config unsloth_version unsloth_fixed model_name "
        "bos_token_id eos_token_id pad_token_id sep_token_id unk_token_id cls_token_id "
        "mask_token_id decoder_start_token_id "
        # how transformers computes, and in which form it answers
        "use_cache return_dict use_return_dict output_hidden_states output_attentions "
        "attn_implementation _attn_implementation _attn_implementation_autoset "
        "_flash_attn_2_enabled experts_implementation _experts_implementation torchscript "
        "chunk_size_feed_forward gradient_checkpointing tie_last_hidden_states "
        "tie_encoder_decoder "
        # what follows a cross-encoder's output, which ranking reads
        "sentence_transformers sbert_ce_default_activation_function "
        "tf_legacy_loss xla_device output_past cross_attention_hidden_size is_decoder "
        "add_cross_attention pretraining_tp "
        # training, and the names of classes, which a head reads that has some
        "id2label label2id num_labels problem_type finetuning_task task_specific_params prefix "
        "attention_dropout "
        # generation, which transformers takes from no configuration either
        "max_length min_length do_sample early_stopping num_beams temperature top_k top_p "
        "typical_p repetition_penalty length_penalty no_repeat_ngram_size "
        "encoder_no_repeat_ngram_size bad_words_ids num_return_sequences output_scores "
        "return_dict_in_generate forced_bos_token_id forced_eos_token_id remove_invalid_values "
        "exponential_decay_length_penalty suppress_tokens begin_suppress_tokens epsilon_cutoff "
        "eta_cutoff encoder_repetition_penalty num_assistant_tokens "
        "num_assistant_tokens_schedule assistant_confidence_threshold assistant_lookbehind "
        "target_lookbehind num_beam_groups diversity_penalty"
    ),
)
"""The keys that transformers gives every family, or that its files have in common."""


_DTYPE = re.compile(
    r"(torch\.)?(auto|half|float|double|bfloat16|float(16|32|64)|float[48]_\w+|u?int\d{1,2}|bool)"
)


def _check_dtype(config: HfConfig) -> None:
    """Tensors say their dtype themselves, but what names none is refused, as by transformers."""
    for key in ("dtype", "torch_dtype"):
        said = config.values.get(key)
        if isinstance(said, str) and _DTYPE.fullmatch(said):
            continue
        if said is not None and not isinstance(said, dict):  # one for each part
            raise config.error(key, "the name of a dtype, such as 'bfloat16'", said)


_MOST = 8


def warn_of_unknown(where: str, unknown: list[str]) -> None:
    """Warn of keys that are passed over, if there are any."""
    if unknown:
        named = ", ".join(f"{key!r:.80}" for key in unknown[:_MOST])
        named += ", …" if len(unknown) > _MOST else ""
        text = f"{where}: keys that have no effect: {named}"
        warnings.warn(text, stacklevel=2)
