"""Bytes that this process has sent over TCP, as the kernel counts them for each connection.

Constraint: Linux alone, and only what goes over TCP, as with gloo; between devices that are joined
by other means it says nothing. Source: ``struct tcp_info`` of Linux's ``include/uapi/linux/tcp.h``.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from pathlib import Path

__all__ = ["sent_bytes"]

_OPTION = getattr(socket, "TCP_INFO", 0)
_SENT = struct.Struct("=QQ")
_PLACE = 200
"""Where ``tcpi_bytes_sent`` lies, and after it ``tcpi_bytes_retrans``."""
_OPEN = Path("/proc/self/fd")
_FAMILIES = (socket.AF_INET, socket.AF_INET6)


def sent_bytes() -> int | None:
    """The sum over all open connections, without what was sent again; None where none is known."""
    if sys.platform != "linux":
        return None
    return sum(_sent_by(int(place.name)) for place in _OPEN.iterdir() if _is_socket(place))


def _is_socket(place: Path) -> bool:
    try:
        return str(place.readlink()).startswith("socket:")
    except OSError:  # closed meanwhile
        return False


def _sent_by(descriptor: int) -> int:
    """Bytes that a socket has sent; 0 where it is no connection."""
    try:
        # a copy of the descriptor, which is closed in place of the framework's
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            if connection.family not in _FAMILIES or connection.type != socket.SOCK_STREAM:
                return 0
            info = connection.getsockopt(socket.IPPROTO_TCP, _OPTION, _PLACE + _SENT.size)
    except OSError:  # closed meanwhile
        return 0
    if len(info) < _PLACE + _SENT.size:
        return 0  # of a kernel before 4.19
    sent, again = _SENT.unpack_from(info, _PLACE)
    return int(sent - again)
