"""Settings of a tokenizer's class, which stand in ``tokenizer_config.json``.

Some classes of transformers (5.24) make their steps anew from such settings, so that these go
before what ``tokenizer.json`` says. Other classes, such as ``PreTrainedTokenizerFast``, read the
steps as they are; so do all for a model that has no such class. A setting that is not given, or
null, leaves the steps here, too, but for Llama's classes, which make all of them anew.
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
_PREFIX, _LEGACY = "add_prefix_space", "legacy"
_SPACE = "▁"
_UNPREFIXED = {"DebertaV2": "first"} | dict.fromkeys(
    ("Albert", "Barthez", "BigBird", "Camembert", "LayoutXLM", "RemBert", "XGLM", "XLMRoberta"),
    "never",
)
"""Classes that put a space before every piece of a text, and what they do without the prefix."""
_REMAKING = ("Llama", "CodeLlama")
_BPE = {
    "type": "BPE",
    "byte_fallback": True,
    "fuse_unk": True,
    "ignore_merges": False,
    **dict.fromkeys(("continuing_subword_prefix", "end_of_word_suffix")),
}


def follow_class(document: dict[str, Any], config: Mapping[str, Any], where: str) -> bool:
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
    if name in _UNPREFIXED:
        flag = _flag(config, _PREFIX, where)
        scheme = None if flag is None else "always" if flag else _UNPREFIXED[name]
        for part in ("pre_tokenizer", "decoder"):
            changed |= _set(document, part, "Metaspace", "prepend_scheme", scheme)
    if name in _REMAKING:
        prefix, legacy = _flag(config, _PREFIX, where), _flag(config, _LEGACY, where)
        changed |= _remake(document, name, prefix=prefix is not False, legacy=bool(legacy))
    return changed


def _flag(config: Mapping[str, Any], key: str, where: str) -> bool | None:
    value = config.get(key)
    if value is None or isinstance(value, bool):
        return value
    raise CheckpointError(f"{where}: {key}: expected true or false, got {shown(value)}")


def _set(
    document: Mapping[str, Any], part: str, kind: str, key: str, value: bool | str | None
) -> bool:
    """Set what the steps of a kind say, unless it is None; whether any said another."""
    steps = [step for step in steps_of(document.get(part)) if step.get("type") == kind]
    others = [step for step in steps if value is not None and step.get(key) != value]
    for step in others:
        step[key] = value
        if kind == "Metaspace":  # where older files have the prefix beside the scheme, or alone
            step.pop(_PREFIX, None)
    return bool(others)


def _remake(document: dict[str, Any], name: str, *, prefix: bool, legacy: bool) -> bool:
    """Make a Llama's steps anew; whether any is another. A byte-level file stays as it is.

    Args:
        document: as `follow_class` takes it.
        name: of the class.
        prefix: whether a space is put before a text.
        legacy: whether also behind each special token in it.
    """
    model, parts = document["model"], ("normalizer", "pre_tokenizer", "post_processor", "decoder")
    kinds = [step.get("type") for part in parts for step in steps_of(document.get(part))]
    joins = isinstance(model.get("vocab"), dict) and isinstance(model.get("merges"), list)
    if not joins or "ByteLevel" in kinds:
        return False
    coded = name == "CodeLlama"
    scheme = "never" if not prefix else "always" if legacy and not coded else "first"
    made = {
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Metaspace",
            "replacement": _SPACE,
            "prepend_scheme": scheme,
            "split": False,
        },
        "decoder": {"type": "Sequence", "decoders": _decoders(stripping=prefix or coded)},
    }
    unknown = {} if coded else {"unk_token": None}
    return _update(document, made) | _update(model, _BPE | unknown)


def _decoders(*, stripping: bool) -> list[dict[str, Any]]:
    """What makes a text of pieces, with or without the space that was put before it."""
    strip = {"type": "Strip", "content": " ", "start": 1, "stop": 0}
    return [
        {"type": "Replace", "pattern": {"String": _SPACE}, "content": " "},
        *({"type": "ByteFallback"}, {"type": "Fuse"}),
        *([strip] if stripping else []),
    ]


def _update(table: dict[str, Any], made: Mapping[str, Any]) -> bool:
    """Set keys of a table; whether any was another, where one that is not there is false."""
    others = {
        key: value for key, value in made.items() if (table.get(key) or None) != (value or None)
    }
    table |= others
    return bool(others)
