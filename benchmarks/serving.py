"""The benchmark of servers: tokens a second for one client and for sixteen at once."""

from __future__ import annotations

from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from decoding import pulled_model
from subject import BACKENDS, OURS, Metric, Subject
from summary import same_texts

from processes import warm_files

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    from contestants import Contestant
    from subject import Run

__all__ = ["Serving"]

CLIENTS = 16
NEW_TOKENS = 64
GAIN = 4.0
"""How many times one client's tokens sixteen are to get from a server that batches."""
TOPICS = (
    *("the printing press", "bridges", "the moon", "salt", "glass", "maps", "rivers", "clocks"),
    *("paper", "bees", "the telescope", "bread", "lighthouses", "chess", "tea", "volcanoes"),
)


@final
class Serving(Subject):
    """Chat completions of one checkpoint, greedy, through OpenAI's interface."""

    title = "Serving benchmark"
    command = "benchmarks/run.py serve"
    scripts = MappingProxyType({OURS: "serve.py", "server": "serve.py"})
    variants = MappingProxyType(
        {OURS: BACKENDS, "server": ("transformers", "transformers-batching", "llama-cpp")}
    )
    rivals = MappingProxyType(dict.fromkeys(BACKENDS, "server"))
    metrics = MappingProxyType(
        {
            "one": Metric("one client", "tokens/s", is_speed=True, digits=1),
            "many": Metric(f"{CLIENTS} clients", "tokens/s", is_speed=True, digits=1),
            "wait": Metric(f"an answer beside {CLIENTS - 1} others", "s", is_speed=False, digits=2),
        }
    )
    bars = MappingProxyType({("many", "torch"): 1.0})
    proof = (
        "same answers",
        "“Same answers” is the share of the answers that are also the first row's",
    )
    repeats = 4

    def prepare(self, args: argparse.Namespace) -> None:
        """Find the model and bring its files into the page cache; llama.cpp needs a file to run."""
        args.model = args.model or pulled_model(args.python_lmkernel)
        warm_files(Path(args.model))
        if args.gguf is None:
            args.skip = [*args.skip, "server llama-cpp"]

    def task(self, one: Contestant, args: argparse.Namespace) -> dict[str, Any] | None:
        """The task that `workers/serve.py` reads; llama.cpp is given the file that it can read."""
        model = args.gguf if one.variant == "llama-cpp" else args.model
        questions = [f"Tell me about the history of {topic}." for topic in TOPICS]
        return {
            "model": str(model),
            "group": one.group,
            "variant": one.variant,
            "questions": questions[:CLIENTS],
            "new_tokens": NEW_TOKENS,
            "repeats": args.repeats,
        }

    def cold_command(self, one: Contestant, args: argparse.Namespace) -> list[str] | None:
        """Not measured."""
        del one, args
        return None

    def settings(self, args: argparse.Namespace) -> dict[str, Any]:
        """The model, the questions and the counts."""
        return {
            "model": Path(args.model).name,
            "precision": "float32; llama.cpp: that of its file",
            "file of llama.cpp": args.gguf.name if args.gguf else "none, so it was left out",
            "questions": f"{CLIENTS}, a chat's first",
            "new_tokens": f"at most {NEW_TOKENS}",
        }

    def proof_cells(self, runs: Sequence[Run]) -> dict[str, str]:
        """The share of answers that equal the first contestant's."""
        return {name: f"{share:.0%}" for name, share in same_texts(runs).items()}

    def warnings(self, runs: Sequence[Run]) -> list[str]:
        """What sixteen clients get of each server of ours, beside one."""
        found: dict[str, list[float]] = {}
        for run in runs:
            if run["contestant"].startswith(f"{OURS} ") and "median" in run:
                found.setdefault(run["contestant"], []).append(
                    run["median"]["many"] / run["median"]["one"]
                )
        gains = {name: sorted(own)[len(own) // 2] for name, own in found.items()}
        said = ", ".join(f"{name} {gain:.1f}" for name, gain in gains.items())
        few = [name for name, gain in gains.items() if gain < GAIN]
        lines = [f"{CLIENTS} clients together get so many times one client's tokens: {said}."]
        if few:
            lines.append(f"**Below {GAIN:g} times**: {', '.join(few)}.")
        return lines if gains else []
