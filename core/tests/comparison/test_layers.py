"""The first activation at which a backend leaves its budget is named; an honest one leaves none."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from small import small_config, values_of

from lmkernel.backend import Backend, load_backend
from lmkernel.comparison.layers import (
    HONEST_RUNS,
    Deviation,
    Limit,
    deviations,
    limits,
    parting_sentences,
    trace,
)
from lmkernel.composed import assemble
from lmkernel.config import PrecisionPolicy
from lmkernel.errors import InputError
from lmkernel.model import Model

if TYPE_CHECKING:
    from collections.abc import Callable

PROMPTS = ([7, 3, 9, 2, 11, 30], [44, 5, 17])
CONFIG = small_config(num_hidden_layers=4)


def trace_prompts(
    backend: Backend, values: dict[str, Any], dtype: Any = "float32", order: int = 0
) -> Any:
    model = Model(backend, CONFIG, PrecisionPolicy(params=dtype, compute=dtype, output=dtype))
    params = model.pack(values)
    return [trace(model, params, prompt, order=order) for prompt in PROMPTS]


def read(backend: Backend, broken: dict[str, Any] | None = None) -> list[Deviation]:
    """A backend beside the reference; ``broken`` are weights that it has wrong."""
    honest = load_backend()
    values = values_of(Model(honest, CONFIG))
    reference = trace_prompts(honest, values, "float64")
    runs = (trace_prompts(honest, values, order=order) for order in range(HONEST_RUNS))
    traces = trace_prompts(backend, {**values, **(broken or {})})
    return deviations(traces, reference, limits(reference, runs), "float32")


def overriding(**overrides: Callable[..., Any]) -> Backend:
    """The default backend with operations of its own."""
    backend = load_backend()
    own: Any = {**backend.ops.overridden, **overrides}
    return replace(backend, ops=assemble(backend.ops, own))


def test_an_honest_backend_does_not_part() -> None:
    ops = load_backend().ops

    def other_order(x: Any, weight: Any, *_: Any) -> Any:
        return ops.matmul(x[..., ::-1], ops.unpack_linear(weight)[:, ::-1].T)

    turned = overriding(linear=other_order)
    found = {"numpy": read(load_backend()), "turned": read(turned)}
    [sentence] = parting_sentences(found)
    assert sentence.startswith("no layer parts; the largest share of the budget is ")
    assert max(row.error for row in found["turned"]) > 0
    assert max(row.share for row in found["turned"]) < 0.9


def test_a_wrong_attention_is_named() -> None:
    ops = load_backend().ops

    def late(q: Any, k: Any, v: Any, mask: Any, **options: Any) -> Any:
        options["scale"] *= 1.0001
        return ops.attention(q, k, v, mask, **options)

    rows = read(overriding(attention=late))
    [sentence] = parting_sentences({"numpy": read(load_backend()), "late": rows})
    assert sentence.startswith("numpy and late part at layer 0 (attention): late is off by ")


def test_a_wrong_activation_is_named() -> None:
    ops = load_backend().ops
    rows = read(overriding(swiglu=lambda x: ops.swiglu(x) * 1.0001))
    [sentence] = parting_sentences({"late": rows})
    assert sentence.startswith("the reference and late part at layer 0 (feed-forward): ")


@pytest.mark.parametrize(
    ("weight", "activation"),
    [
        ("embedding.tokens.weight", "embedding"),
        ("decoder.layers.2.attention_norm.weight", "layer 2 (attention)"),
        ("decoder.layers.2.attention.o.weight", "layer 2 (attention)"),
        ("decoder.layers.2.mlp_norm.weight", "layer 2 (feed-forward)"),
        ("decoder.layers.3.mlp.down.weight", "layer 3 (feed-forward)"),
        ("decoder.norm.weight", "final norm"),
    ],
)
def test_a_wrong_weight_is_named_where_it_counts(weight: str, activation: str) -> None:
    values = values_of(Model(load_backend(), CONFIG))
    rows = read(load_backend(), {weight: values[weight] * np.float32(1.0001)})
    [sentence] = parting_sentences({"numpy": read(load_backend()), "other": rows})
    assert sentence.startswith(f"numpy and other part at {activation}: other is off by ")


def row(activation: str, share: float) -> Deviation:
    return Deviation(activation, error=share / 10, honest=share, share=share)


def test_backends_that_part_later_are_among_the_others() -> None:
    found = {
        "a": [row("one", 0.1), row("two", 0.2)],
        "b": [row("one", 3.0), row("two", 9.0)],
        "c": [row("one", 0.5), row("two", np.inf)],
    }
    first, second = parting_sentences(found)
    assert first.startswith("a, c and b part at one: b is off by 3.00e-01 there, 3 times its budge")
    assert second.startswith("a and c part at two: c is off by inf there")


def test_the_largest_share_is_said_where_none_parts() -> None:
    found = {"a": [row("one", 0.1), row("two", 0.2)], "b": [row("one", 0.31), row("two", 0.1)]}
    expected = "no layer parts; the largest share of the budget is 31% (b at one)"
    assert parting_sentences(found) == [expected]


def test_a_large_element_hides_nothing_in_the_others() -> None:
    limit = Limit("here", honest=np.array([1e-3, 1e-7]), floor=np.array([1e-4, 1e-8]))
    found = limit.judge(np.array([1e-3, 1e-6]), "float32")
    assert found.error == 1e-3
    assert found.honest == 1.0
    assert found.share == pytest.approx(1e-6 / (4 * 1.1e-7))


def test_budget_of_a_16_bit_format_is_wider_by_its_bits() -> None:
    limit = Limit("here", honest=np.array([1e-6]), floor=np.array([1e-7]))
    narrow = limit.judge(np.array([1e-3]), "bfloat16")
    assert narrow.share == pytest.approx(limit.judge(np.array([1e-3]), "float32").share / 2**16)


@pytest.mark.parametrize("factor", [0.0, 2.0])
def test_a_single_element_that_is_wrong_parts(factor: float) -> None:
    """The smallest element of the embedding of one token is zeroed or doubled."""
    values = values_of(Model(load_backend(), CONFIG))
    table = values["embedding.tokens.weight"].copy()
    at = int(np.abs(table[44]).argmin())
    table[44, at] *= factor
    rows = read(load_backend(), {"embedding.tokens.weight": table})
    assert next(r.activation for r in rows if not r.share <= 1) == "embedding"


def test_nan_parts() -> None:
    ops = load_backend().ops
    broken = overriding(swiglu=lambda x: ops.swiglu(x) * np.nan)
    assert next(r.activation for r in read(broken) if not r.share <= 1) == "layer 0 (feed-forward)"


def test_an_order_gives_the_same_numbers_always() -> None:
    model = Model(load_backend(), CONFIG)
    params = model.pack(values_of(model))
    runs = [trace(model, params, PROMPTS[0], order=order) for order in (0, 0, 3, 3, 4)]
    ends = [run["logits"] for run in runs]
    assert (ends[0] == ends[1]).all()
    assert (ends[2] == ends[3]).all()
    assert (ends[0] != ends[2]).any()
    assert (ends[2] != ends[4]).any()


@pytest.mark.parametrize(
    ("prompt", "message"),
    [([], "at least one token id, got none"), ([1] * 49, "at most 48 tokens.*got 49")],
)
def test_prompts_that_do_not_fit_are_named(prompt: list[int], message: str) -> None:
    model = Model(load_backend(), CONFIG)
    with pytest.raises(InputError, match=message):
        trace(model, model.pack(values_of(model)), prompt)
