"""The command that `ports_server` is told by: ``serving_command.py CONTROL CHECKPOINT PORT``.

It asks for a checkpoint to be served at a port, and lasts until either end is gone.
"""

from __future__ import annotations

import socket
import sys

if __name__ == "__main__":
    control, checkpoint, port = sys.argv[1:]
    with socket.create_connection(("127.0.0.1", int(control))) as told:
        told.sendall(f"{checkpoint}\t{port}\n".encode())
        told.recv(1)
