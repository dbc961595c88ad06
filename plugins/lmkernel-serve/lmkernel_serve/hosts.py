"""The names under which a server on this machine may be asked.

A page of a stranger cannot reach 127.0.0.1 by that address, for a browser knows where the page came
from. It can by a name of its own that it has pointed there meanwhile (DNS rebinding); what gives it
away is the ``Host`` that the browser sends.
"""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, final

from starlette.datastructures import Headers

from lmkernel_serve.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Collection

    from starlette.types import ASGIApp, Receive, Scope, Send

__all__ = ["HostCheck", "is_loopback"]


def is_loopback(host: str) -> bool:
    """Whether a name or an address is this machine's own, whatever a resolver says."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@final
class HostCheck:
    """Refuses what was sent to another name, with 421 (RFC 9110, section 15.5.20).

    Args:
        app: that is asked under a right name.
        names: that are right beside those of this machine.
    """

    def __init__(self, app: ASGIApp, names: Collection[str]) -> None:
        self._app = app
        self._names = frozenset(name.lower() for name in names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] == "http":
            host = _name_of(Headers(scope=scope).get("host", ""))
            if not (is_loopback(host) or host in self._names):
                await _refusal(host).response()(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _refusal(host: str) -> ApiError:
    said = f"Host: expected the name of this machine, got {host!r:.80}; --allow-host adds others"
    return ApiError(said, 421, param="Host", code="wrong_host")


def _name_of(host: str) -> str:
    """The host of ``host[:port]``, of an address of version 6 without its brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0].lower().removesuffix(".")
