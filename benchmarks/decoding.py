"""The benchmark of decoding: tokens a second, prefill, and cold starts."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from subject import BACKENDS, OURS, Metric, Subject
from summary import agreement, answers

from processes import warm_files

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from contestants import Contestant
    from subject import Run

__all__ = ["METRICS", "Decoding", "pulled_model"]

SPEEDS = ("decode1", "decode8", "prefill")
COLD = "cold"
METRICS = (*SPEEDS, COLD)
MODEL = "smollm2-135m-instruct"
NEW_TOKENS = 32
BATCH = 8
PREFILL = 512
MESSAGE = "Tell me about the history of the printing press."
PROMPT = (504, 1463, 282, 260, 7510, 1757, 5634, 281, 260, 35561, 2070, 28, 645, 253, 4231, 45956)
"""16 ids, "The history of the printing press begins in the fifteenth century, when a goldsmith"."""


@final
class Decoding(Subject):
    """Greedy decoding of one checkpoint in float32."""

    title = "Benchmarks"
    command = "benchmarks/run.py"
    scripts = MappingProxyType({OURS: "lmk.py", "transformers": "hf.py", "kerashub": "kerashub.py"})
    variants = MappingProxyType(
        {
            OURS: BACKENDS,
            "transformers": ("generate", "loop", "static", "compiled"),
            "kerashub-tensorflow": ("default", "xla"),
            "kerashub-jax": ("default",),
        }
    )
    rivals = MappingProxyType(
        {
            "numpy": "transformers",
            "torch": "transformers",
            "tensorflow": "kerashub-tensorflow",
            "jax": "kerashub-jax",
        }
    )
    metrics = MappingProxyType(
        {
            "decode1": Metric("decode, batch 1", "tokens/s", is_speed=True, digits=1),
            "decode8": Metric("decode, batch 8", "tokens/s", is_speed=True, digits=1),
            "prefill": Metric("prefill of 512", "tokens/s", is_speed=True, digits=0),
            "cold_seconds": Metric("cold start to 32 tokens", "s", is_speed=False, digits=2),
            "cold_peak": Metric("its peak memory", "MiB", is_speed=False, digits=0),
        }
    )
    bars = MappingProxyType(
        {
            ("decode1", "numpy"): 2.0,
            ("decode1", "torch"): 1.5,
            ("decode1", "tensorflow"): 1.0,
            ("decode1", "jax"): 1.0,
            ("decode8", "torch"): 1.7,
            ("prefill", "torch"): 1.4,
            ("prefill", "numpy"): 0.8,
            ("cold_seconds", "numpy"): 0.45,
            ("cold_peak", "numpy"): 0.85,
        }
    )
    proof = (
        "same tokens",
        "“Same tokens” is the share of the tokens that are also the first row's",
    )
    repeats = 3

    def prepare(self, args: argparse.Namespace) -> None:
        """Find the model and bring its files into the page cache."""
        args.model = args.model or pulled_model(args.python_lmkernel)
        warm_files(Path(args.model))

    def task(self, one: Contestant, args: argparse.Namespace) -> dict[str, Any] | None:
        """The task that `workers/common.py` reads."""
        chosen = [name for name in SPEEDS if name in args.metrics]
        prompt = list(PROMPT)
        prompts = {
            "decode1": [prompt],
            "decode8": [prompt[row:] + prompt[:row] for row in range(BATCH)],
            "prefill": [prompt * (PREFILL // len(prompt))],
        }
        work = {"prompts": prompts, "new_tokens": NEW_TOKENS, "repeats": args.repeats}
        task = {"model": args.model, "variant": one.variant, "metrics": chosen, **work}
        return task if chosen else None

    def cold_command(self, one: Contestant, args: argparse.Namespace) -> list[str] | None:
        """Answer one message; the answer goes to standard output."""
        if COLD not in args.metrics:
            return None
        if one.name == "transformers generate":
            script = str(one.worker.with_name("hf_cold.py"))
            return [one.python, script, args.model, MESSAGE, str(NEW_TOKENS)]
        if one.group != OURS:
            return None
        chat = [one.python, "-m", "lmkernel.cli", "chat", "--model", args.model]
        options = ["--backend", one.variant, "--max-new-tokens", str(NEW_TOKENS)]
        return [*chat, *options, MESSAGE]

    def settings(self, args: argparse.Namespace) -> dict[str, Any]:
        """The model, the prompts and the counts."""
        return {
            "model": Path(args.model).name,
            "precision": "float32",
            "prompt": f"{len(PROMPT)} tokens",
            "new_tokens": NEW_TOKENS,
            "cache_capacity": len(PROMPT) + NEW_TOKENS,
            "prefill": f"{PREFILL} tokens, logits of the last",
        }

    def proof_cells(self, runs: Sequence[Run]) -> dict[str, str]:
        """The share of tokens that equal the first contestant's."""
        return {name: f"{share:.0%}" for name, share in agreement(runs).items()}

    def warnings(self, runs: Sequence[Run]) -> list[str]:
        """A warning where cold starts gave different answers."""
        texts = answers(runs)
        if len(texts) < 2:  # noqa: PLR2004 - one text has nothing to differ from
            return []
        groups = "; ".join(", ".join(names) for names in texts.values())
        return [f"**The cold starts gave different answers**: {groups}."]


def pulled_model(python: str) -> str:
    """Ask lmkernel where the model is, which pulls it if it is not there."""
    code = f"from lmkernel.sources import find_model; print(find_model({MODEL!r}))"
    done = subprocess.run(  # noqa: S603 - the interpreter that the user named, and our own line
        [python, "-c", code], check=True, stdout=subprocess.PIPE, text=True
    )
    return done.stdout.strip().splitlines()[-1]
