"""Tasks on several backends beside NumPy in float64: scores, errors, and how many lie near ties.

A log-likelihood may be off by four times the largest error of NumPy in float32, plus four units in
the last place of the largest one. An item of a multiple choice is near a tie where its two
likeliest choices are closer than both may be off: there rounding alone may change the score.

``python -m lmkernel_lm_eval.agreement MODEL --backends numpy torch`` prints a table.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from lmkernel.numerics import FACTOR
from lmkernel.results import Result
from lmkernel_lm_eval.model import LmkernelLM
from lmkernel_lm_eval.tasks import own_tasks

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Agreement", "Outcome", "agreement_of", "evaluate", "likelihood_budget"]


@final
@dataclass(frozen=True)
class Outcome:
    """One task on one model.

    Args:
        scores: by the harness's names of metrics.
        answers: of each item, what it was judged by: log-likelihoods, or the text.
    """

    scores: Mapping[str, float]
    answers: Sequence[Sequence[float] | str]

    @property
    def likelihoods(self) -> list[float]:
        """Those of all items; none where texts are judged."""
        return [x for answer in self.answers if not isinstance(answer, str) for x in answer]

    def distance(self, other: Outcome) -> float:
        """The largest difference of a log-likelihood from another's, in nats."""
        pairs = zip(self.likelihoods, other.likelihoods, strict=True)
        return max((abs(a - b) for a, b in pairs), default=0.0)

    def near_ties(self, budget: float) -> int:
        """How many items' two likeliest choices are closer than both may be off."""
        choices = [sorted(a) for a in self.answers if not isinstance(a, str) and len(a) > 1]
        return sum(own[-1] - own[-2] <= 2 * budget for own in choices)


@final
@dataclass(frozen=True)
class Agreement(Result):
    """One task on several backends.

    Args:
        task: its name.
        reference: on NumPy in float64.
        budget: how far a log-likelihood may be off, in nats.
        outcomes: of each backend in float32.
    """

    task: str
    reference: Outcome
    budget: float
    outcomes: Mapping[str, Outcome]

    def rows(self) -> list[list[str]]:
        """A row for the reference and each backend."""
        names = [*self.reference.scores]
        head = ["backend", *names, "furthest off", "of the budget"]
        rows = [["NumPy, float64", *(f"{self.reference.scores[n]:.6g}" for n in names), "", ""]]
        for backend, own in self.outcomes.items():
            off = own.distance(self.reference)
            shown = [f"{off:.1e}", f"{off / self.budget:.0%}"] if own.likelihoods else ["", ""]
            rows.append([backend, *(f"{own.scores[n]:.6g}" for n in names), *shown])
        return [head, *rows]

    def notes(self) -> list[str]:
        """What the table is of, and how near to ties its items lie."""
        said = [f"{self.task}: {len(self.reference.answers)} items"]
        if self.reference.likelihoods:
            said[0] += f"; a log-likelihood may be off by {self.budget:.1e}"
        if any(len(a) > 1 for a in self.reference.answers if not isinstance(a, str)):
            near = self.reference.near_ties(self.budget)
            said.append(f"{near} of them lie nearer to a tie than that allows to tell")
        return said

    def json(self) -> dict[str, Any]:
        """The same as one object."""
        return {
            "task": self.task,
            "budget": self.budget,
            "near_ties": self.reference.near_ties(self.budget),
            "scores": {name: dict(own.scores) for name, own in self.outcomes.items()},
            "reference": dict(self.reference.scores),
        }


def evaluate(model: Any, tasks: Sequence[Any]) -> dict[str, Outcome]:
    """Each task's scores and answers on a model of the harness.

    Args:
        model: one of ours, or any other.
        tasks: names or configurations.
    """
    # the harness's own tasks are looked through only for those that are asked for by name
    manager = TaskManager(include_defaults=any(isinstance(task, str) for task in tasks))
    found: Any = simple_evaluate(
        model=model, tasks=list(tasks), task_manager=manager, bootstrap_iters=0
    )
    outcomes = {}
    for name, samples in found["samples"].items():
        scores = {
            metric.partition(",")[0]: value
            for metric, value in found["results"][name].items()
            if "," in metric and "stderr" not in metric
        }
        ordered = sorted(samples, key=lambda sample: sample["doc_id"])
        outcomes[name] = Outcome(scores, [_answer(sample) for sample in ordered])
    return outcomes


def _answer(sample: Mapping[str, Any]) -> list[float] | str:
    """What an item was judged by; of log-likelihoods the flag of greediness is left out."""
    (first, *_) = answers = sample["filtered_resps"]
    if isinstance(first, str):
        return first
    return [float(one[0] if isinstance(one, list | tuple) else one) for one in answers]


def likelihood_budget(honest: Outcome, reference: Outcome) -> float:
    """How far a log-likelihood may be off.

    Args:
        honest: on NumPy in float32.
        reference: on NumPy in float64.
    """
    largest = max(map(abs, reference.likelihoods), default=0.0)
    return FACTOR * (honest.distance(reference) + float(np.spacing(np.float32(largest))))


def agreement_of(
    pretrained: str, backends: Sequence[str], tasks: Sequence[Any] | None = None
) -> list[Agreement]:
    """Each task on several backends.

    Args:
        pretrained: a name, a folder or a GGUF file.
        backends: by their names.
        tasks: names or configurations; None for those of this package.

    Raises:
        LmkernelError: the model cannot be opened, or a backend is not there.
    """
    asked = own_tasks() if tasks is None else tasks

    def on(backend: str, dtype: str) -> dict[str, Outcome]:
        return evaluate(LmkernelLM(pretrained, backend=backend, dtype=dtype), asked)

    reference, honest = on("numpy", "float64"), on("numpy", "float32")
    each = {name: honest if name == "numpy" else on(name, "float32") for name in backends}
    return [
        Agreement(
            task,
            own,
            likelihood_budget(honest[task], own),
            {backend: outcomes[task] for backend, outcomes in each.items()},
        )
        for task, own in reference.items()
    ]


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        prog="python -m lmkernel_lm_eval.agreement",
        description="Tasks on several backends beside NumPy in float64.",
    )
    parser.add_argument("model", help="a name, a folder or a GGUF file")
    parser.add_argument("--backends", nargs="+", default=["numpy"], metavar="NAME")
    parser.add_argument("--tasks", nargs="+", metavar="TASK", help="default: this package's own")
    args = parser.parse_args()
    for found in agreement_of(args.model, args.backends, args.tasks):
        print(found.text())  # noqa: T201 - a command's results are printed


if __name__ == "__main__":
    main()
