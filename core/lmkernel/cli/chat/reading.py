"""How a message is read: with prompt_toolkit on a terminal that can move its cursor, else plain."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, final

from lmkernel.cli.chat.keys import hold_keys
from lmkernel.errors import InputError, PullError
from lmkernel.files import reading

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import History
    from prompt_toolkit.key_binding import KeyBindings, KeyPressEvent

__all__ = ["message_reader"]

_PROMPT, _MORE = "> ", "  "
_GOES_ON = "\\"
_PASTE_ON, _PASTE_OFF = "\x1b[?2004h", "\x1b[?2004l"


class MessageReader(ABC):
    """Asks for one message after another."""

    @abstractmethod
    def read(self) -> str:
        """The next message, of one line or several.

        Raises:
            EOFError: there is no more.
            KeyboardInterrupt: the message is not to be sent.
        """

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """Entered around the whole conversation."""
        yield


def message_reader() -> MessageReader:
    """The reader that fits the terminal; what is no UTF-8 comes as lone surrogates."""
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(encoding="utf-8", errors="surrogateescape")
    dumb = os.environ.get("TERM", "").lower() in ("dumb", "unknown")
    return PlainReader() if dumb or not sys.stdout.isatty() else EditedReader()


@final
class PlainReader(MessageReader):
    """Lines as the terminal gives them; edited where there is readline."""

    def __init__(self) -> None:
        with contextlib.suppress(ImportError):
            import readline  # noqa: F401 - importing it is what makes input() editable

    def read(self) -> str:
        """A line; one that ends in a backslash goes on in the next."""
        text = self._line(_PROMPT)
        while text.endswith(_GOES_ON):
            text = text.removesuffix(_GOES_ON) + "\n"
            with contextlib.suppress(EOFError):
                text += self._line(_MORE)
        return text

    def _line(self, prompt: str) -> str:
        try:
            with reading("standard input", InputError):
                if sys.stdout.isatty():
                    return input(prompt)
                print(prompt, end="", file=sys.stderr, flush=True)
                line = sys.stdin.readline()
        except (EOFError, KeyboardInterrupt):
            print(file=sys.stderr)
            raise
        if not line:
            print(file=sys.stderr)
            raise EOFError
        return line.removesuffix("\n")


@final
class EditedReader(MessageReader):
    """Messages of several lines, pasted as one, with a history that outlives the program."""

    def __init__(self) -> None:
        from prompt_toolkit import PromptSession

        # asked for its cursor's position, a terminal answers among the keys, or not at all
        os.environ.setdefault("PROMPT_TOOLKIT_NO_CPR", "1")
        self._session: PromptSession[str] = PromptSession(
            _PROMPT,
            multiline=True,
            prompt_continuation=_MORE,
            key_bindings=_keys(),
            history=_history(),
            enable_open_in_editor=True,
            enable_suspend=True,
        )

    def read(self) -> str:
        """A message, which Enter sends."""
        return self._session.prompt()

    @contextlib.contextmanager
    def session(self) -> Iterator[None]:
        """The terminal's echo is off throughout, and what is pasted meanwhile is marked as such."""
        with hold_keys():
            sys.stdout.write(_PASTE_ON)
            try:
                yield
            finally:
                sys.stdout.write(_PASTE_OFF)
                sys.stdout.flush()


def _keys() -> KeyBindings:
    """Enter sends, unless a backslash stands before it; Alt-Enter begins a new line.

    Enter is Ctrl-J if it was pressed while an answer was streaming.
    """
    from prompt_toolkit.key_binding import KeyBindings

    keys = KeyBindings()

    @keys.add("enter")
    @keys.add("c-j")
    def send_or_go_on(event: KeyPressEvent) -> None:
        buffer = event.current_buffer
        if buffer.document.text_before_cursor.endswith(_GOES_ON):
            buffer.delete_before_cursor()
            buffer.newline(copy_margin=False)
        else:
            buffer.validate_and_handle()

    @keys.add("escape", "enter")
    @keys.add("escape", "c-j")
    def begin_line(event: KeyPressEvent) -> None:
        event.current_buffer.newline(copy_margin=False)

    return keys


def _history() -> History:
    """What was sent before, from a file of the user's own; if there can be none, of this start."""
    from prompt_toolkit.history import InMemoryHistory

    from lmkernel.sources.home import home

    try:
        path = home() / "chat_history"
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600))
    except (OSError, PullError):
        return InMemoryHistory()
    return _kept(path)


def _kept(path: Path) -> History:
    from prompt_toolkit.history import FileHistory

    @final
    class KeptHistory(FileHistory):
        """A history in a file; one that cannot be written any more is no reason to stop."""

        def store_string(self, string: str) -> None:
            with contextlib.suppress(OSError, UnicodeError):
                super().store_string(string)

    return KeptHistory(path)
