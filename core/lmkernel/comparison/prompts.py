"""The fixed prompts of a comparison: facts, lists, code, arithmetic, other scripts, odd lengths."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmkernel.tokenizers.tokenizer import Tokenizer

__all__ = ["PROMPTS", "fit_to_context", "prompt_ids"]

PROMPTS: tuple[str, ...] = (
    "What is the capital of France?",
    "Name three primary colours.",
    "Explain in two sentences why the sky is blue.",
    "Write a Python function that reverses a string.",
    "What is 17 + 25?",
    "List the planets of the solar system in order from the sun.",
    "Translate 'good morning' into Spanish.",
    "Who wrote the play Hamlet?",
    "Give me a short recipe for pancakes.",
    "What does the word 'ephemeral' mean?",
    "Summarise the story of the tortoise and the hare.",
    "How many days are there in a leap year?",
    "你好,请介绍一下北京。",
    "Write a haiku about autumn rain.",
    "What is the difference between a list and a tuple in Python?",
    "Why do we have seasons? 🌍",
    "Continue the sequence: 2, 4, 8, 16,",
    "Hi",
    """Write a polite e-mail that asks a colleague to move a meeting from Monday to Wednesday,
because the projector in the meeting room is broken and will be mended on Tuesday.""",
    "What is photosynthesis, and which gas do plants take in for it?",
)


def prompt_ids(tokenizer: Tokenizer, text: str) -> list[int]:
    """A prompt as the chat template has it, or plain where there is none."""
    if tokenizer.chat_template is None:
        return tokenizer.encode(text)
    chat = tokenizer.chat([{"role": "user", "content": text}])
    return tokenizer.encode(chat, special_tokens=False)


def fit_to_context(ids: list[int], context: int, steps: int) -> list[int]:
    """The end of a fixed prompt that leaves room for as many tokens, or for half a small context.

    Args:
        ids: the prompt.
        context: the model's; 0 for one without a limit.
        steps: how many tokens are to follow.
    """
    room = context - min(steps, context // 2)
    return ids[-room:] if context else ids
