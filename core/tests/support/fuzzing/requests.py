"""What a program may pass to a loaded model, and the templates that a chat is rendered by."""

from __future__ import annotations

import functools
import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hostile_templates import H1, H2, H3

from fuzzing.blobs import change_text
from fuzzing.formats import Format
from fuzzing.models import load, write_model
from fuzzing.trees import change_tree, dump, hostile
from lmkernel.tokenizers.template import budget, compile_template

if TYPE_CHECKING:
    import random

    from lmkernel.language_model import LanguageModel

__all__ = ["FORMATS"]

SHAPES = Path(__file__).parents[4] / "conformance" / "real" / "chat_templates"
MESSAGES = [
    {"role": "system", "content": "Be brief."},
    {"role": "user", "content": "a b"},
    {"role": "assistant", "content": "c", "tool_calls": [{"function": {"name": "f"}}]},
]
TOOLS = [{"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}]
SHORT = {"max_new_tokens": 2}
REQUESTS: tuple[list[Any], ...] = (
    ["logits", [[1, 2, 3]], {}],
    ["logits", [[[1, 2], [3, 4]]], {}],
    ["logits", [{"@array": [1, 2], "dtype": "int64"}], {}],
    ["logits", ["a b"], {}],
    ["log_probs", ["a b", "c"], {}],
    ["log_probs", [[1, 2], [3]], {}],
    ["hidden_states", [[1, 2, 3]], {"layers": [0, -1]}],
    ["attention_weights", [[1, 2, 3]], {"layers": 0}],
    ["embed", [["a", "b c"]], {"pooling": "mean", "normalize": True, "batch": 1}],
    ["generate", ["a b"], {**SHORT, "temperature": 0.8, "seed": 3, "top_k": 5, "top_p": 0.9}],
    ["generate", [[1, 2]], {**SHORT, "stop_strings": ["x"], "repetition_penalty": 1.1}],
    ["generate_batch", [["a", "b c"]], {**SHORT, "min_p": 0.1}],
    ["generate_tokens", [[[1, 2], [3]]], SHORT],
    ["chat", [MESSAGES], SHORT],
    ["chat", ["a question"], SHORT],
    ["token_ids", ["a b"], {"special_tokens": False}],
    ["decode", [[1, 2, 3]], {}],
)
MOST_TOKENS = 4


@functools.cache
def model_of(folder: Path) -> LanguageModel:
    return load(folder)


def write_request(folder: Path) -> None:
    write_model(folder)
    (folder / "request.json").write_text(json.dumps(REQUESTS))


def change_request(draw: random.Random, path: Path) -> bytes:
    """One request with changed arguments."""
    method, arguments, named = draw.choice(json.loads(path.read_text()))
    changed = change_tree(draw, [arguments, named])
    if draw.random() < 0.1:
        changed = [[hostile(draw)], named]
    return dump([method, changed])


def use_request(folder: Path) -> object:
    """Call the method; what is not JSON after all is no request."""
    try:
        method, (arguments, named) = json.loads((folder / "request.json").read_bytes())
        arguments, named = revive(arguments), revive(named)
    except (ValueError, TypeError, OverflowError, AttributeError, RecursionError):
        return None
    if not isinstance(arguments, list) or not isinstance(named, dict):
        return None
    longest = named.get("max_new_tokens", 0)
    if isinstance(longest, (int, float)) and not isinstance(longest, bool):
        named["max_new_tokens"] = min(longest, MOST_TOKENS) if longest else longest
    if method not in {"generate", "generate_batch", "generate_tokens", "chat"}:
        named.pop("max_new_tokens", None)
    call = getattr(model_of(folder), method)
    try:
        inspect.signature(call).bind(*arguments, **named)
    except TypeError:
        return None  # Python itself says so
    result = call(*arguments, **named)
    return list(result) if method == "generate_tokens" else str(result)


def revive(value: Any) -> Any:
    """Arrays and bytes in place of the objects that describe them."""
    if isinstance(value, dict) and "@array" in value:
        return np.array(value["@array"], value.get("dtype"))
    if isinstance(value, dict):
        return {key: revive(one) for key, one in value.items()}
    return [revive(one) for one in value] if isinstance(value, list) else value


def write_templates(folder: Path) -> None:
    for path in SHAPES.glob("*.jinja"):
        (folder / path.name).write_bytes(path.read_bytes())
    for name, source in {**H1, **H2, **H3}.items():
        (folder / f"hostile {name.replace('/', '')}.jinja").write_text(source)


def change_template(draw: random.Random, path: Path) -> bytes:
    """Any of the templates, or two of them joined, with changes."""
    sources = sorted(path.parent.glob("*.jinja"))
    text = draw.choice(sources).read_text("utf-8")
    if draw.random() < 0.3:
        other = draw.choice(sources).read_text("utf-8")
        text = text[: draw.randrange(len(text) + 1)] + other[draw.randrange(len(other) + 1) :]
    return change_text(draw, text)


def use_template(folder: Path) -> object:
    """With a hundredth of the usual steps and seconds, so that thousands can be rendered."""
    budget.MAX_STEPS, budget.MAX_SECONDS = 20_000, 1.0
    path = folder / "chatml.jinja"
    try:
        source = path.read_text("utf-8")
    except UnicodeDecodeError:
        return None
    render = compile_template(source, str(folder))
    return [
        render(messages=MESSAGES, tools=tools, add_generation_prompt=True)
        for tools in (None, TOOLS)
    ]


FORMATS = (
    Format("requests", write_request, ("request.json",), use_request, change_request, named=False),
    Format("templates", write_templates, ("chatml.jinja",), use_template, change_template),
)
