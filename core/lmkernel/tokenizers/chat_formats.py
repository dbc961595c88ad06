"""Chat templates for models that have none."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from lmkernel.errors import CheckpointError, InputError, TemplateError
from lmkernel.files import read_file
from lmkernel.paths import user_path

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping
    from pathlib import Path

    from lmkernel.tokenizers.tokenizer import Tokenizer

__all__ = ["PLAIN", "with_chat_template"]

PLAIN = "plain"
_MOST_BYTES = 2**20
_FORMATS: Mapping[str, str] = MappingProxyType(
    {
        # Zephyr's: roles are text, and the token that ends a text ends a turn, so that any
        # tokenizer will do
        PLAIN: (
            "{{ bos_token }}{% for message in messages %}"
            "{{ '<|' + message['role'] + '|>\n' + message['content'] + eos_token + '\n' }}"
            "{% endfor %}{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
        ),
        "chatml": (
            "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + "
            "message['content'] + '<|im_end|>' + '\n' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
        ),
    }
)
_ANSWER = "Yes"


def with_chat_template(tokenizer: Tokenizer, asked: str | os.PathLike[str]) -> Tokenizer:
    """The same tokenizer with a chat template, and with its end of a turn as an end of texts.

    Args:
        tokenizer: of a model.
        asked: ``"plain"``, ``"chatml"``, or a file that holds a template.

    Raises:
        InputError: there is no such file, or no token ends an answer in the template.
        TemplateError: the template fails.
    """
    source = _FORMATS.get(str(asked)) or _read(user_path(asked))
    made = tokenizer.with_templates({"default": source})
    messages = [{"role": "user", "content": "Well?"}, {"role": "assistant", "content": _ANSWER}]
    try:
        after = made.chat(messages, add_generation_prompt=False).rpartition(_ANSWER)[2]
    except TemplateError as error:
        raise TemplateError(f"chat template {asked}: {error}") from error
    known = made.special_ids | set(made.eos_ids)
    # what stands for anything unknown is special too, and is not written in the text
    ends = (
        token
        for token in made.encode(after, special_tokens=False)
        if token in known and made.decode([token], skip_special=False) in after
    )
    end = next(ends, None)
    if end is None:
        other = f"; {PLAIN} needs none but an eos_token" if str(asked) != PLAIN else ""
        raise InputError(
            f"chat template {asked}: expected the tokenizer to have a special token that ends an "
            f"answer, got {after[:40]!r}{other}"
        )
    return made if end in made.eos_ids else tokenizer.with_templates({"default": source}, end=end)


def _read(path: Path) -> str:
    try:
        return read_file(path, _MOST_BYTES).decode()
    except (CheckpointError, UnicodeDecodeError) as error:
        reason = str(error).removeprefix(f"{path}: ")
        raise InputError(
            f"chat template: expected {', '.join(_FORMATS)} or a file, got {path}: {reason}"
        ) from error
