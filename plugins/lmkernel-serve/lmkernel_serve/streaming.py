"""An answer as it is sent: whole, or as a stream of events."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import JSONResponse, StreamingResponse

from lmkernel_serve.answers import ClientGone
from lmkernel_serve.errors import explain

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from starlette.responses import Response

    from lmkernel_serve.answers import Piece, Usage
    from lmkernel_serve.bodies import Bodies

__all__ = ["send"]


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
    # a refusal has a status of its own, so the first piece is awaited before any is sent
    first = await anext(found)

    async def lines() -> AsyncIterator[str]:
        try:
            for chunk in (*bodies.opening(), *bodies.chunks(first)):
                yield bodies.frame(chunk)
            async for piece in found:
                for chunk in bodies.chunks(piece):
                    yield bodies.frame(chunk)
            for chunk in bodies.closing(usage):
                yield bodies.frame(chunk)
            yield bodies.last
        except ClientGone:
            return
        except Exception as error:  # noqa: BLE001 - the status is sent, so it is told in the stream
            yield bodies.frame(bodies.failure(explain(error)))
        finally:
            await found.aclose()

    headers = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
    return StreamingResponse(lines(), media_type="text/event-stream", headers=headers)
