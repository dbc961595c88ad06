"""What clients may send to ``/v1/responses``, and the same as a request for a chat."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag

from lmkernel_serve.documents import ChatDocument, Count, Document
from lmkernel_serve.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["ResponseDocument", "ResponseToolChoice", "chat_document_of", "messages_of"]

Status = Literal["in_progress", "completed", "incomplete"] | None
LOGPROBS = "message.output_text.logprobs"


class ItemText(Document):
    """A part of a message, as it was asked or answered."""

    type: Literal["input_text", "output_text", "text"]
    text: str
    annotations: list[Any] | None = None
    logprobs: list[Any] | None = None


class ItemMessage(Document):
    """A message."""

    type: Literal["message"] = "message"
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[ItemText]
    id: str | None = None
    status: Status = None
    phase: Literal["commentary", "final_answer"] | None = None


class ThoughtText(Document):
    """A part of a thought."""

    type: Literal["reasoning_text"]
    text: str


class ItemThought(Document):
    """What the model thought before it answered."""

    type: Literal["reasoning"]
    summary: Annotated[list[Any], Field(max_length=0)] | None = None
    content: list[ThoughtText] | None = None
    encrypted_content: None = None
    id: str | None = None
    status: Status = None


class ItemCall(Document):
    """A call that the model asked for."""

    type: Literal["function_call"]
    call_id: str
    name: str
    arguments: str
    id: str | None = None
    status: Status = None


class ItemResult(Document):
    """What a call gave."""

    type: Literal["function_call_output"]
    call_id: str
    output: str | list[ItemText]
    id: str | None = None
    status: Status = None


class ResponseTool(Document):
    """A function that may be called."""

    type: Literal["function"]
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ResponseToolChoice(Document):
    """The one function that must be called."""

    type: Literal["function"]
    name: str


class TextFormat(Document):
    """What an answer must look like."""

    type: Literal["text", "json_object", "json_schema"]
    name: str | None = None
    json_schema: dict[str, Any] | None = Field(default=None, alias="schema")
    description: str | None = None
    strict: bool | None = None


class TextConfig(Document):
    """How an answer is written."""

    format: TextFormat | None = None
    verbosity: Literal["medium"] | None = None


class ReasoningConfig(Document):
    """How much a model should think; taken, and without effect on models here."""

    effort: str | None = None
    summary: str | None = None


class ResponseStreamOptions(Document):
    """How a stream is sent."""

    include_obfuscation: bool | None = None


def _kind(item: Any) -> Any:
    """What says which item it is; a message may leave it out."""
    given = item.get("type", "message") if isinstance(item, dict) else "message"
    return given if isinstance(given, str) else ""


Item = Annotated[
    Annotated[ItemMessage, Tag("message")]
    | Annotated[ItemThought, Tag("reasoning")]
    | Annotated[ItemCall, Tag("function_call")]
    | Annotated[ItemResult, Tag("function_call_output")],
    Discriminator(_kind),
]


class ResponseDocument(Document):
    """``POST /v1/responses``."""

    model: str
    input: str | Annotated[list[Item], Field(min_length=1)]
    instructions: str | None = None
    previous_response_id: str | None = None
    max_output_tokens: Count | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    include: list[Literal["message.output_text.logprobs", "reasoning.encrypted_content"]] | None = (
        None
    )
    tools: Annotated[list[ResponseTool], Field(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | ResponseToolChoice | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    store: bool | None = None
    stream: bool | None = None
    seed: Annotated[int, Field(ge=-(1 << 63), lt=1 << 64)] | None = None
    # what changes no answer here
    reasoning: ReasoningConfig | None = None
    stream_options: ResponseStreamOptions | None = None
    truncation: Literal["disabled"] | None = None
    background: Literal[False] | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None
    service_tier: Literal["auto", "default"] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None

    @property
    def shows_logprobs(self) -> bool:
        """Whether the answer's tokens are scored."""
        return LOGPROBS in (self.include or ())


def messages_of(document: ResponseDocument) -> list[dict[str, Any]]:
    """What is asked, as messages of a chat; calls are part of the assistant's message."""
    if isinstance(document.input, str):
        return [{"role": "user", "content": document.input}]
    messages: list[dict[str, Any]] = []
    for item in document.input:
        if isinstance(item, ItemThought):
            thought = "".join(part.text for part in item.content or ())
            if thought:
                messages.append({"role": "assistant", "content": "", "reasoning_content": thought})
        elif isinstance(item, ItemMessage):
            _add_message(messages, item.role, _text(item.content))
        elif isinstance(item, ItemResult):
            text = _text(item.output)
            messages.append({"role": "tool", "tool_call_id": item.call_id, "content": text})
        else:
            if not messages or messages[-1]["role"] != "assistant":
                messages.append({"role": "assistant", "content": ""})
            function = {"name": item.name, "arguments": item.arguments}
            call = {"id": item.call_id, "type": "function", "function": function}
            messages[-1].setdefault("tool_calls", []).append(call)
    return messages


def _add_message(messages: list[dict[str, Any]], role: str, text: str) -> None:
    """A message more; that which follows a thought is what the thought led to."""
    last = messages[-1] if messages else {}
    if role == "assistant" and last.get("reasoning_content") and not last["content"]:
        last["content"] = text
    else:
        messages.append({"role": role, "content": text})


def chat_document_of(
    document: ResponseDocument, messages: Sequence[dict[str, Any]]
) -> ChatDocument:
    """The request for a chat that has the same answer.

    Args:
        document: what was sent.
        messages: what came before, and what is asked.

    Raises:
        ApiError: a field makes no sense beside another.
    """
    told = [{"role": "system", "content": document.instructions}] if document.instructions else []
    if not (told or messages):  # thoughts without a text are none
        raise ApiError("input: expected at least one message", param="input")
    if document.top_logprobs and not document.shows_logprobs:
        raise ApiError(f"top_logprobs: expected {LOGPROBS!r} in include", param="top_logprobs")
    tools = [
        {"type": "function", "function": one.model_dump(exclude={"type"}, exclude_none=True)}
        for one in document.tools or ()
    ]
    choice: Any = document.tool_choice
    if isinstance(choice, ResponseToolChoice):
        choice = {"type": "function", "function": {"name": choice.name}}
    fields = {
        "model": document.model,
        "messages": [*told, *messages],
        "max_completion_tokens": document.max_output_tokens,
        "temperature": document.temperature,
        "top_p": document.top_p,
        "logprobs": document.shows_logprobs or None,
        "top_logprobs": document.top_logprobs if document.shows_logprobs else None,
        "tools": tools or None,
        "tool_choice": choice,
        "parallel_tool_calls": document.parallel_tool_calls,
        "response_format": _response_format(document.text),
        "stream": document.stream,
        "seed": document.seed,
    }
    return ChatDocument.model_validate(fields)


def _text(content: str | list[ItemText]) -> str:
    return content if isinstance(content, str) else "".join(part.text for part in content)


def _response_format(text: TextConfig | None) -> dict[str, Any] | None:
    form = None if text is None else text.format
    if form is None:
        return None
    if form.type != "json_schema":
        return {"type": form.type}
    if form.json_schema is None or form.name is None:
        raise ApiError("text.format: expected name and schema", param="text.format")
    schema = {"name": form.name, "schema": form.json_schema, "strict": form.strict}
    return {"type": "json_schema", "json_schema": schema}
