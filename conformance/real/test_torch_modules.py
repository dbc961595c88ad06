"""Recurrent and feed-forward parts against torch's own modules, values and gradients, everywhere.

Two layers, both directions, non-zero biases and states; an encoder-decoder hands its state on.
"""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from lmkernel.backend import load_backend
from lmkernel.config import FeedForwardConfig, RecurrentConfig
from lmkernel.factory import ComponentFactory
from lmkernel.interfaces import Embedded, Memory
from lmkernel.parameters import flatten

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from lmkernel.backend import Backend

BATCH, TIME, INTO, WIDTH = 3, 5, 4, 6
TOLERANCE = {"rtol": 1e-10, "atol": 1e-12}


@pytest.fixture(params=["numpy", "torch", "tensorflow", "jax"])
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    loaded = load_backend(request.param)
    with loaded.scope():
        yield loaded


def draws(*shape: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape)


def tensor(x: np.ndarray) -> torch.Tensor:
    return torch.tensor(x, dtype=torch.float64, requires_grad=True)


def torch_rnn(cell: str, layers: int, into: int, width: int, *, both: bool) -> Any:
    torch.manual_seed(3)
    kind = {"gru": torch.nn.GRU, "lstm": torch.nn.LSTM}[cell]
    module = kind(into, width, layers, batch_first=True, bidirectional=both).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.3)
    return module


def named(module: Any, layers: int, *, both: bool, pick: Callable[[Any], Any]) -> list[Any]:
    """A torch module's parameters, or their gradients, in our structure."""
    suffixes = {"forward": "", **({"backward": "_reverse"} if both else {})}

    def one(part: str, layer: int, suffix: str) -> dict[str, Any]:
        letter = {"input": "ih", "state": "hh"}[part]
        return {
            leaf: pick(getattr(module, f"{leaf}_{letter}_l{layer}{suffix}"))
            for leaf in ("weight", "bias")
        }

    return [
        {
            way: {part: one(part, layer, suffix) for part in ("input", "state")}
            for way, suffix in suffixes.items()
        }
        for layer in range(layers)
    ]


def compare(ops: Any, got: Any, expected: Any) -> None:
    ours, theirs = flatten(got), flatten(expected)
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        np.testing.assert_allclose(ops.to_numpy(ours[name]), value, **TOLERANCE, err_msg=name)


def native(ops: Any, tree: Any) -> Any:
    if isinstance(tree, dict):
        return {name: native(ops, child) for name, child in tree.items()}
    if isinstance(tree, list):
        return [native(ops, child) for child in tree]
    return ops.asarray(tree, "float64")


def embedded(ops: Any, x: Any) -> Embedded:
    row = ops.reshape(ops.arange(0, x.shape[1], "int32"), (1, x.shape[1]))
    return Embedded(x, ops.broadcast_to(row, x.shape[:2]))


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_two_layers_in_both_directions(backend: Backend, cell: str) -> None:
    ops, names = backend.ops, ("h", "c") if cell == "lstm" else ("h",)
    module = torch_rnn(cell, 2, INTO, WIDTH, both=True)
    x, weight = draws(BATCH, TIME, INTO, seed=1), draws(BATCH, TIME, 2 * WIDTH, seed=2)
    states = {name: draws(4, BATCH, WIDTH, seed=5 + i) for i, name in enumerate(names)}
    given = {name: tensor(value) for name, value in states.items()}
    source = tensor(x)
    out, _ = module(source, tuple(given.values()) if cell == "lstm" else given["h"])
    (out * torch.tensor(weight)).sum().backward()

    config = RecurrentConfig(input_width=INTO, width=WIDTH, layers=2, cell=cell, bidirectional=True)
    encoder = ComponentFactory(backend).create("encoder", config)
    tree = {
        "params": {"layers": named(module, 2, both=True, pick=lambda p: p.detach().numpy())},
        "x": x,
        "states": [
            {
                way: {name: states[name][2 * layer + i] for name in names}
                for i, way in enumerate(("forward", "backward"))
            }
            for layer in range(2)
        ],
    }
    probe = ops.asarray(weight, "float64")

    def total(t: Any) -> Any:
        hidden = encoder(t["params"], embedded(ops, t["x"]), state=t["states"]).hidden
        return ops.sum(ops.reshape(hidden * probe, (-1,)), 0)

    arrays = native(ops, tree)
    got = encoder(arrays["params"], embedded(ops, arrays["x"]), state=arrays["states"]).hidden
    np.testing.assert_allclose(ops.to_numpy(got), out.detach().numpy(), **TOLERANCE)
    _, gradient = ops.value_and_grad(total)(arrays)
    expected = {
        "params": {"layers": named(module, 2, both=True, pick=lambda p: p.grad.numpy())},
        "x": source.grad.numpy(),
        "states": [
            {
                way: {name: given[name].grad.numpy()[2 * layer + i] for name in names}
                for i, way in enumerate(("forward", "backward"))
            }
            for layer in range(2)
        ],
    }
    compare(ops, gradient, expected)


@pytest.mark.parametrize("cell", ["gru", "lstm"])
def test_decoder_goes_on_from_the_encoders_state(backend: Backend, cell: str) -> None:
    ops = backend.ops
    first, second = (torch_rnn(cell, 2, INTO, WIDTH, both=False) for _ in range(2))
    x, y = draws(BATCH, TIME, INTO, seed=7), draws(BATCH, TIME - 1, INTO, seed=8)
    weight = draws(BATCH, TIME - 1, WIDTH, seed=9)
    out, _ = second(torch.tensor(y), first(torch.tensor(x))[1])
    (out * torch.tensor(weight)).sum().backward()

    config = RecurrentConfig(input_width=INTO, width=WIDTH, layers=2, cell=cell)
    factory = ComponentFactory(backend)
    encoder, decoder = factory.create("encoder", config), factory.create("decoder", config)
    picked = [
        {"layers": named(m, 2, both=False, pick=lambda p: p.detach().numpy())}
        for m in (first, second)
    ]
    source, target = embedded(ops, native(ops, x)), embedded(ops, native(ops, y))
    probe = native(ops, weight)

    def decoded(t: Any) -> Any:
        memory: Memory = encoder(t[0], source)
        return decoder(t[1], target, memory=memory)

    params = native(ops, picked)
    np.testing.assert_allclose(ops.to_numpy(decoded(params)), out.detach().numpy(), **TOLERANCE)
    _, gradient = ops.value_and_grad(lambda t: ops.sum(ops.reshape(decoded(t) * probe, (-1,)), 0))(
        params
    )
    expected = [
        {"layers": named(m, 2, both=False, pick=lambda p: p.grad.numpy())} for m in (first, second)
    ]
    compare(ops, gradient, expected)


def test_feed_forward_of_the_documents_widths(backend: Backend) -> None:
    ops = backend.ops
    wide = (3, 128, 64, 32, 16)
    down = (16, 32, 64, 128, 3)
    torch.manual_seed(4)
    layers = [torch.nn.Linear(m, n).double() for ws in (wide, down) for m, n in zip(ws, ws[1:])]  # noqa: B905, RUF007 - neighbours
    parts: list[Any] = []
    for number, layer in enumerate(layers):
        parts += [layer] if number == len(layers) - 1 else [layer, torch.nn.ReLU()]
    x, weight = draws(2, 4, 3, seed=11), draws(2, 4, 3, seed=12)
    out = torch.nn.Sequential(*parts)(torch.tensor(x))
    (out * torch.tensor(weight)).sum().backward()

    factory = ComponentFactory(backend)
    encoder = factory.create("encoder", FeedForwardConfig(widths=wide))
    decoder = factory.create("decoder", FeedForwardConfig(widths=down, final_activation="none"))
    kept = SimpleNamespace(value=lambda p: p.detach().numpy(), grad=lambda p: p.grad.numpy())

    def tree(pick: Callable[[Any], Any]) -> list[Any]:
        linears = [{"weight": pick(m.weight), "bias": pick(m.bias)} for m in layers]
        return [{"layers": linears[:4]}, {"layers": linears[4:]}]

    source, probe = embedded(ops, native(ops, x)), native(ops, weight)

    def mapped(t: Any) -> Any:
        return decoder(t[1], source, memory=encoder(t[0], source))

    params = native(ops, tree(kept.value))
    np.testing.assert_allclose(ops.to_numpy(mapped(params)), out.detach().numpy(), **TOLERANCE)
    _, gradient = ops.value_and_grad(lambda t: ops.sum(ops.reshape(mapped(t) * probe, (-1,)), 0))(
        params
    )
    compare(ops, gradient, tree(kept.grad))
