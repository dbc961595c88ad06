"""What a slash orders, what it does not, and what is said of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from stand_in import StandIn

from lmkernel.cli.chat.conversation import Conversation
from lmkernel.cli.chat.slash import Order, parse_order
from lmkernel.errors import LmkernelError
from lmkernel.generation import GenerationOptions

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def conversation() -> Conversation:
    model = StandIn(lambda asked: f"answer to {asked[-1]['content']}")
    return Conversation(model, GenerationOptions())  # type: ignore[arg-type]  # it stands in


def order(conversation: Conversation, text: str) -> None:
    """Carry an order out, with the turn that it asks for."""
    parsed = parse_order(text)
    assert isinstance(parsed, Order)
    turn = parsed.carry_out(conversation)
    if turn is not None:
        list(turn.answer)
        conversation.keep(turn)


@pytest.mark.parametrize(
    ("text", "name", "argument"),
    [
        ("/help", "help", ""),
        ("/?", "?", ""),
        ("/HELP", "help", ""),
        ("/system  You are\nkind ", "system", "You are\nkind"),
        ("/save a b.json", "save", "a b.json"),
        ("exit", "exit", ""),
        ("Quit", "quit", ""),
    ],
)
def test_orders(text: str, name: str, argument: str) -> None:
    assert parse_order(text) == Order(name, argument)


@pytest.mark.parametrize(
    ("text", "sent"),
    [
        ("/etc/passwd: what is it?", "/etc/passwd: what is it?"),
        ("/usr", None),
        ("/etc is what?", None),
        ("/etc: what is it?", "/etc: what is it?"),
        ("/2 of them", "/2 of them"),
        ("/", "/"),
        ("/ is division", "/ is division"),
        ("//etc", "/etc"),
        ("//help", "/help"),
        ("// a comment", "// a comment"),
        ("///", "///"),
        ("/* a comment */", "/* a comment */"),
        ("/привет", "/привет"),
        ("how do I exit?", "how do I exit?"),
        ("exit()", "exit()"),
        ("use /help", "use /help"),
    ],
)
def test_messages_with_slashes(text: str, sent: str | None) -> None:
    if sent is None:
        with pytest.raises(LmkernelError, match=f"is written /{text[:4]}"):
            parse_order(text)
    else:
        assert parse_order(text) == sent


def test_options_are_set_and_wrong_ones_refused(
    conversation: Conversation, capsys: pytest.CaptureFixture[str]
) -> None:
    for text in ("/set temperature 0.7", "/set top_k=5", "/set stop a b", "/set ignore_eos true"):
        order(conversation, text)
    options = conversation.options
    assert (options.temperature, options.top_k, options.ignore_eos) == (0.7, 5, True)
    assert options.stop == ("a b",)
    assert "temperature 0.7" in capsys.readouterr().err
    for text in ("/set temperature warm", "/set heat 1", "/set top_k -1", "/set ignore_eos no"):
        with pytest.raises(LmkernelError):
            order(conversation, text)
    assert conversation.options == options


def test_saved_and_loaded(conversation: Conversation, tmp_path: Path) -> None:
    order(conversation, "/system Sing")
    order(conversation, f'/save "{tmp_path}/a b.json"')
    order(conversation, "/system -")
    assert not conversation.messages
    order(conversation, f"/load {tmp_path}/a b.json")
    assert conversation.system == "Sing"


@pytest.mark.parametrize(
    "text",
    [
        "/exit now",
        "/clear all",
        "/save",
        '/load ""',
        "/load ~nobody/x",
        "/retry",
        "/stats",
        "/continue",
    ],
)
def test_orders_that_make_no_sense(conversation: Conversation, text: str) -> None:
    with pytest.raises(LmkernelError):
        order(conversation, text)


def test_retry_continue_and_stats(
    conversation: Conversation, capsys: pytest.CaptureFixture[str]
) -> None:
    conversation.messages = [{"role": "user", "content": "one"}]
    order(conversation, "/retry")
    order(conversation, "/continue")
    assert conversation.messages[-1]["content"] == "answer to one and more"
    order(conversation, "/stats")
    assert "10 tokens in 0.0 s" in capsys.readouterr().err
    order(conversation, "/new")
    assert not conversation.messages


def test_help_names_every_order(
    conversation: Conversation, capsys: pytest.CaptureFixture[str]
) -> None:
    order(conversation, "/help")
    shown = capsys.readouterr().err
    for name in ("system", "set", "retry", "continue", "save", "load", "clear or /new", "exit"):
        assert f"/{name} " in shown
    with pytest.raises(EOFError):
        order(conversation, "/quit")
