"""The public API: what it consists of, and its surface, one line a name.

``docs/api/VERSION.txt`` keeps the surface of each minor version of the package, as
``docs/contract/`` does for plugins. ``python docs/api_surface.py`` writes the newest.
"""
# ruff: noqa: INP001 - a script, not a package

from __future__ import annotations

import ast
import importlib
import inspect
import re
from dataclasses import is_dataclass
from pathlib import Path
from textwrap import dedent
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, is_typeddict

import contract_surface

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

__all__ = [
    "FOLDER",
    "GROUPS",
    "OLDER",
    "VERSION",
    "attributes",
    "broken_promises",
    "named",
    "surface",
]

FOLDER = Path(__file__).parent / "api"
VERSION = "0.2"
"""The minor version of the package that is being written."""
FORMER = "Former names"
GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "Run a model": (
            "lmkernel:load",
            "lmkernel:LanguageModel",
            "lmkernel:TextGeneration",
            "lmkernel:GenerationOptions",
            "lmkernel.tool_calling:ToolAnswer",
            "lmkernel.generation:GenerationChanges",
            "lmkernel:LogProbs",
            "lmkernel.tokenizers.tokenizer:Tokenizer",
            "lmkernel:Description",
        ),
        "Models and backends": (
            "lmkernel:models",
            "lmkernel:ModelList",
            "lmkernel:pull",
            "lmkernel:export",
            "lmkernel:backends",
            "lmkernel:BackendList",
        ),
        "Compare and certify": (
            "lmkernel:compare",
            "lmkernel:Comparison",
            "lmkernel.comparison.verdict:BackendVerdict",
            "lmkernel.comparison.verdict:Parting",
            "lmkernel:compare_layers",
            "lmkernel:LayerComparison",
            "lmkernel.comparison.layers:Deviation",
            "lmkernel:bench",
            "lmkernel:Benchmark",
            "lmkernel.benchmark.speed:Speed",
            "lmkernel:certify",
            "lmkernel_conformance.verb:certify",
            "lmkernel_conformance.verb:Certificate",
        ),
        "Verify what others wrote": (
            "lmkernel:verify",
            "lmkernel:Verification",
            "lmkernel:twin",
            "lmkernel:Twin",
        ),
        "Train and evaluate": (
            "lmkernel:pretrain",
            "lmkernel:finetune",
            "lmkernel:resume",
            "lmkernel:plan",
            "lmkernel:Plan",
            "lmkernel.training.planning.costs:Held",
            "lmkernel.training.planning.costs:Sent",
            "lmkernel.training.planning.hardware:Hardware",
            "lmkernel.training.run.keywords:RunKeywords",
            "lmkernel.training.run.settings:RunSettings",
            "lmkernel.training.run.settings:ModelSettings",
            "lmkernel.training.run.settings:DataSettings",
            "lmkernel.training.run.settings:StepSettings",
            "lmkernel.training.config:OptimizerConfig",
            "lmkernel.training.config:ScheduleConfig",
            "lmkernel.training.config:LoraConfig",
            "lmkernel:TrainingRun",
            "lmkernel:evaluate",
            "lmkernel:Evaluation",
            "lmkernel:quantize",
            "lmkernel:Quantization",
        ),
        "Tasks": (
            "lmkernel:classify",
            "lmkernel:Classifications",
            "lmkernel:Classification",
            "lmkernel:tag",
            "lmkernel.tasks:Taggings",
            "lmkernel.tasks:Tagging",
            "lmkernel.tasks:Tagged",
            "lmkernel:fill",
            "lmkernel.tasks:Fillings",
            "lmkernel.tasks:Filling",
            "lmkernel.tasks:Guess",
            "lmkernel:answer",
            "lmkernel.tasks:Answers",
            "lmkernel.tasks:Answer",
            "lmkernel:rerank",
            "lmkernel.tasks:Rankings",
            "lmkernel.tasks:Ranking",
            "lmkernel.tasks:Ranked",
            "lmkernel:perplexity",
            "lmkernel.tasks:Perplexities",
            "lmkernel.tasks:Perplexity",
            "lmkernel:translate",
            "lmkernel:summarize",
            "lmkernel:Rewritings",
            "lmkernel:Rewriting",
            "lmkernel:transcribe",
            "lmkernel:Transcript",
            "lmkernel.speech.outcome:Segment",
            "lmkernel.speech.outcome:Attempt",
            "lmkernel:Sound",
            "lmkernel.speech.options:SpeechOptions",
            "lmkernel:caption",
            "lmkernel:Captions",
            "lmkernel:Caption",
        ),
        "What all results have": ("lmkernel.results:Result",),
        "Your own composition": (
            "lmkernel:load_backend",
            "lmkernel:Backend",
            "lmkernel:Model",
        ),
        "Errors": (
            "lmkernel:LmkernelError",
            *(
                f"lmkernel.errors:{name}"
                for name in importlib.import_module("lmkernel.errors").__all__
                if name != "LmkernelError"
            ),
        ),
        FORMER: ("lmkernel:load_model",),
    }
)
"""Everything that is promised, as ``module:name``, in the order of the page."""
OLDER = frozenset(
    {
        "lmkernel.Backend",
        "lmkernel.GenerationOptions",
        "lmkernel.LanguageModel",
        "lmkernel.LmkernelError",
        "lmkernel.Model",
        "lmkernel.load_backend",
        "lmkernel.load_model",
    }
)
"""What was there in 0.1, which kept no file of its surface."""
_FROM = ("lmkernel", "lmkernel.errors", "lmkernel_conformance.verb")
"""Where users import from; other classes are what a verb returns, wherever they are defined."""
_INSIDE = frozenset(
    {
        "Certificate.text",
        "Evaluation.text",
        "LayerComparison.limits",
        "Result.text",
        "TrainingRun.outcome",
        "TrainingRun.text",
        "lmkernel.GenerationOptions.end_ids",
        "lmkernel.GenerationOptions.stop_strings",
        "lmkernel.LanguageModel.files",
        "lmkernel.LanguageModel.origin",
        "lmkernel.TextGeneration.close",
        "lmkernel.TextGeneration.push",
    }
)
"""What the library's own parts call, and nobody else is promised."""
_CALLED = ("lmkernel.GenerationOptions", "lmkernel.Model")
"""Classes that users make themselves, so that a further required field would break them."""
_DEPRECATED = " [deprecated]"


def named() -> Iterator[tuple[str, str, Any]]:
    """Each name with its group, as it is spelt in the surface, and what it stands for."""
    for group, addresses in GROUPS.items():
        for address in addresses:
            module, _, name = address.partition(":")
            path = f"{module}.{name}" if module in _FROM else name
            yield group, path, getattr(importlib.import_module(module), name)


def surface() -> list[str]:
    """A line for each name, in the order of the alphabet."""
    lines: set[str] = set()
    for group, path, value in named():
        mark = _DEPRECATED if group == FORMER else ""
        lines.update(line + mark for line in _lines(path, value))
    return sorted(lines)


def _lines(path: str, value: Any) -> Iterator[str]:
    for line in contract_surface.member_lines(path, value):
        if promised(_name(line)):
            yield _as_users_see_it(line, required=path in _CALLED)
    if is_typeddict(value):
        yield from (f"{path}.{n}: {_written(t)}" for n, t in value.__annotations__.items())
    elif inspect.isclass(value):
        if path in _CALLED and not is_dataclass(value):
            yield from contract_surface.member_lines(f"{path}.__init__", vars(value)["__init__"])
        yield from (f"{path}.{name}" for name in attributes(value) if promised(f"{path}.{name}"))


def _as_users_see_it(line: str, *, required: bool) -> str:
    line = re.sub(r"<function (\w+) at \w+>", r"\1", line)
    line = line.replace("(model: LanguageModel, ", "(self, ")
    return line if required else re.sub(r" \[(required|abstract)\]$", "", line)


def promised(path: str) -> bool:
    """Whether a member is promised to users."""
    return path not in _INSIDE and not path.endswith("rows_in_colour")


def _written(kind: Any) -> str:
    return str(getattr(kind, "__forward_arg__", kind))


def attributes(value: type) -> list[str]:
    """The public attributes that the constructor of a class sets."""
    if "__init__" not in vars(value) or is_dataclass(value):
        return []
    body = ast.parse(dedent(inspect.getsource(vars(value)["__init__"])))
    found = [
        node.attr
        for node in ast.walk(body)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and not node.attr.startswith("_")
    ]
    return list(dict.fromkeys(found))


def broken_promises(old: Sequence[str], new: Sequence[str]) -> list[str]:
    """What a minor version must not do: remove or change a line that was not deprecated.

    A function may take further keywords that have defaults.
    """
    kept = [line.removesuffix(_DEPRECATED) for line in new]
    now = {_name(line): line for line in kept}
    due = [
        line
        for line in old
        if not line.endswith(_DEPRECATED) and not _takes_more(line, now.get(_name(line), ""))
    ]
    return contract_surface.broken_promises(due, kept)


def _name(line: str) -> str:
    return re.split(r"[(:=]", line, maxsplit=1)[0].strip()


def _takes_more(old: str, new: str) -> bool:
    """Whether two lines are signatures, and the new one is the old with further keywords."""
    before, after = _keywords(old), _keywords(new)
    if before is None or after is None or before[0] != after[0]:
        return False
    more = {name: known for name, known in after[1].items() if name not in before[1]}
    same = all(after[1].get(name) == known for name, known in before[1].items())
    return same and all(default is not None for _, default in more.values())


def _keywords(line: str) -> tuple[str, dict[str, tuple[str, str | None]]] | None:
    """A signature without its keywords, and these with their annotation and default."""
    try:
        [function] = ast.parse(f"def f{line[len(_name(line)) :]}: ...").body
    except SyntaxError:
        return None
    if not isinstance(function, ast.FunctionDef):
        return None
    args = function.args
    pairs = zip(args.kwonlyargs, args.kw_defaults, strict=True)
    keywords = {a.arg: (ast.unparse(a), d and ast.unparse(d)) for a, d in pairs}
    args.kwonlyargs, args.kw_defaults = [], []
    return ast.unparse(function), keywords


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    (FOLDER / f"{VERSION}.txt").write_text("\n".join(surface()) + "\n", "utf-8")
