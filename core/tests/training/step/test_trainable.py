"""Which layers are adapted, by what, and how adapters are added to them."""

from __future__ import annotations

import numpy as np
import pytest
from training_samples import small_gpt2

from lmkernel.backend import load_backend
from lmkernel.errors import ConfigError
from lmkernel.interfaces import Init, Param
from lmkernel.model import Model
from lmkernel.parameters import flatten, nest
from lmkernel.training.config import LoraConfig
from lmkernel.training.step.trainable import Adapters

BACKEND = load_backend("numpy")
DECLARED = Model(BACKEND, small_gpt2(tie_word_embeddings=False)).declare()


def made(*targets: str, rank: int = 2, alpha: float = 6.0) -> Adapters:
    return Adapters(DECLARED, LoraConfig(rank=rank, alpha=alpha, targets=targets))


def adapted(*targets: str) -> list[str]:
    return list(dict.fromkeys(name.rpartition(".")[0] for name in made(*targets).declare()))


def test_all_linear_layers_inside_the_stack_by_default() -> None:
    names = {name.rpartition(".")[2] for name in adapted()}
    assert names == {"q", "k", "v", "o", "up", "down"}
    assert len(adapted()) == 12
    assert all(name.startswith("decoder.layers.") for name in adapted())


def test_targets_are_last_parts_of_names() -> None:
    assert adapted("v", "up") == [
        "decoder.layers.0.attention.v",
        "decoder.layers.0.mlp.up",
        "decoder.layers.1.attention.v",
        "decoder.layers.1.mlp.up",
    ]


def test_a_name_that_ends_like_a_target_is_none() -> None:
    names = ("kv_down", "down", "query_down")
    product = Param((4, 4), Init("zeros"), ("out", "in"), linear=True)
    declared = {"decoder": {"layers": [{name: {"weight": product} for name in names}]}}
    made = Adapters(declared, LoraConfig(rank=2, targets=("down",))).declare()
    assert {name.rpartition(".")[0] for name in made} == {"decoder.layers.0.down"}


@pytest.mark.parametrize(
    ("targets", "missing"),
    [(("c_attn",), "c_attn"), (("q", "norm"), "norm"), (("tokens",), "tokens")],
)
def test_a_target_that_is_no_linear_layer_is_refused(
    targets: tuple[str, ...], missing: str
) -> None:
    with pytest.raises(ConfigError, match=rf"targets: .* down, .* q, .* got {missing}"):
        made(*targets)


def test_shapes_are_those_of_the_weight_and_the_rank() -> None:
    shapes = {name: param.shape for name, param in made("up").declare().items()}
    assert shapes["decoder.layers.0.mlp.up.lora_a"] == (2, 24)
    assert shapes["decoder.layers.0.mlp.up.lora_b"] == (96, 2)


def test_a_starts_uniform_and_b_at_zero() -> None:
    values = made("q", rank=16).initial(3)
    a, b = (values[f"decoder.layers.0.attention.q.lora_{half}"] for half in "ab")
    limit = 1 / np.sqrt(24)
    assert not b.any()
    assert 0.9 * limit < np.abs(a).max() <= limit
    assert a.min() < 0
    assert a.std() == pytest.approx(limit / np.sqrt(3), rel=0.1)


def test_first_values_follow_from_the_seed_and_the_name() -> None:
    name = "decoder.layers.{}.attention.q.lora_a"
    one, same, other = (made("q").initial(seed) for seed in (1, 1, 2))
    np.testing.assert_array_equal(one[name.format(0)], same[name.format(0)])
    assert (one[name.format(0)] != other[name.format(0)]).all()
    assert (one[name.format(0)] != one[name.format(1)]).all()


def test_merging_adds_the_scaled_product_to_the_adapted_weights_alone() -> None:
    adapters, random = made("q", rank=2, alpha=6.0), np.random.default_rng(1)
    flat = flatten(DECLARED)
    values = {name: random.normal(size=param.shape) for name, param in flat.items()}
    low = {name: random.normal(size=param.shape) for name, param in adapters.declare().items()}
    merged = adapters.merge(values, low)
    for name, value in values.items():
        layer = name.removesuffix(".weight")
        added: float | np.ndarray = 0.0
        if f"{layer}.lora_a" in low:
            added = 3.0 * low[f"{layer}.lora_b"] @ low[f"{layer}.lora_a"]
        np.testing.assert_allclose(merged[name], value + added, rtol=1e-13, err_msg=name)


def test_merging_keeps_the_dtype_and_the_values_handed_in() -> None:
    adapters = made("q")
    values = {n: np.ones(p.shape, np.float32) for n, p in flatten(DECLARED).items()}
    low = {n: np.ones(p.shape, np.float32) for n, p in adapters.declare().items()}
    merged = adapters.merge(values, low)
    name = "decoder.layers.1.attention.q.weight"
    assert merged[name].dtype == np.float32
    assert merged[name][0, 0] == 7.0  # 1 + (6 / 2) · 2
    assert values[name][0, 0] == 1.0


def test_deltas_are_put_beside_the_weights() -> None:
    adapters, ops = made("q", rank=2, alpha=6.0), BACKEND.ops
    flat = {n: ops.full(p.shape, 1.0, "float32") for n, p in flatten(DECLARED).items()}
    low = {n: ops.full(p.shape, 1.0, "float32") for n, p in adapters.declare().items()}
    params = nest(DECLARED, flat)
    adapters.insert(ops, params, low)
    layer = params["decoder"]["layers"][1]["attention"]
    a, b = layer["q"]["delta"]
    assert (ops.to_numpy(a) == 1.0).all()
    assert (ops.to_numpy(b) == 3.0).all()
    assert "delta" not in layer["k"]
