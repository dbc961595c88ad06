"""Generation: tokens from logits and from prompts, against the definitions."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.generation import GenerationOptions, draw, generate_tokens, sample
from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.models import batch, outputs
from lmkernel_conformance.cases.zoo import ZOO, build_model, values
from lmkernel_conformance.discrepancy import Discrepancy
from lmkernel_conformance.inputs import normal, tokens
from lmkernel_conformance.oracle import model as oracle
from lmkernel_conformance.oracle import sampling
from lmkernel_conformance.oracle.arithmetic import Arithmetic

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

Host = Any

_PROMPTS = (
    tuple(int(t) for t in tokens("prompt.0", 5, vocab=31)),
    tuple(int(t) for t in tokens("prompt.1", 2, vocab=31)),
    tuple(int(t) for t in tokens("prompt.2", 7, vocab=31)),
)
_GREEDY = GenerationOptions(max_new_tokens=6)


def _generate(
    s: Subject, name: str, prompts: Any, options: GenerationOptions, **more: Any
) -> list[list[int]]:
    """The tokens of each row of a batch of prompts."""
    model = build_model(s, name)
    params = model.pack(values(s, name))
    steps = list(generate_tokens(model, params, prompts, options, **more))
    return [[t for t in row if t is not None] for row in zip(*steps, strict=True)]


def _is_greedy(s: Subject, name: str, prompt: tuple[int, ...], got: list[int]) -> None:
    """Each token is the oracle's largest logit at its step, but for ties within the budget."""
    known = [*prompt, *got]
    hosts = values(s, name)
    limit = s.budgets(
        f"{name} {prompt}",
        lambda ar: oracle.forward(
            ar, ZOO[name], {n: ar.constant(x) for n, x in hosts.items()}, np.array([known])
        ),
    )[0]
    for i, token in enumerate(got):
        logits = limit.reference[0, len(prompt) - 1 + i]
        behind = float(logits.max() - logits[token])
        rival, own = int(logits.argmax()), limit.allowed[0, len(prompt) - 1 + i]
        allowed = float(own[rival] + own[token])
        if behind > allowed:
            raise Discrepancy(
                f"{s.label}: {name}, step {i}: expected token {rival}, got {token}, "
                f"whose logit is {behind:.4g} below the largest (allowed: {allowed:.4g})"
            )


@case(level="generation", id="greedy", rows=(25,))
def greedy(s: Subject) -> None:
    """Greedy decoding with the KV cache takes the largest logit of the model without it."""
    for name in ("llama", "gpt2", "gemma"):
        (got,) = _generate(s, name, _PROMPTS[:1], _GREEDY)
        s.demand(f"{name}: tokens", expected=6, got=len(got))
        _is_greedy(s, name, _PROMPTS[0], got)


@case(level="generation", id="greedy.batch", rows=(11, 25))
def greedy_batch(s: Subject) -> None:
    """Each row of a batch of unequal lengths gives the tokens that it gives alone."""
    together = _generate(s, "llama", _PROMPTS, _GREEDY)
    for prompt, row in zip(_PROMPTS, together, strict=True):
        _is_greedy(s, "llama", prompt, row)
        (alone,) = _generate(s, "llama", [prompt], _GREEDY)
        s.demand(f"tokens after {prompt}", expected=alone, got=row)


@case(level="generation", id="sampling.seed", rows=(30,))
def sampling_seed(s: Subject) -> None:
    """One seed gives the same tokens, alone or beside other rows; another seed gives others."""
    options = GenerationOptions(max_new_tokens=8, temperature=1.5, seed=11)
    rows = _generate(s, "llama", _PROMPTS, options)
    s.demand("again", expected=rows, got=_generate(s, "llama", _PROMPTS, options))
    (alone,) = _generate(s, "llama", _PROMPTS[:1], options)
    s.demand("the first row alone", expected=rows[0], got=alone)
    other = _generate(s, "llama", _PROMPTS, replace(options, seed=12))
    s.demand("another seed differs", expected=True, got=other != rows)


@case(level="generation", id="sampling.draws", dtypes=("float64",), rows=(30,))
def draws(s: Subject) -> None:
    """Draws are keyed by seed, row and step, and are exactly these numbers."""
    got = tuple(draw(*key).hex() for key in ((0, 0, 0), (7, 0, 3), (7, 3, 0)))
    s.demand(
        "draws",
        expected=("0x1.ce1326903f540p-7", "0x1.563e51c5245c8p-4", "0x1.be10c27db27cbp-1"),
        got=got,
    )


@case(level="generation", id="sampling.picks", dtypes=("float64",), rows=(30,))
def picks(s: Subject) -> None:
    """Each token is the one that the oracle picks, for each filter."""
    filters: list[dict[str, Any]] = [
        {"temperature": 0.7},
        {"temperature": 2.5},
        {"temperature": 1.0, "top_k": 3},
        {"temperature": 1.3, "top_p": 0.6},
        {"temperature": 1.0, "min_p": 0.2},
        {"temperature": 1.1, "top_k": 9, "top_p": 0.8, "min_p": 0.05},
    ]
    logits = normal("sampling", 23, scale=2)
    for chosen in filters:
        options = GenerationOptions(seed=5, **chosen)
        probabilities = sampling.distribution(list(logits), **chosen)
        for step in range(40):
            want = sampling.pick(probabilities, draw(5, 1, step))
            got = sample(logits, options, row=1, step=step)
            s.demand(f"{chosen}, step {step}", expected=want, got=got)


@case(level="generation", id="sampling.penalty", dtypes=("float64",), rows=(30,))
def penalty(s: Subject) -> None:
    """Logits of tokens that came before are divided by 2 where positive, else multiplied."""
    before, history = [3.0, -1.0, 2.0, -0.9, 1.9, 0.0, 0.5], (0, 3, 3, 5, 6)
    logits, changed = np.array(before), [1.5, -1.0, 2.0, -1.8, 1.9, 0.0, 0.25]
    for factor, want in ((1.0, 0), (2.0, 2)):
        greedy = GenerationOptions(repetition_penalty=factor)
        s.demand(
            f"the largest, {factor}", expected=want, got=sample(logits, greedy, history=history)
        )
    options = GenerationOptions(seed=5, temperature=1.3, repetition_penalty=2.0)
    probabilities = sampling.distribution(changed, temperature=1.3)
    for step in range(40):
        want = sampling.pick(probabilities, draw(5, 2, step))
        got = sample(logits, options, history=history, row=2, step=step)
        s.demand(f"step {step}", expected=want, got=got)
    s.demand("the logits themselves", expected=before, got=logits.tolist())


@case(level="generation", id="sampling.edges", dtypes=("float64",), rows=(18,))
def edges(s: Subject) -> None:
    """Logits of ±1000; and a token with exactly the probability that ``min_p`` asks for stays."""
    far = np.array([1000.0, 999.0, -1000.0, 1000.5])
    half = np.array([-np.log(2.0), 0.0, -5.0])
    asked: list[tuple[Host, dict[str, Any]]] = [(far, {}), (half, {"min_p": 0.5})]
    for logits, chosen in asked:
        options = GenerationOptions(seed=3, temperature=1.0, **chosen)
        probabilities = sampling.distribution(list(logits), **chosen)
        for step in range(40):
            want = sampling.pick(probabilities, draw(3, 0, step))
            s.demand(f"step {step}", expected=want, got=sample(logits, options, step=step))


@case(level="generation", id="ends")
def ends(s: Subject) -> None:
    """A row stops at its end token, which is returned; the other rows go on unaffected."""
    whole = _generate(s, "llama", _PROMPTS, _GREEDY)
    end = whole[0][2]
    got = _generate(s, "llama", _PROMPTS, _GREEDY, end_ids=(end,))
    for row, full in zip(got, whole, strict=True):
        stop = full.index(end) + 1 if end in full else len(full)
        s.demand("tokens", expected=full[:stop], got=row)


@case(level="generation", id="encoder_decoder", rows=(8,))
def encoder_decoder(s: Subject) -> None:
    """Greedy tokens of an encoder-decoder model, from a padded source, are the oracle's."""
    model, fed = build_model(s, "t5"), batch("t5")
    hosts = values(s, "t5")
    params = model.pack(hosts)
    memory = model.encode(params, fed.inputs, fed.options["positions"])
    rows = list(
        generate_tokens(
            model, params, [[1], [1], [1]], GenerationOptions(max_new_tokens=4), memory=memory
        )
    )
    target = np.array([[1, *(row[i] or 0 for row in rows)] for i in range(3)])
    want = oracle.forward(
        Arithmetic(),
        ZOO["t5"],
        {n: np.asarray(x, np.float64) for n, x in hosts.items()},
        fed.inputs,
        positions=fed.options["positions"],
        target=target,
    )
    allowed = 8 * outputs(s, "t5").honest.max()
    for i, step in np.ndindex(3, 4):
        behind = float(want[i, step].max() - want[i, step, target[i, step + 1]])
        if behind > allowed:
            raise Discrepancy(
                f"{s.label}: row {i}, step {step}: expected token {int(want[i, step].argmax())}, "
                f"got {target[i, step + 1]}, whose logit is {behind:.4g} lower"
            )
