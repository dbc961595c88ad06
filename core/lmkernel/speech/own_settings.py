"""What a speech model's ``generation_config.json`` asks for besides its tokens."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.errors import CheckpointError
from lmkernel.generation.checkpoint import own_settings, warn_of_settings

if TYPE_CHECKING:
    from lmkernel.origin import Origin

__all__ = ["own_language", "warn_of_speech_settings"]

_READ = (
    *("lang_to_id", "task_to_id", "is_multilingual", "no_timestamps_token_id", "prev_sot_token_id"),
    *("suppress_tokens", "begin_suppress_tokens", "max_initial_timestamp_index", "language"),
    *("alignment_heads", "median_filter_width"),
)
"""Settings that are read elsewhere."""
_ASKED = ("return_timestamps", "forced_decoder_ids")
"""Those that say what whoever transcribes does: `SpeechOptions.timestamps`, the language, the task.
transformers reads no ``forced_decoder_ids`` either, which older files have."""


def own_language(origin: Origin) -> str | None:
    """The language that a model's files say is spoken; None where they say none.

    Raises:
        CheckpointError: something else than a text.
    """
    found = own_settings(origin).get("language")
    if found is not None and not isinstance(found, str):
        raise CheckpointError(f"{origin.where}: language: expected a text, got {found!r:.60}")
    return found or None


def warn_of_speech_settings(origin: Origin) -> None:
    """Warn of what is not done, though transformers would do it by itself."""
    settings = dict(origin.generation_config)
    used = {*_READ, *_ASKED}
    if settings.get("task") == "transcribe":
        used.add("task")
    longest = settings.get("max_length")
    beyond = type(longest) is int and longest >= origin.config.context
    lengths = {"max_new_tokens"} if beyond else {"max_new_tokens", "max_length"}
    warn_of_settings(settings, origin.where, used, asked=lengths)
