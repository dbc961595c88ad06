"""``/tokenize``, ``/detokenize`` and ``/tokenizer_info``, as evaluation harnesses ask for them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lmkernel_serve.adjusting import check_ids
from lmkernel_serve.conversations import prompt_of_chat
from lmkernel_serve.errors import ApiError

if TYPE_CHECKING:
    from lmkernel_serve.documents import DetokenizeDocument, TokenizeDocument
    from lmkernel_serve.served import Served

__all__ = ["document_ids", "ids_body", "info_body", "text_body"]


def document_ids(served: Served, document: TokenizeDocument) -> list[int]:
    """The ids of a text, or of a chat up to where its next answer begins.

    Raises:
        ApiError: neither or both were given.
        LmkernelError: the chat cannot be rendered.
    """
    if (document.prompt is None) == (document.messages is None):
        raise ApiError("expected prompt or messages, one of them")
    tokenizer = served.model.tokenizer
    if document.prompt is not None:
        return tokenizer.encode(document.prompt, special_tokens=document.add_special_tokens)
    prompt = prompt_of_chat(served, document)
    if prompt.pixels is not None:
        raise ApiError("messages: expected texts alone here, got a picture", param="messages")
    return prompt.ids


def ids_body(served: Served, document: TokenizeDocument) -> dict[str, Any]:
    """The ids of a text or of a chat, and how many they are; raises as `document_ids` does."""
    ids = document_ids(served, document)
    return {"tokens": ids, "count": len(ids), "max_model_len": served.context or None}


def text_body(served: Served, document: DetokenizeDocument) -> dict[str, Any]:
    """The text of ids, special tokens as they are written.

    Raises:
        ApiError: an id that the vocabulary lacks.
    """
    if document.tokens:
        check_ids(served, document.tokens, "tokens")
    return {"prompt": served.model.tokenizer.decode(document.tokens, skip_special=False)}


def info_body(served: Served) -> dict[str, Any]:
    """What a tokenizer has: its special tokens by their roles, and its chat template."""
    tokenizer = served.model.tokenizer

    def spelt(token: int | None) -> str | None:
        return None if token is None else tokenizer.token(token)

    return {
        "model": served.name,
        "vocab_size": tokenizer.vocab_size,
        "max_model_len": served.context or None,
        "bos_token": spelt(tokenizer.bos_id),
        "eos_token": spelt(next(iter(tokenizer.eos_ids), None)),
        "unk_token": tokenizer.unknown,
        "chat_template": tokenizer.chat_template,
    }
