"""The items of a response as they grow, and the events that tell of them."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Any, final

from lmkernel_serve.chat_bodies import new_call_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from lmkernel.structured import Part

__all__ = ["ResponseItems"]

Event = tuple[str, dict[str, Any]]
_TEXTS = ("message", "reasoning")


@final
class ResponseItems:
    """A thought, a message, then the calls that follow it; one of them is open at a time."""

    def __init__(self) -> None:
        self.items: list[dict[str, Any]] = []
        self._opened = False

    @property
    def message(self) -> dict[str, Any]:
        """The same as the assistant's message of a chat."""
        texts, calls = {"reasoning": "", "message": ""}, []
        for item in self.items:
            if item["type"] in texts:
                texts[item["type"]] += item["content"][0]["text"]
                continue
            function = {"name": item["name"], "arguments": item["arguments"]}
            calls.append({"id": item["call_id"], "type": "function", "function": function})
        found: dict[str, Any] = {"role": "assistant", "content": texts["message"]}
        if texts["reasoning"]:
            found["reasoning_content"] = texts["reasoning"]
        return {**found, **({"tool_calls": calls} if calls else {})}

    def take(self, part: Part, scores: Sequence[dict[str, Any]] = ()) -> Iterator[Event]:
        """The events of a part of the answer, whose tokens may be scored."""
        if part.call >= 0:
            yield from self._call(part)
        elif part.thought:
            yield from self._think(part)
        else:
            yield from self._say(part, scores)

    def _think(self, part: Part) -> Iterator[Event]:
        if not self._opened:
            item = {"id": _name("rs"), "type": "reasoning", "summary": [], "content": []}
            yield from self._open(item)
            yield from self._begin_content({"type": "reasoning_text", "text": ""})
        self.items[-1]["content"][0]["text"] += part.text
        yield "response.reasoning_text.delta", self._at(delta=part.text)

    def _say(self, part: Part, scores: Sequence[dict[str, Any]]) -> Iterator[Event]:
        if not (self._opened and self.items[-1]["type"] == "message"):
            yield from self._close("completed")
            yield from self._begin_message()
        [content] = self.items[-1]["content"]
        content["text"] += part.text
        content["logprobs"] += scores
        yield "response.output_text.delta", self._at(delta=part.text, logprobs=list(scores))

    def finish(self, status: str) -> Iterator[Event]:
        """The end of the item that is open; an answer that says nothing is a message, too."""
        if not self.items:
            yield from self._begin_message()
        yield from self._close(status)

    def _begin_message(self) -> Iterator[Event]:
        part = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        item = {"id": _name("msg"), "type": "message", "role": "assistant", "content": []}
        yield from self._open(item)
        yield from self._begin_content(part)

    def _begin_content(self, part: dict[str, Any]) -> Iterator[Event]:
        yield "response.content_part.added", self._at(part=dict(part))
        self.items[-1]["content"] = [part]

    def _call(self, part: Part) -> Iterator[Event]:
        if part.name:
            yield from self._close("completed")
            own = {"call_id": new_call_id(), "name": part.name, "arguments": ""}
            yield from self._open({"id": _name("fc"), "type": "function_call", **own})
        if part.text:
            self.items[-1]["arguments"] += part.text
            yield "response.function_call_arguments.delta", self._at(delta=part.text)

    def _open(self, item: dict[str, Any]) -> Iterator[Event]:
        item["status"] = "in_progress"
        self.items.append(item)
        self._opened = True
        yield "response.output_item.added", {"output_index": self._index, "item": dict(item)}

    def _close(self, status: str) -> Iterator[Event]:
        if not self._opened:
            return
        self._opened = False
        item = self.items[-1]
        item["status"] = status
        if item["type"] in _TEXTS:
            [part] = item["content"]
            text = {name: part[name] for name in ("text", "logprobs") if name in part}
            yield f"response.{part['type']}.done", self._at(**text)
            yield "response.content_part.done", self._at(part=dict(part))
        else:
            own = {"name": item["name"], "arguments": item["arguments"]}
            yield "response.function_call_arguments.done", self._at(**own)
        yield "response.output_item.done", {"output_index": self._index, "item": dict(item)}

    @property
    def _index(self) -> int:
        return len(self.items) - 1

    def _at(self, **fields: Any) -> dict[str, Any]:
        item = self.items[-1]
        content = {"content_index": 0} if item["type"] in _TEXTS else {}
        return {"item_id": item["id"], "output_index": self._index, **content, **fields}


def _name(kind: str) -> str:
    return f"{kind}_{secrets.token_hex(12)}"
