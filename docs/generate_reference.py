"""Writes docs/reference from the code: every hook, and every operation of the contract.

``python docs/generate_reference.py`` writes the pages; a test compares them with `pages`.
"""
# ruff: noqa: INP001 - a script, not a package

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import re
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any

from lmkernel.composed.table import COMPOSED
from lmkernel.contract.mandatory import MandatoryOps
from lmkernel.contract.optional import OptionalOps
from lmkernel.contract.version import CONTRACT_VERSION
from lmkernel.families.family import Family, find_family
from lmkernel.families.plugin import FAMILIES
from lmkernel.gguf.pre_tokenizers import PRE_TOKENIZERS
from lmkernel.plugins import hookspecs, specs
from lmkernel.plugins.registry import HOOKS

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["FOLDER", "definition", "pages", "prose", "signature"]

FOLDER = Path(__file__).parent / "reference"
FAMILY_TEXT = """\
The models that are read and written, by the `model_type` of their `config.json`. Each family is
tried beside transformers: a random checkpoint of transformers' own class, in which every option
shows, gives its logits and gradients within derived budgets, and what is written here opens there
with equal logits (`conformance/real/test_families.py`: representatives on every backend in `tox`,
all of them with `tox -m full`). Every key of transformers' configuration class is read with the
class's default, known to change nothing, or refused by name (`test_config_keys.py`). *New models*
can be described by sizes alone, for `lmkernel pretrain --family`; *GGUF* files of the others are
not read yet.

Three things that no list of keys shows. OPT's `word_embed_proj_dim` is refused unless it is the
`hidden_size`: OPT-350m is not read. And RoPE's `dynamic` scaling begins beyond
`max_position_embeddings`, as in transformers, which reads no `original_max_position_embeddings` for
it. A model's context ends there, too, and verbs refuse longer rows: it takes effect only where
`Model.forward` is given one. Falcon's biases by distance, where `alibi` is true, have the slopes of
the paper (arXiv:2108.12409, §3), as Bloom's do: transformers rounds them to bfloat16 in Falcon
alone, and adds the biases twice with `attn_implementation="eager"`.

A family of your own is a table in a plugin: [Write a plugin](../plugins.md)."""
GGUF_TEXT = """\
## Tokenizers of GGUF files

A file's own tokenizer is used: `tokenizer.ggml.model` is `llama` (sentencepiece) or `gpt2`
(byte-level BPE). `tokenizer.ggml.pre` names how the latter splits a text into words, which is done
as llama.cpp does, also where it simplifies a model's own expression; characters are composed for
`qwen2` and `qwen35`, as by their models' own tokenizers and not by llama.cpp. A file without the
key is read by `default`, with a warning; any other name is refused. White space after the special
tokens of Phi-3 is left out, as by its own tokenizer. Names that are read:"""
WIDTH = 96
"""Of a signature in one line."""
MADE = "<!-- Made by docs/generate_reference.py: change the code, and run it again. -->"
INTRODUCTION = """\
A plugin implements any of these functions, decorated with `lmkernel.plugins.hookimpl`, in the
module that its entry point in the group `lmkernel` names. [Write a plugin](../plugins.md) shows
how; `lmkernel new plugin NAME --hook HOOK` begins one."""
ARRAYS = """\
Shapes are in parentheses, and a *tree* is an array, or a dict, list or tuple of trees."""
MANDATORY = """\
Every backend writes these, in a subclass of `lmkernel.contract.mandatory.MandatoryOps`."""
OPTIONAL = """\
Each of these is composed from the mandatory tier unless a backend overrides it, in
`BackendParts.overrides`, by a function of the same signature."""


def pages() -> dict[str, str]:
    """All pages, by file name."""
    return {
        "families.md": families_page(),
        "hooks.md": hooks_page(),
        "operations.md": operations_page(),
    }


def families_page() -> str:
    """Each family: what it is, what its models are trained for, and what is refused."""
    head = (
        "| `model_type` | what it is | trained for | new models | GGUF | refused |",
        "|---|---|---|---|---|---|",
    )
    rows = [_family_row(name, load) for name, load in sorted(FAMILIES.items())]
    names = ", ".join(f"`{name}`" for name in sorted(PRE_TOKENIZERS))
    parts = [MADE, "# Families", FAMILY_TEXT, "\n".join([*head, *rows]), f"{GGUF_TEXT} {names}."]
    return "\n\n".join(parts) + "\n"


def _family_row(model_type: str, load: str) -> str:
    module, _, name = load.partition(":")
    found = importlib.import_module(module)
    family = getattr(found, name)()
    about = (found.__doc__ or "").splitlines()[0].rstrip(".").removeprefix("The ")
    made = "yes" if type(family).new is not Family.new else "–"
    gguf = "yes" if family.gguf() is not None else "–"
    refused = family.keys.refused if family.keys is not None else {}
    keys = ", ".join(f"`{key}` unless {value!r}" for key, value in sorted(refused.items()))
    objectives = ", ".join(f"`{objective}`" for objective in find_family(model_type, load).heads())
    return f"| `{model_type}` | {about} | {objectives or '–'} | {made} | {gguf} | {keys or '–'} |"


def hooks_page() -> str:
    """Each hook, and the fields of what it returns."""
    parts = [MADE, "# Hooks", INTRODUCTION]
    for name, function in vars(hookspecs).items():
        if name.startswith("lmkernel_register_"):
            parts += [f"## {name}", *_hook(function)]
    return "\n\n".join(parts) + "\n"


def _hook(function: Any) -> Iterator[str]:
    yield f"```python\n{signature(definition(function))}\n```"
    yield prose(inspect.cleandoc(function.__doc__))
    [spec] = [kind for kind, hook in HOOKS.items() if hook == function.__name__]
    yield f"`{spec.__name__}`: {prose(_summary(spec))}"
    yield "\n".join(["| field | type | default | meaning |", "|---|---|---|---|", *_fields(spec)])


def _fields(spec: Any) -> Iterator[str]:
    meanings = _meanings(specs.Spec) | _meanings(spec)
    for field in dataclasses.fields(spec):
        kind, meaning = str(field.type).replace("|", r"\|"), meanings.get(field.name)
        told = f" {prose(meaning)}" if meaning else ""
        yield f"| `{field.name}` | `{kind}` | {_default(field)} |{told} |"


def _default(field: dataclasses.Field[Any]) -> str:
    if field.default is not dataclasses.MISSING:
        return f"`{field.default!r}`"
    if field.default_factory is not dataclasses.MISSING:
        return f"`{field.default_factory()!r}`"
    return "required"


def _summary(spec: Any) -> str:
    return inspect.cleandoc(spec.__doc__).partition("\n\n")[0]


def _meanings(spec: Any) -> dict[str, str]:
    """What the section ``Args:`` of a docstring says of each field."""
    _, _, section = inspect.cleandoc(spec.__doc__).partition("Args:\n")
    entries = re.split(r"^    (\w+): ", section, flags=re.MULTILINE)[1:]
    return {n: " ".join(text.split()) for n, text in zip(entries[::2], entries[1::2], strict=True)}


def operations_page() -> str:
    """Each operation of both tiers."""
    parts = [MADE, "# Operations", f"Contract {CONTRACT_VERSION}. {ARRAYS}"]
    parts += ["## The mandatory tier", MANDATORY, _rules("mandatory"), *_tier(MandatoryOps)]
    parts += ["## The optional tier", OPTIONAL, _rules("optional"), *_tier(OptionalOps)]
    return "\n\n".join(parts) + "\n"


def _rules(module: str) -> str:
    """The constraints in the docstring of a module of the contract."""
    doc = importlib.import_module(f"lmkernel.contract.{module}").__doc__ or ""
    rules = inspect.cleandoc(doc).partition("Constraints: ")[2]
    return prose(rules[:1].upper() + rules[1:])


def _tier(contract: type) -> Iterator[str]:
    for section, name in _operations(contract):
        if section:
            yield f"### {section[0].upper()}{section[1:]}"
        operation = getattr(contract, name)
        yield f"#### `{name}`"
        yield f"```python\n{signature(definition(operation))}\n```"
        yield prose(inspect.cleandoc(operation.__doc__))
        yield f"*{_standing(contract, name)}*"


def _standing(contract: type, name: str) -> str:
    """The tier, and where the default is."""
    if contract is MandatoryOps:
        return "Mandatory; there is no default."
    default = COMPOSED.get(name)
    if default is None:
        return "Optional; there is no default."
    return f"Optional; composed by `{default.__module__}.{name}`."


def _operations(contract: type) -> Iterator[tuple[str, str]]:
    """Each operation that a class declares itself, with the section that begins at it, or ""."""
    section = ""
    for line in inspect.getsource(contract).splitlines():
        if found := re.match(r"    # (.+)$", line):
            section = found[1]
        elif found := re.match(r"    def (\w+)\(", line):
            yield section, found[1]
            section = ""


def definition(function: Any) -> ast.FunctionDef:
    """The source of a function, parsed."""
    [found] = ast.parse(dedent(inspect.getsource(function))).body
    if not isinstance(found, ast.FunctionDef):
        raise TypeError(f"expected a function, got {found}")
    return found


def signature(function: ast.FunctionDef) -> str:
    """As it is called, without ``self``; one argument a line where it would be too wide."""
    arguments = function.args
    arguments.args = [a for a in arguments.args if a.arg != "self"]
    returned = ast.unparse(function.returns) if function.returns else "None"
    listed = ast.unparse(arguments).replace("=", " = ")
    whole = f"{function.name}({listed}) -> {returned}"
    if len(whole) <= WIDTH:
        return whole
    parts = re.split(r", (?![^\[]*\])", listed)  # at the commas outside brackets
    inside = "".join(f"    {part},\n" for part in parts)
    return f"{function.name}(\n{inside}) -> {returned}"


def prose(text: str) -> str:
    """Docstring to Markdown: double backquotes are single there, single ones are names as well."""
    text = re.sub(r"``([^`]+)``", r"`\1`", text)
    text = re.sub(r"^(Args|Returns|Raises):$", r"*\1*\n", text, flags=re.MULTILINE)
    text = re.sub(r"^    (\S)", r"- \1", text, flags=re.MULTILINE)
    return re.sub(r"^ {8}(\S)", r"  \1", text, flags=re.MULTILINE)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        (FOLDER / name).write_text(text, "utf-8")
