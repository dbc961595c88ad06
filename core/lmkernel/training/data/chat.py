"""Conversations as examples in which only the assistant's words are learned.

The text of a conversation, and where the assistant speaks in it, come from the model's template:
what it renders of the messages before, with the prompt that begins an answer, is where the answer
begins; what it renders of the messages up to the answer is where the answer ends. The token that
ends a turn is learned, what the template puts after it is not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lmkernel.errors import InputError, TemplateError
from lmkernel.training.data.causal_rows import CausalExample

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from lmkernel.tokenizers import Tokenizer
    from lmkernel.training.data.rows import Row

__all__ = ["chat_examples", "conversation"]

_ASSISTANT = "assistant"
Messages = list[dict[str, Any]]


def chat_examples(
    rows: Iterable[Row],
    tokenizer: Tokenizer,
    *,
    context: int,
    truncate: bool = False,
    messages: str = "messages",
    prompt: str = "prompt",
    completion: str = "completion",
) -> Iterator[CausalExample]:
    """One example for each row.

    Args:
        rows: each with a list of ``{"role": …, "content": …}`` in the column ``messages``, or with
            ``prompt`` and ``completion``, which are texts or such lists.
        tokenizer: with a chat template; without one, a prompt and its completion are put together
            as they are, with the token that ends a text.
        context: most positions of a row, one less than its tokens.
        truncate: cut what is longer at its end.
        messages: name of a column.
        prompt: name of a column.
        completion: name of a column.

    Raises:
        InputError: names the row that is malformed or too long, has nothing of the assistant's,
            or that the template renders otherwise once more messages follow.
        TemplateError: names the row that the template refuses.
    """
    plain = tokenizer.chat_template is None
    for row in rows:
        if plain and messages not in row.values:
            example = _plain(row, tokenizer, prompt, completion)
        else:
            example = _chat(row, tokenizer, conversation(row, messages, prompt, completion))
        yield _fit(example, context, truncate=truncate)


def conversation(row: Row, messages: str, prompt: str, completion: str) -> Messages:
    """The messages of a row.

    Raises:
        InputError: neither of the forms that `chat_examples` knows.
    """
    if messages in row.values or prompt not in row.values:
        return _messages(row, messages, "user")
    return [*_messages(row, prompt, "user"), *_messages(row, completion, _ASSISTANT)]


def _messages(row: Row, column: str, role: str) -> Messages:
    """A column's messages; a text is one by ``role``. Keys that hold nothing are left out."""
    value = row.column(column)
    if isinstance(value, str):
        return [{"role": role, "content": row.text(column)}]
    if not isinstance(value, list) or not all(isinstance(item, Mapping) for item in value):
        raise InputError(
            f"{row.where}: expected messages with role and content in the column {column!r}, "
            f"got {value!r}"[:300]
        )
    return [{k: v for k, v in m.items() if v is not None or k == "content"} for m in value]


def _chat(row: Row, tokenizer: Tokenizer, messages: Messages) -> CausalExample:
    try:
        text, spans = _spans(tokenizer, messages)
        ids, ends = tokenizer.encode_with_ends(text)
    except (InputError, TemplateError) as error:
        raise type(error)(f"{row.where}: {error}") from error
    learned = [False] * len(ids)
    closing = tokenizer.special_ids | set(tokenizer.eos_ids)
    for first, end in spans:
        inside = [n for n, at in enumerate(ends) if first < at <= end]
        last = max((n for n in inside if ids[n] in closing), default=len(ids))
        for number in inside:
            learned[number] = number <= last
    return CausalExample(ids, learned, row.where)


def _spans(tokenizer: Tokenizer, messages: Messages) -> tuple[str, list[tuple[int, int]]]:
    """The text, and where in it the assistant's turns begin and end."""
    whole = tokenizer.chat(messages, add_generation_prompt=False)
    spans = []
    for number, message in enumerate(messages):
        if message.get("role") == _ASSISTANT:
            before = tokenizer.chat(messages[:number])
            after = tokenizer.chat(messages[: number + 1], add_generation_prompt=False)
            _check_prefix(before, after, f"the answer in message {number} is there")
            _check_prefix(after, whole, f"more follows message {number}")
            spans.append((len(before), len(after)))
    return whole, spans


def _check_prefix(start: str, text: str, once: str) -> None:
    if text.startswith(start):
        return
    same = next((i for i, (a, b) in enumerate(zip(start, text, strict=False)) if a != b), len(text))
    raise InputError(
        f"expected a chat template that leaves what came before as it was once {once}; "
        f"at character {same} {start[same : same + 20]!r} becomes {text[same : same + 20]!r}"
    )


def _plain(row: Row, tokenizer: Tokenizer, prompt: str, completion: str) -> CausalExample:
    if not tokenizer.eos_ids:
        raise InputError("expected a tokenizer with a token that ends a text, got one without")
    asked, said = tokenizer.encode_many([row.text(prompt), row.text(completion)])
    said = [*said, tokenizer.eos_ids[0]]
    return CausalExample([*asked, *said], [False] * len(asked) + [True] * len(said), row.where)


def _fit(example: CausalExample, context: int, *, truncate: bool) -> CausalExample:
    """The example, cut if that was asked for; what is left must teach something."""
    ids: Sequence[int] = example.ids
    learned = example.learned
    if truncate:
        ids, learned = ids[: context + 1], learned[: context + 1]
    if not any(learned[1:]):
        raise InputError(
            f"{example.where}: expected something that the assistant says within "
            f"{len(ids)} tokens, got nothing"
        )
    if len(ids) > context + 1:
        raise InputError(
            f"{example.where}: expected at most {context + 1} tokens, the model's context and the "
            f"one after it, got {len(ids)}; truncate (--truncate) cuts it"
        )
    return CausalExample(ids, learned, example.where)
