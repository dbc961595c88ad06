"""Three small tasks of our own in the harness's format, whose data come with this package.

They ask what every backend must answer alike: the likeliest of several continuations, the
log-likelihood of whole texts, and answers that are generated.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Any

__all__ = ["own_tasks"]


def own_tasks() -> list[dict[str, Any]]:
    """The configurations, as ``simple_evaluate(tasks=…)`` takes them."""
    return [
        {
            **_data("facts"),
            "output_type": "multiple_choice",
            "doc_to_text": "{{question}}",
            "doc_to_choice": "{{choices}}",
            "doc_to_target": "{{answer}}",
            "metric_list": [{"metric": "acc"}, {"metric": "acc_norm"}],
        },
        {
            **_data("prose"),
            "output_type": "loglikelihood_rolling",
            "doc_to_text": "",
            "doc_to_target": "{{text}}",
            "metric_list": [{"metric": "word_perplexity"}],
        },
        {
            **_data("sums"),
            "output_type": "generate_until",
            "doc_to_text": "1 + 2 = 3\n4 + 1 = 5\n{{left}} + {{right}} =",
            "doc_to_target": " {{sum}}",
            "generation_kwargs": {"until": ["\n"], "max_gen_toks": 4, "do_sample": False},
            "metric_list": [{"metric": "exact_match"}],
        },
    ]


def _data(name: str) -> dict[str, Any]:
    file = files("lmkernel_lm_eval") / "data" / f"{name}.jsonl"
    return {
        "task": f"lmkernel_{name}",
        "dataset_path": "json",
        "dataset_kwargs": {"data_files": {"test": str(file)}},
        "test_split": "test",
    }
