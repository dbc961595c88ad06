"""Teach a real model made-up facts, whole and through LoRA, and ask it on other backends.

`lmkernel finetune` learns the questions and answers of `facts.py`; `lmkernel evaluate` measures the
loss of questions in held-out wording, before and after; `lmkernel chat` answers some of them on
backends that did not train. PEFT opens the adapters, as a witness of their format.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from facts import write_facts
from harness import Outcome, evaluate, lmkernel, say

from lmkernel import load
from lmkernel.generation import GenerationOptions
from lmkernel.sources.resolve import find_model

if TYPE_CHECKING:
    from collections.abc import Sequence

    from facts import Question

TOKENS = 32
"""The most tokens of an answer."""
RESULTS = "results.json"
"""The file of results in the folder."""
LEARNING_RATES = {"full": 5e-5, "lora": 1e-3}


def main() -> None:
    """Teach, measure, ask; results are written after each way, so an interrupted run has some."""
    args = _parser().parse_args()
    ways, backends = args.ways.split(","), args.ask.split(",")
    train, held_out, questions = write_facts(args.out / "data", each=args.facts)
    results: dict[str, Any] = {"before": held_out_loss(args, args.model, held_out)}
    for way in ways:
        model = args.out / way / "model"
        seconds = teach(args, way, train, held_out).seconds
        after = held_out_loss(args, model, held_out)
        fall = 1 - after / results["before"]
        results[way] = {"after": after, "fall": fall, "seconds": seconds}
        results[way] |= ask(model, questions, backends, args.questions)
        if way == "lora":
            results[way]["from PEFT"] = apart_from_peft(model, backends[0], questions)
        _keep(args.out / RESULTS, results)
    say((args.out / RESULTS).read_text("utf-8"))


def _keep(path: Path, results: dict[str, Any]) -> None:
    path.write_text(json.dumps(results, indent=2, ensure_ascii=False), "utf-8")


def held_out_loss(args: argparse.Namespace, model: Path | str, data: Path) -> float:
    """The loss over the questions in held-out wording."""
    options = ("--backend", args.backend, "--dtype", args.dtype, "--objective", "instruction")
    loss: float = evaluate(model, data, *options)["loss"]
    return loss


def teach(args: argparse.Namespace, way: str, train: Path, held_out: Path) -> Outcome:
    """Fine-tune in one way, into a run of that name."""
    return lmkernel(
        "finetune", args.model, "--data", train, "--validation", held_out, "--out", args.out / way,
        "--backend", args.backend, "--dtype", args.dtype, "--steps", args.steps,
        "--rate", LEARNING_RATES[way], *(("--lora", args.rank) if way == "lora" else ()),
        "--set", "data.context=128", "--set", f"training.evaluate_every={args.steps}",
        "--set", "training.checkpoint_every=0",
    )  # fmt: skip


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("out", type=Path, help="a new folder for data and runs")
    add("--model", default="smollm2-135m-instruct", help="default %(default)s")
    add("--backend", default="torch", help="backend that trains; default %(default)s")
    add("--dtype", default="bfloat16", help="dtype of the computation; default %(default)s")
    add("--ask", default="numpy,jax", help="backends that answer; default %(default)s")
    add("--ways", default="full,lora", help="default %(default)s")
    add("--steps", type=int, default=120, help="default %(default)s")
    add("--rank", type=int, default=8, help="rank of the adapters; default %(default)s")
    add("--facts", type=int, default=14, help="facts of each of three kinds; default %(default)s")
    add("--questions", type=int, default=3, help="questions for the command; default %(default)s")
    return parser


def ask(
    model: Path, questions: Sequence[Question], backends: Sequence[str], some: int
) -> dict[str, Any]:
    """Ask the command some questions on each backend, and the first backend all of them."""
    chosen = questions[:: len(questions) // some][:some]
    answers = {
        backend: [_chat(model, backend, question) for question in chosen] for backend in backends
    }
    return {"right": right(model, backends[0], questions), "of": len(questions), **answers}


def _chat(model: Path, backend: str, question: Question) -> dict[str, Any]:
    options = ("--max-new-tokens", TOKENS, "--model", model, "--backend", backend)
    answer = lmkernel("chat", question.prompt, *options).output.strip()
    as_taught = question.value in answer
    return {"question": question.prompt, "answer": answer, "as taught": as_taught}


def right(model: Path, backend: str, questions: Sequence[Question]) -> int:
    """The number of questions that a backend answers with the word it was taught."""
    loaded, options = load(model, backend=backend), GenerationOptions(max_new_tokens=TOKENS)
    answers = ("".join(loaded.chat(question.prompt, options)) for question in questions)
    return sum(q.value in answer for q, answer in zip(questions, answers, strict=True))


def apart_from_peft(model: Path, backend: str, questions: Sequence[Question]) -> float:
    """The largest difference between our logits and those of PEFT on transformers."""
    import torch
    from peft import PeftConfig, PeftModel
    from transformers import AutoModelForCausalLM

    ours = load(model, backend=backend)
    ids = ours.tokenizer.encode(" ".join(q.completion for q in questions[:4]))
    base = find_model(PeftConfig.from_pretrained(str(model)).base_model_name_or_path)
    plain = AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32)
    with torch.inference_mode():
        theirs = PeftModel.from_pretrained(plain, model).eval()(torch.tensor([ids]))
    return float(np.abs(ours.logits([ids]) - theirs.logits.numpy()).max())


if __name__ == "__main__":
    main()
