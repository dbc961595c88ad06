"""What every client needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel_conformance.endpoint.asking import (
    CHAT,
    COMPLETIONS,
    QUESTION,
    chat,
    completion_body,
    content_of,
    token_ids,
)
from lmkernel_conformance.endpoint.case import cases_of
from lmkernel_conformance.endpoint.wire import expect

if TYPE_CHECKING:
    from lmkernel_conformance.endpoint.wire import Endpoint

__all__ = ["CASES"]


def models_are_listed(endpoint: Endpoint) -> None:
    """``/models`` lists models, each with id, object, created and owned_by."""
    reply = endpoint.request("GET", "/models")
    expect("status 200", reply.status == 200, reply.status)  # noqa: PLR2004 - HTTP's own
    listed = reply.json()
    expect('"object": "list"', listed.get("object") == "list", listed)
    ids = [model.get("id") for model in listed["data"]]
    expect(f"{endpoint.model!r} among them", endpoint.model in ids, ids)
    for model in listed["data"]:
        expect('"object": "model"', model.get("object") == "model", model)
        expect("created, in seconds", isinstance(model.get("created"), int), model)
        expect("owned_by", isinstance(model.get("owned_by"), str), model)


def a_chat_is_answered(endpoint: Endpoint) -> None:
    """A chat's answer has every member that clients read."""
    answer = chat(endpoint)
    expect('"object": "chat.completion"', answer.get("object") == "chat.completion", answer)
    expect("id, created, model", {"id", "created", "model"} <= set(answer), answer)
    [choice] = answer["choices"]
    expect("index 0", choice.get("index") == 0, choice)
    expect("the role assistant", choice["message"].get("role") == "assistant", choice)
    expect("a text", content_of(answer) is not None, choice)
    expect("a reason to finish", choice.get("finish_reason") in {"stop", "length"}, choice)


def usage_adds_up(endpoint: Endpoint) -> None:
    """Usage counts the tokens of prompt and answer."""
    usage = chat(endpoint, max_tokens=5).get("usage") or {}
    prompt, made = usage.get("prompt_tokens", 0.5), usage.get("completion_tokens", 0.5)
    expect("whole numbers", isinstance(prompt, int) and isinstance(made, int), usage)
    expect("their sum", usage.get("total_tokens") == prompt + made, usage)
    expect("1 to 5 tokens", 1 <= made <= 5, usage)  # noqa: PLR2004 - as asked for


def a_longer_prompt_has_more_tokens(endpoint: Endpoint) -> None:
    """The tokens of a chat are counted, whatever the template's renderer gives back."""
    counts = [
        chat(endpoint, messages=[{"role": "user", "content": "the cat " * n}], max_tokens=1)[
            "usage"
        ]["prompt_tokens"]
        for n in (1, 20)
    ]
    expect("at least 20 tokens more", counts[1] >= counts[0] + 20, counts)


def the_number_of_tokens_is_limited(endpoint: Endpoint) -> None:
    """``max_tokens`` and ``max_completion_tokens`` limit an answer, which says so."""
    for name in ("max_tokens", "max_completion_tokens"):
        more = {"max_tokens": None} if name != "max_tokens" else {}
        body = {"model": endpoint.model, "messages": QUESTION, "temperature": 0, **more, name: 3}
        answer = endpoint.ask(CHAT, {k: v for k, v in body.items() if v is not None})
        made, reason = answer["usage"]["completion_tokens"], answer["choices"][0]["finish_reason"]
        expect("at most 3 tokens", made <= 3, made)  # noqa: PLR2004 - as asked for
        expect("the reason length at 3", made < 3 or reason == "length", reason)  # noqa: PLR2004 - as asked for


def the_likeliest_answer_stays_the_same(endpoint: Endpoint) -> None:
    """At temperature 0 the same request has the same answer."""
    found = [content_of(chat(endpoint)) for _ in range(3)]
    expect("one answer", len(set(found)) == 1, found)


def a_seed_fixes_the_draws(endpoint: Endpoint) -> None:
    """The same seed draws the same."""
    found = [content_of(chat(endpoint, temperature=1.0, seed=7)) for _ in range(2)]
    expect("one answer", len(set(found)) == 1, found)


def a_stop_ends_a_text_before_it(endpoint: Endpoint) -> None:
    """A text ends before a string, or any of a list."""
    text = content_of(chat(endpoint))
    expect("a text to stop in", len(text) > 5, text)  # noqa: PLR2004 - of some length
    stop = text[3:6]
    for asked in (stop, ["\u0000never", stop]):
        answer = chat(endpoint, stop=asked)
        cut = content_of(answer)
        expect(f"{text[: text.index(stop)]!r}", cut == text[: text.index(stop)], cut)
        reason = answer["choices"][0]["finish_reason"]
        expect("the reason stop", reason == "stop", reason)


def a_stop_may_be_chinese(endpoint: Endpoint) -> None:
    """A stop of several bytes a character crashes nothing."""
    answer = content_of(chat(endpoint, stop=["你好", "。", "學生"]))
    expect("a text without it", "你好" not in answer, answer)


def parts_are_a_text(endpoint: Endpoint) -> None:
    """Content may be a list of parts, or the same text."""
    parts = [{"type": "text", "text": QUESTION[0]["content"]}]
    found, whole = chat(endpoint, messages=[{"role": "user", "content": parts}]), chat(endpoint)
    expect("the answer to the text", content_of(found) == content_of(whole), found)
    counts = [(one.get("usage") or {}).get("prompt_tokens") for one in (found, whole)]
    expect("the tokens of the text", counts[0] == counts[1], counts)


def roles_are_known(endpoint: Endpoint) -> None:
    """System, developer, user and assistant are roles; content may be null."""
    for first in ("system", "developer"):
        messages = [
            {"role": first, "content": "Be brief."},
            *QUESTION,
            {"role": "assistant", "content": "A cat."},
            {"role": "user", "content": "And?"},
        ]
        content_of(chat(endpoint, messages=messages))


def a_conversation_goes_on(endpoint: Endpoint) -> None:
    """The second and third question of a conversation are answered, and the first again."""
    messages, first = list(QUESTION), ""
    for question in ("And the mat?", "Why?", "So?"):
        text = content_of(chat(endpoint, messages=messages))
        first = first or text
        messages += [{"role": "assistant", "content": text}, {"role": "user", "content": question}]
    expect("the same answer to the first", content_of(chat(endpoint)) == first, first)


def several_choices_are_numbered(endpoint: Endpoint) -> None:
    """``n`` answers have indices of their own."""
    answer = chat(endpoint, n=2, temperature=1.0)
    indices = [choice.get("index") for choice in answer["choices"]]
    expect("indices 0 and 1", sorted(indices) == [0, 1], indices)


def prompts_may_be_several(endpoint: Endpoint) -> None:
    """Completions take a text or a list of texts, each answered as if it were alone."""
    texts = ["The cat sat", "One, two, three"]
    alone = [
        endpoint.ask(COMPLETIONS, completion_body(endpoint, prompt=text))["choices"][0]["text"]
        for text in texts
    ]
    choices = endpoint.ask(COMPLETIONS, completion_body(endpoint, prompt=texts))["choices"]
    found = [choice["text"] for choice in sorted(choices, key=lambda choice: choice["index"])]
    expect(f"{alone!r:.150}", found == alone, found)


def prompts_may_be_ids(endpoint: Endpoint) -> None:
    """Completions take token ids, or a list of them."""
    ids = token_ids(endpoint, "The cat sat")
    for prompt in (ids, [ids, ids]):
        answer = endpoint.ask(COMPLETIONS, completion_body(endpoint, prompt=prompt))
        expect("texts", all(isinstance(c["text"], str) for c in answer["choices"]), answer)
        count = answer["usage"]["prompt_tokens"]
        expect("every id counted", count in {len(ids), 2 * len(ids)}, count)


CASES = cases_of(
    "required",
    (
        models_are_listed,
        a_chat_is_answered,
        usage_adds_up,
        a_longer_prompt_has_more_tokens,
        the_number_of_tokens_is_limited,
        the_likeliest_answer_stays_the_same,
        a_seed_fixes_the_draws,
        a_stop_ends_a_text_before_it,
        a_stop_may_be_chinese,
        parts_are_a_text,
        roles_are_known,
        a_conversation_goes_on,
        several_choices_are_numbered,
        prompts_may_be_several,
        prompts_may_be_ids,
    ),
    optional=("several_choices_are_numbered", "prompts_may_be_several", "prompts_may_be_ids"),
)
