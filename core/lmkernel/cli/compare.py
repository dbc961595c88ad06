"""``lmkernel compare``: one checkpoint on several backends, judged against float64.

With ``--layers`` it is the hidden vectors that are compared, place by place.
"""

from __future__ import annotations

import dataclasses
import json
import sys
from typing import TYPE_CHECKING, final

from lmkernel.cli.command import Command
from lmkernel.cli.style import columns, paint
from lmkernel.errors import InputError
from lmkernel.plugins.registry import DEFAULT_BACKEND

if TYPE_CHECKING:
    import argparse

    from lmkernel.comparison import Comparison, Decoded
    from lmkernel.sources import Progress

__all__ = ["Compare"]


@final
class Compare(Command):
    """A row for each backend; exit code 1 if one is neither equal nor tied."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model, the backends and the prompts."""
        parser.add_argument("model", metavar="MODEL", help="a name, a folder or a GGUF file")
        parser.add_argument("--backends", required=True, metavar="A,B,…", help="names, by commas")
        parser.add_argument(
            "--prompt", action="append", metavar="P", help="repeatable; default: twenty fixed ones"
        )
        parser.add_argument(
            "--max-new-tokens", type=int, default=64, metavar="N", help="default 64"
        )
        parser.add_argument("--dtype", metavar="NAME", help="of the backends; default float32")
        parser.add_argument(
            "--layers", action="store_true", help="where in the model backends part first"
        )
        parser.add_argument("--json", action="store_true", help="print one object")

    def run(self, args: argparse.Namespace) -> int:
        """Decode greedily everywhere, or go through the layers, and judge."""
        from lmkernel.sources import Progress, find_model

        names = [name.strip() for name in args.backends.split(",") if name.strip()]
        if not names or args.max_new_tokens < 1:
            raise InputError("expected names in --backends and at least 1 in --max-new-tokens")
        for name in names:
            self.registry.select_backend(name)
        progress = Progress(sys.stderr)
        path = str(find_model(args.model, registry=self.registry, progress=progress))
        if args.layers:
            from lmkernel.cli.compare_layers import compare_layers

            return compare_layers(args, names, path, self.registry, progress)
        return self._decode(args, names, path, progress)

    def _decode(
        self, args: argparse.Namespace, names: list[str], path: str, progress: Progress
    ) -> int:
        from lmkernel.comparison.prompts import PROMPTS
        from lmkernel.comparison.verdict import budget, compare, largest_error

        texts = tuple(args.prompt or PROMPTS)
        runs = _Runs(self, path, texts, args.max_new_tokens, progress)
        reference = runs.decode(DEFAULT_BACKEND, "float64")
        follow = [answer.tokens for answer in reference]
        honest = runs.decode(DEFAULT_BACKEND, "float32", follow)
        dtype = args.dtype or "float32"
        allowed = budget(largest_error(honest, reference), reference, dtype)
        verdicts = [compare(name, runs.decode(name, dtype), reference, allowed) for name in names]
        if args.json:
            tokens = [list(answer.tokens) for answer in reference]
            print(json.dumps(_json(args.model, texts, runs.prompts, tokens, verdicts)))
        else:
            print(_text(verdicts, texts))
        return int(not all(verdict.passed for verdict in verdicts))


@final
class _Runs:
    """Decodes the prompts on one backend after the other; only one model is in memory at a time."""

    def __init__(
        self, command: Compare, path: str, texts: tuple[str, ...], steps: int, progress: Progress
    ) -> None:
        self._registry = command.registry
        self._path = path
        self._texts = texts
        self._steps = steps
        self._progress = progress
        self.prompts: list[list[int]] = []

    def decode(
        self, backend: str, dtype: str, follow: list[tuple[int, ...]] | None = None
    ) -> list[Decoded]:
        from lmkernel.comparison.greedy import decode_greedily
        from lmkernel.comparison.prompts import prompt_ids
        from lmkernel.loading import load_model

        loaded = load_model(self._path, backend=backend, dtype=dtype, registry=self._registry)
        if not self.prompts:
            self.prompts = [prompt_ids(loaded.tokenizer, text) for text in self._texts]
        forced = follow or [()] * len(self.prompts)
        with self._progress.bar(f"{backend}, {dtype}", len(self.prompts), "prompt") as advance:
            answers = []
            for prompt, path in zip(self.prompts, forced, strict=True):
                answers.append(decode_greedily(loaded, prompt, self._steps, follow=path))
                advance(1)
        return answers


def _text(verdicts: list[Comparison], texts: tuple[str, ...]) -> str:
    rows = [("BACKEND", "TOKENS", "LARGEST LOGIT ERROR", "BUDGET", "TOKENS/S", "VERDICT")]
    for v in verdicts:
        equal = f"{v.prompts - len(v.partings)}/{v.prompts} equal"
        verdict = (
            paint("ok", "green", sys.stdout) if v.passed else paint("differs", "red", sys.stdout)
        )
        speed = f"{v.tokens_per_second:.1f}"
        rows.append((v.backend, equal, f"{v.error:.2e}", f"{v.budget:.2e}", speed, verdict))
    lines = [columns(rows), "errors are against the float64 reference on the default backend"]
    for v in verdicts:
        for p in v.partings:
            what = "a tie" if p.tie else "NOT a tie"
            lines.append(
                f"{v.backend}: prompt {p.prompt + 1} ({texts[p.prompt][:40]!r}) parts at token "
                f"{p.step + 1}: expected {p.expected}, got {p.got}; their logits are {p.gap:.2e} "
                f"apart: {what}"
            )
    return "\n".join(lines)


def _json(
    model: str,
    texts: tuple[str, ...],
    prompts: list[list[int]],
    tokens: list[list[int]],
    verdicts: list[Comparison],
) -> dict[str, object]:
    answers = [
        {"prompt": text, "prompt_tokens": ids, "tokens": out}
        for text, ids, out in zip(texts, prompts, tokens, strict=True)
    ]
    rows = [{**dataclasses.asdict(v), "passed": v.passed} for v in verdicts]
    return {"model": model, "reference": answers, "backends": rows}
