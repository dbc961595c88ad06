"""Conversations as examples in which only the assistant's words are learned.

The text of a conversation, and where the assistant speaks in it, come from the model's template.
One that marks its words (``{% generation %}``) says it itself. Else what the template renders of
the messages before, with the prompt that begins an answer, is where the answer begins; what it
renders of the messages up to the answer is where the answer ends. The token that ends a turn is
learned, what the template puts after it is not. A template that changes a turn once more follow, as
those do that leave out the reasoning of earlier turns, gives an example for each turn: the text as
it was when that turn was the last. What messages hold beyond the words is learned if the template
has its name; else it is said which is not used.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from lmkernel.errors import InputError, TemplateError
from lmkernel.training.data.causal_rows import CausalExample
from lmkernel.training.data.contents import note_unused, with_contents
from lmkernel.training.data.conversations import ASSISTANT, read_conversation
from lmkernel.training.data.marks import marked, take_spans
from lmkernel.training.data.openings import opening_ids, with_end, with_opening

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from lmkernel.tokenizers import Tokenizer
    from lmkernel.training.data.conversations import Conversation
    from lmkernel.training.data.rows import Row, UnusedColumns

    Span = tuple[int, int]

__all__ = ["chat_examples"]

_NAMES: Mapping[str, str] = MappingProxyType({})


def chat_examples(
    rows: Iterable[Row],
    tokenizer: Tokenizer,
    *,
    context: int,
    truncate: bool = False,
    turns: str = "all",
    columns: Mapping[str, str] = _NAMES,
    unused: UnusedColumns | None = None,
) -> Iterator[list[CausalExample]]:
    """The examples of each row, one or more.

    Args:
        rows: in one of the forms of `lmkernel.training.data.conversations`.
        tokenizer: with a chat template; without one, a prompt and its completion are put together
            as they are, between what the tokenizer puts before a text and the token that ends one,
            where they do not have these already.
        context: most positions of a row, one less than its tokens.
        truncate: cut what is longer at its end.
        turns: which of the assistant's turns are learned, ``"all"`` or ``"last"``.
        columns: names of columns that have others.
        unused: takes note of the columns that are left over.

    Raises:
        InputError: names the row that is malformed or too long, or has nothing of the assistant's;
            or a message that says nothing, or that shows something.
        TemplateError: names the row that the template refuses.
    """
    plain = tokenizer.chat_template is None
    marking = None if plain else marked(tokenizer)
    parted = not plain and tokenizer.writes_parts_alone
    for row in rows:
        said = read_conversation(row, columns)
        if unused is not None:
            note_unused(row, said, tokenizer, unused)
        try:
            said = with_contents(said, tokenizer, parted=parted)
            _check_roles(said)
            if plain and said.texts:
                made = [_plain(said.texts, tokenizer, row.where)]
            elif marking is not None:
                made = [_marked(said, tokenizer, marking, turns, row.where)]
            else:
                made = list(_turns(said, tokenizer, turns, row.where))
        except (InputError, TemplateError) as error:
            raise type(error)(f"{row.where}: {error}") from error
        yield _fit(made, row.where, context, truncate=truncate)


def _answers(said: Conversation, turns: str) -> list[int]:
    """The numbers of the assistant's messages that are learned: not those of ``"weight": 0``."""
    own = [n for n, message in enumerate(said.messages) if message.get("role") == ASSISTANT]
    return [n for n in own[-1 if turns == "last" else 0 :] if said.messages[n].get("weight") != 0]


def _check_roles(said: Conversation) -> None:
    roles = [message.get("role") for message in said.messages]
    if ASSISTANT not in roles:
        got = ", ".join(map(repr, dict.fromkeys(roles))) or "none"
        raise InputError(
            f"expected something that the assistant says, got the roles {got:.80} and "
            f"nothing by {ASSISTANT!r}"
        )


def _turns(
    said: Conversation, tokenizer: Tokenizer, turns: str, where: str
) -> Iterator[CausalExample]:
    """One example for all turns, or one for each where the template changes what came before."""
    whole = _render(tokenizer, said)
    found: list[tuple[str, Span]] = []
    for number in _answers(said, turns):
        before = tokenizer.chat(said.messages[:number], tools=said.tools)
        after = _render(tokenizer, said, number + 1)
        _check_prefix(before, after, number)
        found.append((after, (len(before), len(after))))
    if all(whole.startswith(text) for text, _ in found):
        yield _example(tokenizer, whole, [span for _, span in found], where)
        return
    for text, span in found:
        yield _example(tokenizer, text, [span], where)


def _marked(
    said: Conversation, tokenizer: Tokenizer, marking: Tokenizer, turns: str, where: str
) -> CausalExample:
    """What the template marks is learned, to the token."""

    def count(first: int) -> int:
        """The marks in the first messages."""
        return len(take_spans(_render(marking, said, first))[1]) if first else 0

    text, spans = take_spans(_render(marking, said))
    if text != _render(tokenizer, said):
        raise TemplateError("the chat template renders otherwise once its marks are visible")
    answers = _answers(said, turns)
    if len(answers) < sum(message.get("role") == ASSISTANT for message in said.messages):
        spans = [span for n in answers for span in spans[count(n) : count(n + 1)]]
    return _example(tokenizer, text, spans, where, exact=True)


def _render(tokenizer: Tokenizer, said: Conversation, count: int | None = None) -> str:
    """The text of a conversation, or of its first messages."""
    return tokenizer.chat(said.messages[:count], add_generation_prompt=False, tools=said.tools)


def _example(
    tokenizer: Tokenizer, text: str, spans: Sequence[Span], where: str, *, exact: bool = False
) -> CausalExample:
    """The tokens of a text, of which those in the spans are learned.

    Args:
        tokenizer: of the model.
        text: rendered.
        spans: first and end of what is learned, in characters.
        where: it comes from.
        exact: all of a span is learned; else up to the last token that ends something.
    """
    ids, ends = tokenizer.encode_with_ends(text)
    learned = [False] * len(ids)
    closing = tokenizer.special_ids | set(tokenizer.eos_ids)
    begins = [0, *ends]
    for first, end in spans:
        inside = [n for n, at in enumerate(ends) if first < at and begins[n] < end]
        if not exact:
            inside = [n for n in inside if ends[n] <= end]
            last = max((n for n in inside if ids[n] in closing), default=len(ids))
            inside = [n for n in inside if n <= last]
        for number in inside:
            learned[number] = True
    return CausalExample(ids, learned, where)


def _check_prefix(start: str, text: str, number: int) -> None:
    if text.startswith(start):
        return
    same = next((i for i, (a, b) in enumerate(zip(start, text, strict=False)) if a != b), len(text))
    raise InputError(
        "expected a chat template that leaves what came before as it was once the answer in "
        f"message {number} is there; at character {same} {start[same : same + 20]!r} becomes "
        f"{text[same : same + 20]!r}; another template (--chat-template), or one that marks the "
        "answers by {% generation %}, can be learned from"
    )


def _plain(texts: tuple[str, str], tokenizer: Tokenizer, where: str) -> CausalExample:
    if not tokenizer.eos_ids:
        raise InputError("expected a tokenizer with a token that ends a text, got one without")
    asked, said, whole = tokenizer.encode_many([*texts, "".join(texts)])
    if len(whole) > len(asked) and whole[: len(asked)] == asked:
        # in one text where the prompt's own tokens begin it, as it is generated and scored: alone,
        # a completion may have another space before it
        said = whole[len(asked) :]
    said = with_end(said, tokenizer.eos_ids)
    ids = with_opening([*asked, *said], opening_ids(tokenizer))
    return CausalExample(ids, [False] * (len(ids) - len(said)) + [True] * len(said), where)


def _fit(
    examples: Sequence[CausalExample], where: str, context: int, *, truncate: bool
) -> list[CausalExample]:
    """The examples, cut if that was asked for; what is left must teach something."""
    size = context + 1 if truncate else None
    cut = [CausalExample(e.ids[:size], e.learned[:size], where) for e in examples]
    taught = [e for e in cut if any(e.learned[1:])]
    if not taught or (len(taught) < len(cut) and not truncate):
        longest = max((len(e.ids) for e in cut), default=0)
        raise InputError(
            f"{where}: expected something that the assistant says within {longest} tokens, "
            "got nothing"
        )
    for example in taught:
        if len(example.ids) > context + 1:
            raise InputError(
                f"{where}: expected at most {context + 1} tokens, the model's context and the "
                f"one after it, got {len(example.ids)}; truncate (--truncate) cuts it"
            )
    return taught
