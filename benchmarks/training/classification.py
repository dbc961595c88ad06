"""Train a small BERT on the examples of `wordnet.py`, with several seeds.

For each seed: `lmkernel pretrain --family bert --objective masked` on the glosses outside the test
set, `lmkernel finetune --objective classification`, which chooses its best checkpoint on a tenth of
the training set, and `lmkernel evaluate` on the test set. The last row is the majority class.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from pathlib import Path
from typing import Any

from harness import evaluate, lmkernel, say

from lmkernel.results import columns

SIZES = ("--width", 128, "--layers", 3, "--heads", 4, "--context", 64, "--vocab", 4096)


def main() -> None:
    """Train and test with each seed, print."""
    args = _parser().parse_args()
    seeds = [int(text) for text in args.seeds.split(",")]
    results = {seed: train_and_test(args, seed) for seed in seeds}
    rows = [["seed", "accuracy", "macro F1", "loss"]]
    rows += [
        [str(seed), *(f"{r[name]:.4f}" for name in ("accuracy", "f1", "loss"))]
        for seed, r in results.items()
    ]
    rows += [["majority", *(f"{x:.4f}" for x in majority(args.data / "test.jsonl"))]]
    say(columns(rows))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("data", type=Path, help="the folder that wordnet.py wrote")
    add("out", type=Path, help="a new folder for the runs")
    add("--backend", default="numpy", help="default %(default)s")
    add("--seeds", default="0,1,2", help="default %(default)s")
    add("--masked", type=int, default=600, help="steps of pre-training; default %(default)s")
    add("--steps", type=int, default=700, help="of fine-tuning; default %(default)s")
    return parser


def train_and_test(args: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Train the classifier of one seed; returns what it reaches on the test set."""
    masked, classes = args.out / f"masked-{seed}", args.out / f"classes-{seed}"
    common = ("--backend", args.backend, "--seed", seed, "--batch", 32)
    lmkernel(
        "pretrain", "--family", "bert", "--objective", "masked", *SIZES, *common,
        "--data", args.data / "text.jsonl", "--steps", args.masked, "--rate", 2e-3,
        "--set", "data.validation_share=0.01", "--set", f"training.evaluate_every={args.masked}",
        "--set", "training.checkpoint_every=0", "--out", masked,
    )  # fmt: skip
    lmkernel(
        "finetune", masked / "model", "--objective", "classification", *common,
        "--data", args.data / "train.jsonl", "--steps", args.steps, "--rate", 5e-4,
        "--set", "training.evaluate_every=100", "--set", "data.truncate=true",
        "--set", "training.checkpoint_every=0", "--out", classes,
    )  # fmt: skip
    return evaluate(
        classes / "model", args.data / "test.jsonl", "--objective", "classification", "--truncate",
        "--batch", 32, "--backend", args.backend,
    )  # fmt: skip


def majority(test: Path) -> tuple[float, float]:
    """Accuracy and macro F1 of always predicting the most frequent class of the test set."""
    labels = [json.loads(line)["label"] for line in test.read_text("utf-8").splitlines()]
    counts = Counter(labels)
    hits = max(counts.values())
    return hits / len(labels), 2 * hits / (len(labels) + hits) / len(counts)


if __name__ == "__main__":
    main()
