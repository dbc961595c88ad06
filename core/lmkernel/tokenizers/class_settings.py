"""Settings of a tokenizer's class, which stand in ``tokenizer_config.json``.

Some classes of transformers (5.24) make their steps anew from such settings, so that these go
before what ``tokenizer.json`` says. Other classes, such as ``PreTrainedTokenizerFast``, read the
steps as they are. A setting that is not given, or null, leaves them here, too.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel.errors import CheckpointError, shown
from lmkernel.tokenizers.check import steps_of

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["follow_class"]

_NORMALIZED = {
    "do_lower_case": "lowercase",
    "strip_accents": "strip_accents",
    "tokenize_chinese_chars": "handle_chinese_chars",
}
_NORMALIZING = (
    *("Bert", "DistilBert", "Electra", "Funnel", "LayoutLM", "LayoutLMv2", "Lxmert", "MPNet"),
    *("MobileBert", "Splinter", "SqueezeBert"),
)
_PREFIXING = (
    *("Bart", "Blenderbot", "CodeGen", "Cohere", "Deberta", "GPT2", "GPTNeoX", "LED", "LayoutLMv3"),
    *("Longformer", "Luke", "Mvp", "Qwen2", "Qwen3_5", "Roberta", "Whisper"),
)
_PREFIX = "add_prefix_space"


def follow_class(document: Mapping[str, Any], config: Mapping[str, Any], where: str) -> bool:
    """Change the steps of a ``tokenizer.json`` to what its class is told.

    Args:
        document: the content of ``tokenizer.json``, which is changed in place.
        config: ``tokenizer_config.json``.
        where: the latter, for messages.

    Returns:
        Whether anything is another than it was.

    Raises:
        CheckpointError: a setting is neither true nor false.
    """
    named = config.get("tokenizer_class")
    name = named.removesuffix("Fast").removesuffix("Tokenizer") if isinstance(named, str) else ""
    changed = False
    if name in _NORMALIZING:
        for key, own in _NORMALIZED.items():
            flag = _flag(config, key, where)
            changed |= _set(document, "normalizer", "BertNormalizer", own, flag)
    if name in _PREFIXING:
        flag = _flag(config, _PREFIX, where)
        changed |= _set(document, "pre_tokenizer", "ByteLevel", _PREFIX, flag)
        changed |= _set(document, "post_processor", "RobertaProcessing", _PREFIX, flag)
    return changed


def _flag(config: Mapping[str, Any], key: str, where: str) -> bool | None:
    value = config.get(key)
    if value is None or isinstance(value, bool):
        return value
    raise CheckpointError(f"{where}: {key}: expected true or false, got {shown(value)}")


def _set(document: Mapping[str, Any], part: str, kind: str, key: str, flag: bool | None) -> bool:
    """Set a flag of the steps of a kind, unless it is None; whether any was another."""
    steps = [step for step in steps_of(document.get(part)) if step.get("type") == kind]
    others = [step for step in steps if flag is not None and step.get(key) is not flag]
    for step in others:
        step[key] = flag
    return bool(others)
