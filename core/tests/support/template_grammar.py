"""Whole chat templates from a grammar of what published ones are made of, by a seed.

Each is a program for a conversation: how the system's words are found, how turns are checked and
marked, how reasoning, tools, calls, answers and documents are written, and what begins the answer.
The pieces, which are in a file beside this one, and their spelling (marks that strip blanks,
attributes or items) are drawn.
"""

from __future__ import annotations

import random
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["whole_template"]

PIECES: Mapping[str, Sequence[Any]] = MappingProxyType(
    tomllib.loads(Path(__file__).with_suffix(".toml").read_text("utf-8"))
)


@dataclass(frozen=True)
class Spelling:
    """How a template is spelt: the same program in other characters."""

    draw: random.Random

    def of(self, source: str) -> str:
        source = re.sub(r"(\{%|\{\{)-?|-?(%\}|\}\})", self._mark, source)
        if self.draw.random() < 0.3:
            source = re.sub(r"%\}(?=\{%)", "%}\n", source)
        if self.draw.random() < 0.3:
            source = re.sub(r"\bm\.(role|content|name)\b", r"m['\1']", source)
        return source

    def _mark(self, found: re.Match[str]) -> str:
        text = found[0]
        if "-" in text or self.draw.random() < 0.75:
            return text
        return text + "-" if text[0] == "{" else "-" + text


def whole_template(seed: int) -> str:
    """One template; the same for the same seed, always."""
    draw = random.Random(f"template {seed}")  # noqa: S311 - a test's seed

    def take(kind: str) -> Any:
        return draw.choice(PIECES[kind])

    before, after, prompt = take("marks")
    head, tail = (repr(part).replace("{role}", "' ~ role ~ '") for part in (before, after))
    start = f"{{%- macro start(role) -%}}{{{{- {head} -}}}}{{%- endmacro -%}}"
    show = (
        "{%- macro show(content) -%}{{- content if content is string else content | tojson -}}"
        "{%- endmacro -%}"
    )
    setting = f"{{% set stop = {tail} %}}{{% set prompt = {prompt!r} %}}"
    own = f"{{{{ start('user') }}}}{take('contents')}{{{{ stop }}}}"
    answer = f"{take('reasoning')}{{{{ start('assistant') }}}}{take('contents')}{take('calls')}"
    answer += draw.choice(
        ("{{ stop }}", "{{ eos_token }}", "{% if not loop.last %}{{ stop }}{% endif %}")
    )
    if draw.random() < 0.2:
        answer = f"{{% generation %}}{answer}{{% endgeneration %}}"
    body = (
        f"{take('checks')}{{% if m.role == 'user' %}}{own}"
        f"{{% elif m.role == 'assistant' %}}{answer}{take('answers')}{{% endif %}}"
    )
    parts = [
        draw.choice(("{{ bos_token }}", "", "{{- bos_token or '' -}}")),
        take("system"),
        take("last"),
        take("shown_system"),
        take("tools"),
        take("documents"),
        f"{{% for m in rest %}}{body}{{% endfor %}}",
        take("ends"),
    ]
    return start + show + Spelling(draw).of(setting + "".join(parts))
