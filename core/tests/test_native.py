from __future__ import annotations

import copy
import pickle
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
from lmkernel.native import NativeModel, hand_over, positions_from_mask
from lmkernel.parameters import flatten
from lmkernel.plugins import BackendSpec, Registry, hookimpl
from lmkernel.plugins.registry import default_registry

IDS = np.array([[0, 0, 7, 8, 9], [4, 5, 6, 0, 0]])
MASK = np.array([[0, 0, 1, 1, 1], [1, 1, 1, 0, 0]])


def on(policy: PrecisionPolicy | None = None, **changes: Any) -> Any:
    """As much of a language model as is looked at, on a backend with some changes."""
    model = Model(load_backend("numpy"), small_config(), policy)
    model.backend = replace(model.backend, **changes)
    return SimpleNamespace(model=model, parameters=lambda: model.initial(3))


def taken(policy: PrecisionPolicy | None = None) -> tuple[NativeModel, dict[str, np.ndarray]]:
    """What a backend's hook is handed."""
    pair: tuple[NativeModel, dict[str, np.ndarray]]
    pair = hand_over(on(policy, native={"function": lambda *given: given}), "function")
    return pair


class Maker:
    """A plugin whose backend takes a model over."""

    @staticmethod
    @hookimpl
    def lmkernel_register_backends() -> list[BackendSpec]:
        numpy = default_registry().select_backend("numpy")
        return [replace(numpy, name="maker", native=("function",))]


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
    native, values = taken()
    model = on().model
    params = native.place(values)
    whole = native(params, IDS, MASK, cumsum=np.cumsum)
    assert whole.shape == native.output_shape(*IDS.shape)
    for row, real in zip(range(len(IDS)), MASK.astype(bool), strict=True):
        alone = model.forward(params, IDS[row : row + 1, real].astype(np.int32))[0]
        np.testing.assert_allclose(whole[row, real], alone, rtol=0, atol=1e-6)


@pytest.mark.parametrize("compute", ["float32", "float64"])
def test_parameters_are_as_wide_as_the_computation(compute: Any) -> None:
    native, values = taken(PrecisionPolicy(compute=compute, output=compute))
    params = native.place(values)
    assert {str(x.dtype) for x in flatten(params).values()} == {compute}
    assert native(params, IDS, cumsum=np.cumsum).dtype == compute


def test_wide_parameters_are_computed_with_in_the_models_dtype() -> None:
    native, values = taken()
    wide = {name: x.astype(np.float64) for name, x in values.items()}
    got, expected = (native(native.nest(x), IDS, cumsum=np.cumsum) for x in (wide, values))
    np.testing.assert_array_equal(got, expected)


def test_what_is_moved_computes_in_another_dtype() -> None:
    native, values = taken()
    there = native.on(native.device, "float64")
    assert there(there.place(values), IDS, cumsum=np.cumsum).dtype == np.float64
    with pytest.raises(CapabilityError, match="'tpu'"):
        native.on("tpu", "float32")


def test_a_description_is_copied_and_pickled() -> None:
    native, values = taken()
    assert copy.deepcopy(native) is native
    read = pickle.loads(pickle.dumps(native))  # noqa: S301 - our own bytes
    params = native.place(values)
    got, expected = (x(params, IDS, cumsum=np.cumsum) for x in (read, native))
    np.testing.assert_array_equal(got, expected)


def test_values_come_back_by_name() -> None:
    native, values = taken()
    found = native.host_values(native.place(values))
    assert found.keys() == values.keys()
    for name, value in values.items():
        np.testing.assert_array_equal(found[name], value)
