"""Waiting for an answer while a client may go, and its time may end."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, TypeVar, final

from lmkernel_serve.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from starlette.types import Receive

__all__ = ["ClientGone", "in_time", "unless_gone", "watch"]

_T = TypeVar("_T")


@final
class ClientGone(Exception):  # noqa: N818 - no fault
    """The client has closed its connection."""


def watch(receive: Receive) -> asyncio.Future[None]:
    """Done once the client has gone; whoever watches cancels it in the end."""
    return asyncio.ensure_future(_disconnect(receive))


async def in_time(
    work: Coroutine[Any, Any, _T], gone: asyncio.Future[None], end: float | None
) -> _T:
    """What some work comes to; it is given up when the client goes, or the time is over.

    Args:
        work: that is awaited.
        gone: from `watch`.
        end: by ``time.monotonic()``; None for no end.

    Raises:
        ClientGone: there is nobody to send it to.
        ApiError: the time is over.
    """
    working = asyncio.ensure_future(work)
    rest = None if end is None else max(end - time.monotonic(), 0)
    try:
        either: set[asyncio.Future[Any]] = {working, gone}
        await asyncio.wait(either, timeout=rest, return_when=asyncio.FIRST_COMPLETED)
        if working.done():
            return working.result()
    finally:
        working.cancel()
    if gone.done():
        raise ClientGone
    raise ApiError("the time of this request is over", 504, code="timeout")


async def unless_gone(receive: Receive, work: Coroutine[Any, Any, _T]) -> _T:
    """What some work comes to; it is given up when the client goes.

    Raises:
        ClientGone: there is nobody to send it to.
    """
    gone = watch(receive)
    try:
        return await in_time(work, gone, None)
    finally:
        gone.cancel()


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
