"""An answer as it is sent: whole, or as a stream of events."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, StreamingResponse

from lmkernel_serve.errors import explain
from lmkernel_serve.waiting import ClientGone

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from starlette.responses import Response

    from lmkernel_serve.answers import Piece, Usage
    from lmkernel_serve.bodies import Bodies
    from lmkernel_serve.errors import ApiError

__all__ = ["send", "send_frames"]


async def send(
    found: AsyncGenerator[Piece], bodies: Bodies, usage: Usage, *, stream: bool
) -> Response:
    """The answer of HTTP.

    Args:
        found: the pieces of all answers.
        bodies: what they are in words of the interface.
        usage: what is counted as pieces come.
        stream: whether events are sent as they come.

    Raises:
        ApiError, LmkernelError, ClientGone: before anything is sent.
    """
    if not stream:
        return JSONResponse(bodies.whole([piece async for piece in found], usage))
    frames = _frames(found, bodies, usage)
    return await send_frames(frames, lambda error: bodies.frame(bodies.failure(error)))


async def send_frames(
    frames: AsyncGenerator[str], failure: Callable[[ApiError], str]
) -> StreamingResponse:
    """A stream of events.

    Args:
        frames: the events as they are sent, one at least.
        failure: the event of an error where the status is sent already.

    Raises:
        ApiError, LmkernelError, ClientGone: before anything is sent.
    """
    # a refusal has a status of its own, so the first event is awaited before any is sent
    first = await anext(frames)

    async def lines() -> AsyncIterator[str]:
        try:
            yield first
            async for frame in frames:
                yield frame
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - the status is sent, so it is told in the stream
            yield failure(explain(error))
        finally:
            await frames.aclose()

    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(lines(), media_type="text/event-stream", headers=headers)


async def _frames(
    found: AsyncGenerator[Piece], bodies: Bodies, usage: Usage
) -> AsyncGenerator[str]:
    """The events of pieces."""
    async with aclosing(found):
        chunks = bodies.opening()
        async for piece in found:
            chunks += bodies.chunks(piece)
            for chunk in chunks:
                yield bodies.frame(chunk)
            chunks = []
        for chunk in bodies.closing(usage):
            yield bodies.frame(chunk)
        yield bodies.last
