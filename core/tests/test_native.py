from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from small import small_config

from lmkernel.backend import load_backend
from lmkernel.config import PrecisionPolicy
from lmkernel.errors import CapabilityError, UnknownNameError
from lmkernel.model import Model
from lmkernel.native import (
    hand_over,
    host_values,
    native_outputs,
    positions_from_mask,
    trainable_model,
)
from lmkernel.parameters import flatten
from lmkernel.plugins import BackendSpec, Registry, hookimpl
from lmkernel.plugins.registry import default_registry

IDS = np.array([[0, 0, 7, 8, 9], [4, 5, 6, 0, 0]])
MASK = np.array([[0, 0, 1, 1, 1], [1, 1, 1, 0, 0]])


def on(**changes: Any) -> Any:
    """As much of a language model as is looked at, on a backend with some changes."""
    backend = replace(load_backend("numpy"), **changes)
    return SimpleNamespace(model=SimpleNamespace(backend=backend))


def small_model(policy: PrecisionPolicy | None = None) -> Model:
    return Model(load_backend("numpy"), small_config(), policy)


class Maker:
    """A plugin whose backend takes a model over."""

    @staticmethod
    @hookimpl
    def lmkernel_register_backends() -> list[BackendSpec]:
        numpy = default_registry().select_backend("numpy")
        return [replace(numpy, name="maker", native=("function",))]


def test_the_backends_own_hook_is_handed_the_model() -> None:
    model = on(native={"function": lambda model: ("handed over", model)})
    assert hand_over(model, "function") == ("handed over", model)


def test_a_refusal_says_who_does_it() -> None:
    model = on(registry=Registry({"a maker": Maker()}))
    with pytest.raises(CapabilityError, match=r"backend 'numpy' makes no pure function .*: maker$"):
        hand_over(model, "function")
    with pytest.raises(CapabilityError, match=r"no PyTorch module .*; no backend that is"):
        hand_over(model, "module")


def test_an_unknown_kind_is_no_capability() -> None:
    with pytest.raises(UnknownNameError, match="Did you mean 'module'"):
        hand_over(on(), "modul")


def test_tokens_are_numbered_and_padding_is_not() -> None:
    ops = load_backend("numpy").ops
    found = positions_from_mask(ops, MASK, np.cumsum)
    assert found.dtype == np.int32
    np.testing.assert_array_equal(found, [[-1, -1, 0, 1, 2], [0, 1, 2, -1, -1]])


@pytest.mark.parametrize("dtype", [bool, np.int64, np.float32])
def test_a_mask_may_have_any_dtype(dtype: type) -> None:
    ops = load_backend("numpy").ops
    found = positions_from_mask(ops, MASK.astype(dtype), np.cumsum)
    np.testing.assert_array_equal(found, [[-1, -1, 0, 1, 2], [0, 1, 2, -1, -1]])


def test_positions_that_are_given_hold_where_tokens_are() -> None:
    ops, own = load_backend("numpy").ops, np.full(MASK.shape, 5, np.int32)
    found = positions_from_mask(ops, MASK, np.cumsum, own)
    np.testing.assert_array_equal(found, np.where(MASK, 5, -1))


def test_outputs_are_the_models_on_whichever_side_padding_is() -> None:
    model = small_model()
    params = model.place(model.initial(3))
    whole = native_outputs(model, params, IDS, MASK, cumsum=np.cumsum)
    for row, real in zip(range(len(IDS)), MASK.astype(bool), strict=True):
        alone = model.forward(params, IDS[row : row + 1, real].astype(np.int32))[0]
        np.testing.assert_allclose(whole[row, real], alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("compute", ["float32", "float64"])
def test_parameters_are_as_wide_as_the_computation(compute: Any) -> None:
    model = trainable_model(small_model(PrecisionPolicy(compute=compute, output=compute)))
    params = model.place(model.initial(3))
    assert {str(x.dtype) for x in flatten(params).values()} == {compute}
    assert native_outputs(model, params, IDS, cumsum=np.cumsum).dtype == compute


def test_wide_parameters_are_computed_with_in_the_models_dtype() -> None:
    wide, narrow = (small_model(PrecisionPolicy(params=p)) for p in ("float64", "float32"))
    got, expected = (
        native_outputs(model, model.place(model.initial(3)), IDS, cumsum=np.cumsum)
        for model in (wide, narrow)
    )
    np.testing.assert_array_equal(got, expected)


def test_values_come_back_by_name() -> None:
    model = small_model()
    values = model.initial(3)
    found = host_values(model, model.place(values))
    assert found.keys() == values.keys()
    for name, value in values.items():
        np.testing.assert_array_equal(found[name], value)
