"""``lmkernel chat``: one answer, or a conversation in the terminal."""

from lmkernel.cli.chat.command import Chat

__all__ = ["Chat"]
