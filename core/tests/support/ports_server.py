"""A process that stays, and serves whichever checkpoint a command names, with a defect in it.

`verify` starts a server by a command, on a checkpoint and on its first layers. A process that
imports transformers takes seconds each time, so the command (`serving_command.py`) only tells this
one, and what it serves ends with the command. `verify` sees a command and a URL.
"""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from socketserver import StreamRequestHandler, TCPServer
from threading import Thread
from typing import TYPE_CHECKING

import serving_command
from completions_server import serving_broken

if TYPE_CHECKING:
    from collections.abc import Iterator

    from port_breaks import Broken

__all__ = ["commanded"]


@contextmanager
def commanded(port: Broken) -> Iterator[str]:
    """The command of a server of a broken port, for the option ``serve`` of the subject ``http``.

    One checkpoint is served at a time, as what breaks a port may be a patch of a module.
    """

    class Handler(StreamRequestHandler):
        def handle(self) -> None:
            place, number = self.rfile.readline().decode().rstrip("\n").split("\t")
            with serving_broken(Path(place), port, int(number)):
                self.rfile.read()  # until the command ends

    with TCPServer(("127.0.0.1", 0), Handler) as control:
        thread = Thread(target=control.serve_forever, args=(0.01,))
        thread.start()
        program = f"{sys.executable} -I -S {serving_command.__file__}"
        try:
            yield f"{program} {control.server_address[1]} {{checkpoint}} {{port}}"
        finally:
            control.shutdown()
            thread.join()
