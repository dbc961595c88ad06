"""What clients may send. A field that is not here is refused by its name."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

__all__ = [
    "ChatDocument",
    "CompletionDocument",
    "DetokenizeDocument",
    "Document",
    "EmbeddingDocument",
    "NamedTool",
    "ResponseFormat",
    "SamplingDocument",
    "TokenizeDocument",
]

Count = Annotated[int, Field(ge=1, le=1 << 31)]
Stops = str | list[str] | None
Ids = list[Annotated[int, Field(ge=0, lt=1 << 31)]]


class Document(BaseModel):
    """Fields of known names and exact types."""

    model_config = ConfigDict(extra="forbid", strict=True)


class StreamOptions(Document):
    """What is said at the end of a stream."""

    include_usage: bool = False


class SamplingDocument(Document):
    """How tokens are chosen, and how the answer is sent."""

    model: str
    max_tokens: Annotated[int, Field(ge=0, le=1 << 31)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=-1, le=1 << 31)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repetition_penalty: Annotated[float, Field(gt=0, le=100)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    logit_bias: dict[str, Annotated[float, Field(ge=-100, le=100)]] | None = None
    seed: Annotated[int, Field(ge=-(1 << 63), lt=1 << 64)] | None = None
    n: Annotated[int, Field(ge=1, le=1 << 31)] | None = None
    stop: Stops = None
    ignore_eos: bool | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    # what changes no answer here
    user: str | None = None
    metadata: dict[str, str] | None = None
    store: Literal[False] | None = None
    service_tier: Literal["auto", "default"] | None = None
    safety_identifier: str | None = None
    prompt_cache_key: str | None = None


class TextPart(Document):
    """A part of a message."""

    type: Literal["text"]
    text: str


class PictureUrl(Document):
    """A picture in the request itself; ``detail`` changes nothing here."""

    url: str
    detail: Literal["auto", "low", "high"] | None = None


class PicturePart(Document):
    """A picture in a message."""

    type: Literal["image_url"]
    image_url: PictureUrl


class FunctionCall(Document):
    """What was called, in a message of the assistant."""

    name: str
    arguments: str


class ToolCall(Document):
    """A call in a message of the assistant."""

    id: str
    type: Literal["function"] = "function"
    function: FunctionCall


class Message(Document):
    """One message of a conversation."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Annotated[TextPart | PicturePart, Field(discriminator="type")]] | None = (
        None
    )
    name: str | None = None
    refusal: None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    tool_calls: list[ToolCall] | None = None
    tool_call_id: str | None = None


class JsonSchema(Document):
    """A schema with its name."""

    name: str
    json_schema: dict[str, Any] = Field(alias="schema")
    description: str | None = None
    strict: bool | None = None


class ResponseFormat(Document):
    """What an answer must look like."""

    type: Literal["text", "json_object", "json_schema"]
    json_schema: JsonSchema | None = None


class FunctionDefinition(Document):
    """A function that may be called."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class ToolDefinition(Document):
    """A tool that may be called."""

    type: Literal["function"]
    function: FunctionDefinition


class FunctionName(Document):
    """A function by its name."""

    name: str


class NamedTool(Document):
    """The one tool that must be called."""

    type: Literal["function"] = "function"
    function: FunctionName


class ChatDocument(SamplingDocument):
    """``POST /v1/chat/completions``."""

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    response_format: ResponseFormat | None = None
    tools: Annotated[list[ToolDefinition], Field(max_length=128)] | None = None
    tool_choice: Literal["none", "auto", "required"] | NamedTool | None = None
    parallel_tool_calls: bool | None = None
    modalities: list[Literal["text"]] | None = None


class CompletionDocument(SamplingDocument):
    """``POST /v1/completions``."""

    prompt: str | Annotated[list[str], Field(min_length=1)] | Ids | list[Ids]
    echo: bool | None = None
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    best_of: Count | None = None


class EmbeddingDocument(Document):
    """``POST /v1/embeddings``."""

    model: str
    input: str | Annotated[list[str], Field(min_length=1)] | Ids | list[Ids]
    encoding_format: Literal["float", "base64"] | None = None
    user: str | None = None


class DetokenizeDocument(Document):
    """``POST /detokenize``."""

    model: str | None = None
    tokens: Ids


class TokenizeDocument(Document):
    """``POST /tokenize``."""

    model: str | None = None
    prompt: str | None = None
    messages: list[Message] | None = None
    add_special_tokens: bool = True
