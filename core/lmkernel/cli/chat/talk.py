"""The conversation in the terminal: a message, its answer, and the next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.cli.chat.interrupts import Interrupts
from lmkernel.cli.chat.keys import hold_keys
from lmkernel.cli.chat.reading import message_reader
from lmkernel.cli.chat.slash import Order, parse_order
from lmkernel.cli.options import cut_note
from lmkernel.cli.screen import note, show
from lmkernel.errors import LmkernelError

if TYPE_CHECKING:
    from lmkernel.cli.chat.conversation import Conversation, Turn

__all__ = ["converse"]

_NEW = "; /new begins another conversation"


def converse(conversation: Conversation) -> int:
    """Talk until the user leaves; the exit code."""
    reader = message_reader()
    note("/help says what there is besides questions, Ctrl-D leaves")
    with reader.session(), Interrupts() as interrupts:
        while True:
            try:
                with interrupts.expected():
                    _respond(conversation, reader.read().strip(), interrupts)
            except EOFError:
                return 0
            except KeyboardInterrupt:  # at the prompt, which begins anew
                continue
            except LmkernelError as error:
                note(str(error))


def _respond(conversation: Conversation, text: str, interrupts: Interrupts) -> None:
    """Answer a message, or do what it orders."""
    order = parse_order(text)
    if isinstance(order, Order):
        turn = order.carry_out(conversation)
    else:
        turn = conversation.ask(order) if order else None
    if turn is not None:
        _answer(conversation, turn, interrupts)


def _answer(conversation: Conversation, turn: Turn, interrupts: Interrupts) -> None:
    """Show an answer; whatever stops it, it stays as far as it came."""
    with hold_keys():
        try:
            show(interrupts.stopping(turn.answer))
        except KeyboardInterrupt:
            more = "/continue goes on, " if conversation.goes_on else ""
            note(f"[stopped; {more}/retry asks again]")
            return
        finally:
            conversation.keep(turn)
    more = "; /continue goes on" if conversation.goes_on else ""
    if cut := cut_note(turn.answer, conversation.options, more, _NEW):
        note(cut)
    elif not turn.answer.text.strip():
        note("[an empty answer]")
