"""Responses that can be gone on with, or fetched, as long as there is room for them."""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, final

from lmkernel_serve.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ResponseStore"]

_BYTES = 64 << 20
_COUNT = 4096


@final
class ResponseStore:
    """Responses in memory; the oldest make room for new ones.

    Args:
        most_bytes: of all of them.
        most: so many at once.
    """

    def __init__(self, most_bytes: int = _BYTES, most: int = _COUNT) -> None:
        self._most_bytes = most_bytes
        self._most = most
        self._kept: OrderedDict[str, tuple[dict[str, Any], list[dict[str, Any]], int]]
        self._kept = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def keep(self, body: dict[str, Any], messages: Sequence[dict[str, Any]]) -> None:
        """Keep a response, and the messages of a chat that led to it, its own included."""
        size = len(json.dumps([body, list(messages)]))
        with self._lock:
            self._kept[body["id"]] = body, list(messages), size
            self._bytes += size
            while self._bytes > self._most_bytes or len(self._kept) > self._most:
                _, (_, _, freed) = self._kept.popitem(last=False)
                self._bytes -= freed

    def body(self, name: str) -> dict[str, Any]:
        """A response.

        Raises:
            ApiError: 404: it is not there.
        """
        found = self._kept.get(name)
        if found is None:
            raise ApiError(f"no response {name!r:.80} is kept here", 404, code="response_not_found")
        return found[0]

    def messages(self, name: str | None) -> list[dict[str, Any]]:
        """What a response was the end of; nothing for None.

        Raises:
            ApiError: it is not there.
        """
        if name is None:
            return []
        found = self._kept.get(name)
        if found is None:
            raise ApiError(
                f"previous_response_id: no response {name!r:.80} is kept here; the oldest make "
                "room for new ones, and those of store: false are not kept",
                param="previous_response_id",
                code="previous_response_not_found",
            )
        return list(found[1])

    def forget(self, name: str) -> None:
        """Forget a response.

        Raises:
            ApiError: 404: it is not there.
        """
        with self._lock:
            self.body(name)
            self._bytes -= self._kept.pop(name)[2]
