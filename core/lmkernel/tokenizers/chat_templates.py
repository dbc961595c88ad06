"""The chat templates of a model: the messages of a conversation as its text."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import TemplateError
from lmkernel.tokenizers.checks import check_messages, check_text
from lmkernel.tokenizers.contents import PARTS, TEXT, as_texts, with_reasoning, written_forms

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = ["DEFAULT", "ChatTemplates"]

DEFAULT, _TOOLS = "default", "tool_use"


@final
class ChatTemplates:
    """Templates by name; each is compiled when it is first used.

    Args:
        sources: by name; ``"default"`` is the usual one.
        special: what each role's special token is, such as ``"bos_token"``; templates name them.
        name: the folder or file that they were read from, which errors begin with.
    """

    def __init__(
        self, sources: Mapping[str, str], special: Mapping[str, str | None], name: str = ""
    ) -> None:
        self.sources = dict(sources)
        self._special = {role: token for role, token in special.items() if token is not None}
        self._name = name

    def render(
        self,
        messages: Sequence[Mapping[str, Any]],
        *,
        add_generation_prompt: bool = True,
        tools: Sequence[Mapping[str, Any]] | None = None,
    ) -> str:
        """See `Tokenizer.chat`."""
        check_messages(messages)
        name = _TOOLS if tools and _TOOLS in self.sources else DEFAULT
        if name not in self.sources:
            whose = f"{self._name}: the model" if self._name else "the model"
            raise TemplateError(
                f"{whose} has no chat template; use generate with plain text, or fine-tune it "
                "on conversations (or with --chat-template) to chat with it"
            )
        parted = any(isinstance(message.get("content"), list | tuple) for message in messages)
        if parted and self._forms(name) == {TEXT}:
            messages = as_texts(messages)
        text = self._text(name, messages, tools=tools, add_generation_prompt=add_generation_prompt)
        check_text(text)
        return text

    @property
    def writes_parts_alone(self) -> bool:
        """Whether the usual one writes a content that is parts, and none that is a text.

        Raises:
            TemplateError: it can't be read.
        """
        return self._forms(DEFAULT) == {PARTS}

    @functools.cache  # noqa: B019 - a tokenizer lives as long as its model, and has few templates
    def _forms(self, name: str) -> frozenset[str]:
        return written_forms(functools.partial(self._text, name))

    def _text(
        self,
        name: str,
        messages: Sequence[Mapping[str, Any]],
        *,
        tools: Sequence[Mapping[str, Any]] | None = None,
        add_generation_prompt: bool = True,
    ) -> str:
        return self._renderer(name)(
            messages=[
                with_reasoning({key: value for key, value in message.items() if value is not None})
                for message in messages
            ],
            tools=None if tools is None else [dict(tool) for tool in tools],
            documents=None,
            add_generation_prompt=add_generation_prompt,
            **self._special,
        )

    @functools.cache  # noqa: B019 - as above
    def _renderer(self, name: str) -> Callable[..., str]:
        from lmkernel.tokenizers.template import compile_template

        return compile_template(self.sources[name], self._name)

    def saved(self) -> dict[str, Any]:
        """The key of ``tokenizer_config.json`` that holds them, if there are any."""
        if not self.sources:
            return {}
        if set(self.sources) == {DEFAULT}:
            return {"chat_template": self.sources[DEFAULT]}
        named = [{"name": name, "template": text} for name, text in self.sources.items()]
        return {"chat_template": named}
