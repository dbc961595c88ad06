"""Optimizers against torch's and Keras's own, ten steps in float64, on every backend.

Where formulas differ, settings are chosen under which they agree, and the difference is named.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lmkernel.backend import load_backend
from lmkernel.factory import ComponentFactory
from lmkernel.interfaces import Init, Param
from lmkernel.training.config import OptimizerConfig
from lmkernel.training.step.optimizers import build_optimizer

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lmkernel.backend import Backend

# Keras hands its variables to NumPy in a way that NumPy is about to leave
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

SHAPES = {"tall.weight": (9, 4), "wide.weight": (4, 9), "wide.bias": (4,), "norm.weight": (9,)}
DECAYED = ("tall.weight", "wide.weight")
AXES = {1: ("embed",), 2: ("hidden", "embed")}
STEPS, RATE, DECAY = 10, 2.0**-4, 2.0**-3

Hosts = dict[str, np.ndarray]


@pytest.fixture(params=["numpy", "torch", "tensorflow", "jax"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    loaded = load_backend(request.param)
    with loaded.scope():
        yield loaded


def start(names: Mapping[str, Any] = SHAPES) -> Hosts:
    rng = np.random.default_rng(11)
    values = {name: rng.normal(size=shape) for name, shape in SHAPES.items()}
    return {name: values[name] for name in names}


def gradient(step: int, size: float = 1.0) -> Hosts:
    rng = np.random.default_rng([12, step])
    return {name: rng.normal(size=shape) * size for name, shape in SHAPES.items()}


def ours(
    backend: Backend,
    config: OptimizerConfig,
    names: Mapping[str, Any] | tuple[str, ...] = tuple(SHAPES),
    *,
    rate: float = RATE,
    size: float = 1.0,
) -> Hosts:
    ops = backend.ops
    declared = {n: Param(SHAPES[n], Init("ones"), AXES[len(SHAPES[n])]) for n in names}
    optimizer = build_optimizer(ComponentFactory(backend), config, declared)

    def native(hosts: Mapping[str, Any]) -> dict[str, Any]:
        return {name: ops.asarray(value, "float64") for name, value in hosts.items()}

    params = native({name: start()[name] for name in names})
    state = optimizer.init(params)
    for step in range(1, STEPS + 1):
        scalars = native({**optimizer.scalars(step, rate), "grad_scale": 1.0})
        grads = native({name: gradient(step, size)[name] for name in names})
        params, state = optimizer.update(params, grads, state, scalars)
    return {name: ops.to_numpy(x) for name, x in params.items()}


def by_torch(made: Any, names: tuple[str, ...] = tuple(SHAPES), **settings: Any) -> Hosts:
    """Two groups, for only weights of matrices decay."""
    import torch

    tensors = {name: torch.nn.Parameter(torch.tensor(start()[name])) for name in names}
    decay = settings.pop("weight_decay", 0.0)
    groups = [
        {"params": [x for n, x in tensors.items() if (n in DECAYED) is own], "weight_decay": value}
        for own, value in ((True, decay), (False, 0.0))
    ]
    optimizer = made([group for group in groups if group["params"]], lr=RATE, **settings)
    for step in range(1, STEPS + 1):
        for name, tensor in tensors.items():
            tensor.grad = torch.tensor(gradient(step)[name])
        optimizer.step()
    return {name: tensor.detach().numpy() for name, tensor in tensors.items()}


def by_keras(
    made: Any, names: tuple[str, ...] = tuple(SHAPES), *, size: float = 1.0, **settings: Any
) -> Hosts:
    import keras

    variables = {
        name: keras.Variable(start()[name], dtype="float64", name=name.replace(".", "_"))
        for name in names
    }
    optimizer = made(**{"learning_rate": RATE, **settings})
    if settings.get("weight_decay"):
        spared = [variable for name, variable in variables.items() if name not in DECAYED]
        optimizer.exclude_from_weight_decay(var_list=spared)
    optimizer.build(list(variables.values()))
    for step in range(1, STEPS + 1):
        grads = gradient(step, size)
        optimizer.apply(
            [keras.ops.convert_to_tensor(grads[name], "float64") for name in variables],
            list(variables.values()),
        )
    return {name: keras.ops.convert_to_numpy(variable) for name, variable in variables.items()}


def agree(got: Hosts, expected: Hosts, rtol: float = 1e-11) -> None:
    assert set(got) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(got[name], value, rtol=rtol, atol=rtol, err_msg=name)


@pytest.mark.parametrize(
    "settings", [{}, {"momentum": 0.875}, {"momentum": 0.875, "nesterov": True}]
)
def test_sgd(backend: Backend, settings: dict[str, Any]) -> None:
    """Without decay: torch couples it with the momentum, and here it is decoupled.

    Keras rounds some settings to float32, so all are binary fractions.
    """
    import keras
    import torch

    got = ours(backend, OptimizerConfig(kind="sgd", **settings))
    agree(got, by_torch(torch.optim.SGD, **settings))
    agree(got, by_keras(keras.optimizers.SGD, **settings))


def test_sgd_with_decay(backend: Backend) -> None:
    """Without momentum coupled and decoupled decay are the same."""
    import torch

    got = ours(backend, OptimizerConfig(kind="sgd", weight_decay=DECAY))
    agree(got, by_torch(torch.optim.SGD, weight_decay=DECAY))


@pytest.mark.parametrize("eps", [1e-8, 0.5])
def test_adam(backend: Backend, eps: float) -> None:
    import torch

    betas = (0.8, 0.95)
    got = ours(backend, OptimizerConfig(kind="adam", beta1=0.8, beta2=0.95, eps=eps))
    agree(got, by_torch(torch.optim.Adam, betas=betas, eps=eps))
    decayed = ours(
        backend, OptimizerConfig(kind="adamw", beta1=0.8, beta2=0.95, eps=eps, weight_decay=DECAY)
    )
    agree(decayed, by_torch(torch.optim.AdamW, betas=betas, eps=eps, weight_decay=DECAY))


def test_adam_of_keras(backend: Backend) -> None:
    """Keras adds ε before the correction of v; so ε is next to nothing here."""
    import keras

    names = {"beta_1": 0.75, "beta_2": 0.96875, "epsilon": 1e-16}
    config = {"beta1": 0.75, "beta2": 0.96875, "eps": 1e-16}
    agree(
        ours(backend, OptimizerConfig(kind="adam", **config)),
        by_keras(keras.optimizers.Adam, **names),
    )
    agree(
        ours(backend, OptimizerConfig(kind="adamw", **config, weight_decay=DECAY)),
        by_keras(keras.optimizers.AdamW, **names, weight_decay=DECAY),
    )


@pytest.mark.parametrize("d", [1.0, 1.5])
def test_adafactor(backend: Backend, d: float) -> None:
    import torch

    config = OptimizerConfig(
        kind="adafactor", eps=1e-7, weight_decay=DECAY, options={"d": d, "eps2": 0.01}
    )
    made = {"eps": (1e-7, 0.01), "d": d, "weight_decay": DECAY}
    agree(ours(backend, config), by_torch(torch.optim.Adafactor, **made))


def test_adafactor_of_keras(backend: Backend) -> None:
    """Keras adds ε1 to squares, as the paper does; so it is next to nothing here."""
    import keras

    config = OptimizerConfig(kind="adafactor", eps=1e-15)
    agree(ours(backend, config), by_keras(keras.optimizers.Adafactor, epsilon_1=1e-30))


def test_lion_of_keras(backend: Backend) -> None:
    import keras

    config = OptimizerConfig(kind="lion", beta1=0.75, beta2=0.875, weight_decay=DECAY)
    made = {"beta_1": 0.75, "beta_2": 0.875, "weight_decay": DECAY}
    agree(ours(backend, config), by_keras(keras.optimizers.Lion, **made))


@pytest.mark.parametrize("adjust", ["original", "match_rms_adamw"])
@pytest.mark.parametrize("nesterov", [False, True])
def test_muon(
    backend: Backend, adjust: str, nesterov: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch rounds to bfloat16 on the way; here it keeps float64."""
    import torch

    monkeypatch.setattr(torch.Tensor, "bfloat16", torch.Tensor.clone)
    shared = {"momentum": 0.95, "nesterov": nesterov, "weight_decay": DECAY}
    config = OptimizerConfig(kind="muon", **shared, options={"adjust": adjust})
    expected = by_torch(torch.optim.Muon, DECAYED, **shared, adjust_lr_fn=adjust)
    agree(ours(backend, config, DECAYED), expected, rtol=1e-9)


@pytest.mark.parametrize(("name", "size"), [("tall.weight", 1.5), ("wide.weight", 1.0)])
def test_muon_of_keras(backend: Backend, name: str, size: float) -> None:
    """Keras sums its momentum, does not adjust the step here, and adds 1e-7 to the norm.

    The first does not matter to a direction; the last is next to nothing to large gradients.
    """
    import keras

    config = OptimizerConfig(
        kind="muon", momentum=0.75, nesterov=True, options={"adjust": "original"}
    )
    made = {"momentum": 0.75, "nesterov": True, "rms_rate": None, "weight_decay": 0.0}
    expected = by_keras(keras.optimizers.Muon, (name,), size=1e9, **made, learning_rate=RATE * size)
    agree(ours(backend, config, (name,), size=1e9), expected, rtol=1e-9)


def test_adamw_of_torch_by_its_fused_kernel() -> None:
    import torch

    got = ours(load_backend("torch"), OptimizerConfig(kind="adamw", weight_decay=DECAY))
    agree(got, by_torch(torch.optim.AdamW, fused=True, weight_decay=DECAY, eps=1e-8))
