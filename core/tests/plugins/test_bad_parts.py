"""What a plugin makes has fields of the types that they say, or is refused by the field's name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lmkernel.backend import BackendParts, load_backend
from lmkernel.contract.capabilities import Capabilities
from lmkernel.errors import PluginError
from lmkernel.interfaces import Init, Param
from lmkernel.plugins import BackendSpec, Registry, hookimpl
from lmkernel_numpy.ops import NumpyOps

if TYPE_CHECKING:
    from collections.abc import Callable

MADE: dict[str, Any] = {}
"""Fields of the parts that the backend of this module is made of."""
CALL = "Callable[[], AbstractContextManager[Any]]"


class Plugin:
    @hookimpl
    def lmkernel_register_backends(self) -> list[BackendSpec]:
        where = f"{__name__}:create"
        return [BackendSpec(name="own", contract="1.0", load=where, capabilities=Capabilities())]


def create(device: str) -> BackendParts:
    del device
    return BackendParts(**{"mandatory": NumpyOps(), **MADE})


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("mandatory", None, "MandatoryOps, got None (NoneType)"),
        ("mandatory", NumpyOps, "MandatoryOps, got <class"),
        ("overrides", None, "Mapping[str, Callable[..., Any]], got None (NoneType)"),
        ("overrides", {"linear": 1}, "Mapping[str, Callable[..., Any]], got 1 (int) at 'linear'"),
        ("overrides", {1: len}, "Mapping[str, Callable[..., Any]], got {1: "),
        ("overrides", [("linear", len)], "Mapping[str, Callable[..., Any]], got [('linear', "),
        ("components", {"attention:own": 2}, "Mapping[str, type], got 2 (int) at 'attention:own'"),
        ("components", "attention", "Mapping[str, type], got 'attention' (str)"),
        ("scope", 1, f"{CALL}, got 1 (int)"),
        ("inference", None, f"{CALL}, got None (NoneType)"),
        ("strict", "tf32", f"{CALL}, got 'tf32' (str)"),
        ("native", {"module": 0}, "Mapping[str, Callable[..., Any]], got 0 (int) at 'module'"),
        ("distribution", 1, "Distribution | None, got 1 (int)"),
    ],
)
def test_h5_field_of_the_parts_of_a_backend(
    monkeypatch: pytest.MonkeyPatch, name: str, value: object, said: str
) -> None:
    monkeypatch.setitem(MADE, name, value)
    with pytest.raises(PluginError) as caught:
        load_backend("own", registry=Registry({"own": Plugin()}))
    told = str(caught.value)
    assert told.startswith(
        f"backend 'own', {__name__}:create: BackendParts.{name}: expected {said}"
    )


class Wrapping:
    """Another mandatory tier, seen through this."""

    def __init__(self, without: str = "") -> None:
        self._without = without

    def __getattr__(self, name: str) -> Any:
        if name == self._without:
            raise AttributeError(name)
        return getattr(NumpyOps(), name)


def test_what_has_every_operation_stands_for_a_mandatory_tier(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry = Registry({"own": Plugin()})
    monkeypatch.setitem(MADE, "mandatory", Wrapping())
    assert load_backend("own", registry=registry).name == "own"
    monkeypatch.setitem(MADE, "mandatory", Wrapping(without="matmul"))
    with pytest.raises(PluginError, match=r"BackendParts\.mandatory: expected MandatoryOps, got <"):
        load_backend("own", registry=registry)


def test_parts_of_the_types_that_they_say_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(MADE, "overrides", {"gelu": np.tanh})
    assert load_backend("own", registry=Registry({"own": Plugin()})).ops.gelu is np.tanh


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Init("ones", None), "Init.scale: expected float, got None (NoneType)"),  # type: ignore[arg-type]  # what is tested
        (lambda: Init("ones", scale=True), "Init.scale: expected float, got True (bool)"),
        (lambda: Init("one"), "Init.kind: expected one of 'zeros', 'ones', 'normal', "),  # type: ignore[arg-type]  # what is tested
        (lambda: Param(3, Init(), ()), "Param.shape: expected tuple[int, ...], got 3 (int)"),  # type: ignore[arg-type]  # what is tested
        (lambda: Param((3,), 0.02, ("a",)), "Param.init: expected Init, got 0.02 (float)"),  # type: ignore[arg-type]  # what is tested
        (lambda: Param((3,), Init(), ["a"]), "Param.axes: expected tuple[str, ...], got ['a']"),  # type: ignore[arg-type]  # what is tested
        (lambda: Capabilities(dtypes="float32"), "capabilities.dtypes: expected tuple[DType, "),  # type: ignore[arg-type]  # what is tested
    ],
)
def test_h5_field_of_what_is_declared(make: Callable[[], object], said: str) -> None:
    with pytest.raises(PluginError) as caught:
        make()
    assert str(caught.value).startswith(said)


def test_numbers_may_be_of_numpy() -> None:
    scale: Any = np.float32(0.5)
    assert Init("normal", scale).scale == 0.5
    assert Init("normal", 1).scale == 1
