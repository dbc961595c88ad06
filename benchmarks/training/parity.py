"""Compare pre-training with transformers on torch: same model, weights, batches and optimizer.

`lmkernel pretrain` trains a new GPT-2 on Python's own help. transformers opens the initial weights
of the run and trains them on the run's batches in the run's order, with torch's AdamW and clipping
and its own schedule. Then files go both ways: the checkpoint opens there, and after a few more
steps there it opens here.
"""

from __future__ import annotations

import argparse
import itertools
import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers
from harness import curve, lmkernel, say, session_of

from lmkernel import load
from lmkernel.results import columns

if TYPE_CHECKING:
    from lmkernel.training.data import Batch, Batches
    from lmkernel.training.run.session import Session

MORE = 5
"""The number of steps that transformers trains our checkpoint further."""


class Witness:
    """A model of transformers, trained as the settings of a run say.

    Args:
        folder: folder of the initial weights.
        session: run whose settings and data it follows.
    """

    def __init__(self, folder: Path, session: Session) -> None:
        self.settings = session.settings
        self.model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        self.optimizer = torch.optim.AdamW(self._groups(), betas=self._betas, eps=self._adam.eps)
        schedule, steps = self.settings.schedule, self.settings.training.steps
        if schedule.kind != "cosine" or self._adam.kind != "adamw":
            raise SystemExit(f"expected adamw and cosine, got {self._adam.kind}, {schedule.kind}")
        scheduler = transformers.get_cosine_with_min_lr_schedule_with_warmup(
            self.optimizer, schedule.warmup, steps, min_lr_rate=schedule.floor
        )
        self.share = scheduler.lr_lambdas[0]

    @property
    def _adam(self) -> Any:
        return self.settings.optimizer

    @property
    def _betas(self) -> tuple[float, float]:
        return self._adam.beta1, self._adam.beta2

    def _groups(self) -> list[dict[str, Any]]:
        """Weight decay for matrices, none for biases and norms."""
        all_ = list(self.model.parameters())
        decay = self._adam.weight_decay
        return [
            {"params": [p for p in all_ if p.ndim > 1], "weight_decay": decay},
            {"params": [p for p in all_ if p.ndim == 1], "weight_decay": 0.0},
        ]

    def step(self, number: int, batch: Batch) -> float:
        """Do one step, counted from 1, and return the loss before it."""
        for group in self.optimizer.param_groups:
            group["lr"] = self.settings.schedule.rate * self.share(number)
        self.optimizer.zero_grad()
        total, count = self._loss(batch)
        mean = total / count
        mean.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.settings.training.clip)
        self.optimizer.step()
        return float(mean)

    def evaluate(self, batches: Batches) -> float:
        """The mean loss over one epoch."""
        with torch.inference_mode():
            sums = [self._loss(batches.at(i)) for i in range(len(batches))]
        return sum(float(total) for total, _ in sums) / sum(count for _, count in sums)

    def _loss(self, batch: Batch) -> tuple[Any, int]:
        """The total cross-entropy and the number of targets."""
        inputs, targets = (torch.tensor(batch[n], dtype=torch.long) for n in ("inputs", "targets"))
        logits = self.model(inputs).logits.flatten(0, 1)
        total = torch.nn.functional.cross_entropy(
            logits, targets.flatten(), ignore_index=-1, reduction="sum"
        )
        return total, int((targets >= 0).sum())


def main() -> None:
    """Train with both, compare, print."""
    args, options = _parser().parse_known_args()
    with tempfile.TemporaryDirectory() as place:
        run = args.out or Path(place) / "run"
        lmkernel(
            "pretrain", "--backend", args.backend, "--steps", args.steps, "--out", run, *options,
            "--set", f"training.evaluate_every={args.steps}",
        )  # fmt: skip
        result = {"backend": args.backend, "steps": args.steps, **compare(run, Path(place))}
    say(json.dumps(result) if args.json else table(result))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        description=__doc__, epilog="Other arguments go to `lmkernel pretrain`."
    )
    parser.add_argument("--backend", default="torch", help="ours; default torch")
    parser.add_argument("--steps", type=int, default=200, help="default 200")
    parser.add_argument("--out", type=Path, help="keep the run in this folder")
    parser.add_argument("--json", action="store_true", help="print one object")
    return parser


def compare(run: Path, scratch: Path) -> dict[str, Any]:
    """Losses of both, and the largest differences of logits for files in both directions."""
    session = session_of(run)
    first = scratch / "first"
    first.mkdir()
    session.origin.fill(first, session.weights, session.trainer.declare())
    witness = Witness(first, session)
    batches, steps = session.data.training, session.settings.training.steps
    theirs = [witness.step(n, batches.at(n - 1)) for n in range(1, steps + 1)]
    return {
        "train": {"ours": list(curve(run, "train/loss").values()), "theirs": theirs},
        "validation": {
            "ours": curve(run, "validation/loss")[steps],
            "theirs": witness.evaluate(session.data.validation),
        },
        "logits": exchange_files(run / "model", session, scratch / "theirs"),
    }


def exchange_files(model: Path, session: Session, folder: Path) -> dict[str, float]:
    """Open our checkpoint there and theirs here; returns the largest differences of logits."""
    batch = session.data.validation.at(0)["inputs"]
    goes_on = Witness(model, session)
    there = _apart(model, goes_on.model, batch, session)
    last = session.settings.training.steps
    for number in itertools.islice(itertools.count(last), MORE):
        goes_on.step(last // 2, session.data.training.at(number))
    goes_on.model.save_pretrained(folder)
    session.origin.tokenizer.save(folder)
    here = _apart(folder, goes_on.model, batch, session)
    return {"opened there": there, "opened here": here}


def _apart(folder: Path, theirs: Any, batch: np.ndarray[Any, Any], session: Session) -> float:
    ours = load(folder, backend=session.backend.name).logits(batch.tolist())
    with torch.inference_mode():
        expected = theirs(torch.tensor(batch, dtype=torch.long)).logits.numpy()
    return float(np.abs(ours - expected).max())


def table(result: dict[str, Any]) -> str:
    """The result as a table."""
    ours, theirs = (np.array(result["train"][who]) for who in ("ours", "theirs"))
    worst = float(np.abs(ours / theirs - 1).max())
    validation = result["validation"]
    rows = [["step", f"lmkernel {result['backend']}", "transformers"]]
    chosen = sorted({1, *range(25, len(ours), 25), len(ours)})
    rows += [[str(n), f"{ours[n - 1]:.6f}", f"{theirs[n - 1]:.6f}"] for n in chosen]
    rows += [["validation", f"{validation['ours']:.6f}", f"{validation['theirs']:.6f}"]]
    apart = validation["ours"] / validation["theirs"] - 1
    logits = ", ".join(f"{name} {value:.2g}" for name, value in result["logits"].items())
    return "\n".join(
        [
            columns(rows),
            f"largest relative difference of a training loss: {worst:.2g}",
            f"validation loss against theirs: {apart:+.4%}",
            f"largest difference of a logit: {logits}",
        ]
    )


if __name__ == "__main__":
    main()
