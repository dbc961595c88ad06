"""What a backend gives in the place of an array is told by its name, where it comes in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from small import small_config, write_small

import lmkernel as lk
from lmkernel.contract.capabilities import Capabilities
from lmkernel.errors import PluginError
from lmkernel.model import Model
from lmkernel.plugins import BackendSpec, Registry, hookimpl
from lmkernel_numpy.backend import create as honest
from lmkernel_numpy.ops import NumpyOps

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lmkernel.backend import BackendParts

BROKEN: dict[str, Callable[[Any], Any]] = {}


class Plugin:
    @hookimpl
    def lmkernel_register_backends(self) -> list[BackendSpec]:
        where = f"{__name__}:create"
        return [BackendSpec(name="own", contract="1.0", load=where, capabilities=Capabilities())]


def create(device: str) -> BackendParts:
    """NumPy's backend, two operations of which give what a test says."""
    parts = honest(device)
    mandatory = type("Own", (type(parts.mandatory),), {})()
    for name, change in BROKEN.items():
        own = getattr(parts.mandatory, name)
        setattr(mandatory, name, lambda *a, own=own, change=change, **k: change(own(*a, **k)))
    return replace(parts, mandatory=mandatory)


def broken(monkeypatch: pytest.MonkeyPatch, name: str, change: Callable[[Any], Any]) -> Any:
    monkeypatch.setitem(BROKEN, name, change)
    return lk.load_backend("own", registry=Registry({"own": Plugin()}))


@pytest.mark.parametrize(
    ("change", "got"),
    [
        (lambda _: None, "NoneType"),
        (lambda x: x[None], r"ndarray of float32 \(1, 2, 3\)"),
        (lambda x: x.astype("float64"), r"ndarray of float64 \(2, 3\)"),
        (lambda x: x.astype(object), r"ndarray of object \(2, 3\)"),
        (lambda x: x.tolist(), "list"),
    ],
)
@pytest.mark.parametrize("name", ["asarray", "to_numpy"])
def test_what_is_no_array_is_told(
    monkeypatch: pytest.MonkeyPatch, name: str, change: Callable[[Any], Any], got: str
) -> None:
    backend = broken(monkeypatch, name, change)
    expected = rf"^backend 'own', {name}: expected an? .*array of float32 \(2, 3\), got {got}$"
    with backend, pytest.raises(PluginError, match=expected):
        backend.ops.to_numpy(backend.ops.asarray(np.zeros((2, 3)), "float32"))


def test_what_is_right_goes_through(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = broken(monkeypatch, "to_numpy", lambda x: x)
    with backend:
        for value, dtype in ((3, "int32"), ([[True]], "bool"), (np.arange(3), "float32")):
            made = backend.ops.to_numpy(backend.ops.asarray(value, dtype))
            assert made.tolist() == np.asarray(value).tolist()
            assert made.dtype == dtype


def test_an_answer_names_the_backend(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_small(tmp_path / "llama", Model(lk.load_backend("numpy"), small_config()))
    found = Registry()
    found.register("own", Plugin())
    monkeypatch.setitem(BROKEN, "to_numpy", lambda _: None)
    with found.use():
        model = lk.load(tmp_path / "llama", backend="own")
        with pytest.raises(PluginError, match=r"^backend 'own', to_numpy: expected a NumPy array"):
            model.logits([1, 2])


def test_what_refuses_another_order_of_bytes_is_given_the_machines(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken: list[Any] = []
    own = NumpyOps.asarray

    def asarray(self: Any, value: Any, dtype: Any, *, copy: bool = True) -> Any:
        if not value.dtype.isnative:
            raise ValueError("another order of bytes")
        taken.append(value)
        return own(self, value, dtype, copy=copy)

    monkeypatch.setattr(NumpyOps, "asarray", asarray)
    ops = lk.load_backend("numpy").ops
    for kind in (">f8", "<f8", ">i4"):
        assert ops.asarray(np.array([1, -2, 3], kind), "float32").tolist() == [1.0, -2.0, 3.0]
    assert [host.dtype.isnative for host in taken] == [True, True, True]


def test_what_refuses_the_machines_order_is_told_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def asarray(*_: Any, **__: Any) -> Any:
        raise ValueError("no memory is left")

    monkeypatch.setattr(NumpyOps, "asarray", asarray)
    with pytest.raises(ValueError, match="no memory is left"):
        lk.load_backend("numpy").ops.asarray(np.zeros(3), "float32")
