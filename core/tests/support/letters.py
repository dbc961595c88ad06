"""A tokenizer of single letters, for the small Llama's vocabulary of 61."""

from __future__ import annotations

import string

import tokenizers

from lmkernel.tokenizers import Tokenizer

SPECIAL = ("<unk>", "<start>", "<end>")
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"
    "{% if add_generation_prompt %}assistant: {% endif %}"
)


def enclosed() -> Tokenizer:
    """The same with a special token at either end of a text, and no chat template."""
    made = letters(None)
    made._backend.post_processor = tokenizers.processors.TemplateProcessing(
        single="<start> $A <end>", special_tokens=[("<start>", 1), ("<end>", 2)]
    )
    return made


def letters(template: str | None = TEMPLATE) -> Tokenizer:
    """Ids 0 to 2 are special; letters, a colon, an apostrophe, a space and a new line follow."""
    symbols = [*SPECIAL, *string.ascii_letters, ":", "'", " ", "\n"]
    vocabulary = {symbol: number for number, symbol in enumerate(symbols)}
    made = tokenizers.Tokenizer(tokenizers.models.BPE(vocabulary, [], unk_token=SPECIAL[0]))
    made.decoder = tokenizers.decoders.Fuse()
    made.add_special_tokens(list(SPECIAL))
    config = {"eos_token": "<end>", "bos_token": "<start>"}
    return Tokenizer(made, config, templates={"default": template} if template else {})
