"""What a checkpoint's ``generation_config.json`` asks for besides the ids that end an answer.

How tokens are drawn is asked for by whoever generates, in `GenerationOptions`, so a checkpoint's
temperature and its like are passed over. What would change even a greedy answer in transformers is
not, without a word.
"""

from __future__ import annotations

import warnings
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from lmkernel.errors import CheckpointError, InputError, shown
from lmkernel.generation.options import GenerationOptions

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from lmkernel.origin import Origin

__all__ = [
    "OWN",
    "decoder_start",
    "own_options",
    "own_settings",
    "reachable_ends",
    "warn_of_settings",
]

OWN = (
    *("num_beams", "length_penalty", "early_stopping", "no_repeat_ngram_size", "bad_words_ids"),
    *("repetition_penalty", "forced_bos_token_id", "forced_eos_token_id", "min_new_tokens"),
    *("max_new_tokens", "max_length", "min_length"),
)
"""Settings of an encoder-decoder that are options of ours, most by the same name."""
_LENGTHS = MappingProxyType({"max_length": "max_new_tokens", "min_length": "min_new_tokens"})
"""Settings that count the decoder's first token, each with the option that does not."""

_NEUTRAL: Mapping[str, Any] = MappingProxyType(
    {
        "repetition_penalty": 1,
        "no_repeat_ngram_size": 0,
        "min_length": 0,
        "min_new_tokens": 0,
        "num_beams": 1,
        "num_beam_groups": 1,
        "guidance_scale": 1,
        "encoder_repetition_penalty": 1,
        "encoder_no_repeat_ngram_size": 0,
        "diversity_penalty": 0,
    }
)
"""Keys with a value that changes nothing; of all others that is null, false or empty."""
_PASSED_OVER = frozenset(
    (
        # drawing and its length, which are asked for
        *("do_sample", "temperature", "top_k", "top_p", "min_p", "top_h", "typical_p"),
        *("epsilon_cutoff", "eta_cutoff", "max_length", "max_new_tokens", "max_time"),
        *("num_return_sequences", "renormalize_logits", "early_stopping", "length_penalty"),
        # ids, which are read with the tokenizer
        *("bos_token_id", "eos_token_id", "pad_token_id", "decoder_start_token_id"),
        # how transformers computes, and in which form it answers
        *("use_cache", "cache_implementation", "cache_config", "max_cache_len", "low_memory"),
        *("return_dict_in_generate", "output_scores", "output_logits", "output_attentions"),
        *("output_hidden_states", "return_legacy_cache", "compile_config", "disable_compile"),
        *("prefill_chunk_size", "remove_invalid_values", "continuous_batching_config"),
        *("is_assistant", "num_assistant_tokens", "num_assistant_tokens_schedule"),
        *("assistant_confidence_threshold", "prompt_lookup_num_tokens", "max_matching_ngram_size"),
        *("assistant_early_exit", "assistant_lookbehind", "target_lookbehind", "speculation_type"),
        *("assistant_ensemble_weight", "use_mtp", "trust_remote_code", "chat_format"),
        # which file it is
        *("_from_model_config", "transformers_version", "_commit_hash", "generation_kwargs"),
    )
)


def own_settings(origin: Origin) -> Mapping[str, Any]:
    """What a model's files say of generation: ``config.json`` where there is no file of its own."""
    return origin.generation_config or origin.described.values


def decoder_start(origin: Origin) -> int:
    """The token that a decoder begins with beside an encoder.

    Raises:
        CheckpointError: neither the model's files nor its tokenizer name one.
    """
    given = own_settings(origin).get("decoder_start_token_id")
    tokenizer = origin.tokenizer
    known = (given, tokenizer.bos_id, tokenizer.pad_id, *tokenizer.eos_ids)
    found = next((token for token in known if token is not None), None)
    vocab = (origin.config.target_embedding or origin.config.embedding).vocab
    if type(found) is not int or not 0 <= found < vocab:
        raise CheckpointError(
            f"{origin.where}: decoder_start_token_id: expected an id in 0 … {vocab - 1}, "
            f"got {shown(found)}"
        )
    return found


def reachable_ends(origin: Origin) -> tuple[int, ...]:
    """The ids that end an answer; of those that no token has, none, with a warning.

    They are not refused, since a small model of transformers' own defaults has some of them.

    Raises:
        CheckpointError: a file names what is no id at all.
    """
    ends = origin.tokenizer.eos_ids
    vocab = (origin.config.target_embedding or origin.config.embedding).vocab
    beyond = [token for token in ends if token >= vocab]
    if beyond:
        said = beyond[0] if len(beyond) == 1 else beyond
        got = shown(said)
        text = f"expected ids of tokens, 0 … {vocab - 1}, got {got}: no answer ends by that"
        warnings.warn(f"{_where_ends(origin, beyond)}: {text}", stacklevel=3)
    return tuple(token for token in ends if token < vocab)


def _where_ends(origin: Origin, ends: Collection[int]) -> str:
    """The file and the key that name such ids."""
    files = {
        "generation_config.json": origin.generation_config,
        "config.json": origin.described.values,
    }
    for name, values in files.items():
        said = values.get("eos_token_id")
        if {*(said if isinstance(said, list) else [said])} & {*ends}:
            return f"{origin.where}: {name}: eos_token_id"
    return f"{origin.where}: eos_token of the tokenizer"


def own_options(settings: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The options that an encoder-decoder's own settings ask for.

    Raises:
        CheckpointError: one that makes no sense.
    """
    given = {key: value for key, value in settings.items() if value is not None}
    found = {key: given[key] for key in OWN if key in given and key not in _LENGTHS}
    for theirs, ours in _LENGTHS.items():
        if theirs in given and ours not in found:
            whole = type(given[theirs]) is int
            least = 1 if ours == "max_new_tokens" else 0
            found[ours] = max(given[theirs] - 1, least) if whole else None
    try:
        GenerationOptions(**found)
    except InputError as error:
        raise CheckpointError(f"{where}: generation_config.json: {error}") from error
    return found


def warn_of_settings(
    generation_config: Mapping[str, Any],
    where: str,
    used: Collection[str] = (),
    *,
    asked: Collection[str] = (),
) -> None:
    """Warn of what is not done, though transformers would do it by itself.

    Args:
        generation_config: the content of the file.
        where: the model's name, for messages.
        used: keys that are followed.
        asked: keys that are said although whoever generates asks for their like.
    """
    said = [
        f"{key}={shown(value)}"
        for key, value in generation_config.items()
        if (key not in _PASSED_OVER or key in asked)
        and key not in used
        and value
        and value != _NEUTRAL.get(key)
    ]
    if said:
        text = f"{where}: generation_config.json: not used: {', '.join(said)}"
        warnings.warn(text, stacklevel=2)
