"""The registry finds plugins by name, and no plugin takes another down."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from lmkernel.contract.capabilities import Capabilities
from lmkernel.contract.version import CONTRACT_VERSION
from lmkernel.errors import (
    CapabilityError,
    ContractVersionError,
    DuplicateNameError,
    MissingDependencyError,
    PluginError,
    UnknownNameError,
)
from lmkernel.plugins import BackendSpec, ComponentSpec, Registry, hookimpl


class Plugin:
    """A plugin that registers the specs it is given, or raises what it is given."""

    def __init__(self, *specs: object, error: Exception | None = None) -> None:
        self.specs = specs
        self.error = error

    @hookimpl
    def lmkernel_register_backends(self) -> list[object]:
        if self.error:
            raise self.error
        return list(self.specs)


class Components:
    @hookimpl
    def lmkernel_register_components(self) -> list[ComponentSpec]:
        return [
            ComponentSpec(
                contract=CONTRACT_VERSION, name="alibi", interface="attention", load="json:loads"
            )
        ]


def backend(name: str, **fields: object) -> BackendSpec:
    defaults: dict[str, object] = {
        "load": "json:loads",
        "contract": CONTRACT_VERSION,
        "capabilities": Capabilities(),
    }
    return BackendSpec(name=name, **{**defaults, **fields})  # type: ignore[arg-type]


def test_selects_argument_before_environment_before_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    registry = Registry({"p": Plugin(backend("numpy"), backend("one"), backend("two"))})
    monkeypatch.setenv("LMKERNEL_BACKEND", "one")
    assert registry.select_backend("two").name == "two"
    assert registry.select_backend().name == "one"
    monkeypatch.delenv("LMKERNEL_BACKEND")
    assert registry.select_backend().name == "numpy"


def test_unknown_name_suggests_the_closest_and_lists_all() -> None:
    registry = Registry({"p": Plugin(backend("numpy"), backend("torch"))})
    with pytest.raises(UnknownNameError, match=r"'trch'.*'torch'\? Available: numpy, torch"):
        registry.select_backend("trch")


def test_repeated_name_keeps_the_first_and_is_reported() -> None:
    first = backend("same", install="first")
    registry = Registry({"a": Plugin(first), "b": Plugin(backend("same"), backend("other"))})
    kept = registry.all(BackendSpec)
    [(culprit, error)] = registry.problems
    assert set(kept) == {"same", "other"}
    assert kept["same"] is first
    assert culprit == "b"
    assert isinstance(error, DuplicateNameError)


def test_breaking_hook_leaves_the_others_alone() -> None:
    registry = Registry({"bad": Plugin(error=RuntimeError("boom")), "good": Plugin(backend("x"))})
    assert set(registry.all(BackendSpec)) == {"x"}
    [(name, error)] = registry.problems
    assert name == "bad"
    assert isinstance(error, PluginError)
    assert "boom" in str(error)


@pytest.mark.parametrize(
    ("version", "advice"),
    [
        ("2.0", "upgrade lmkernel"),
        ("1.99", "upgrade lmkernel"),
        ("0.3", "upgrade the plugin"),
        ("x", "expected"),
    ],
)
def test_wrong_contract_is_refused_by_name(version: str, advice: str) -> None:
    registry = Registry({"p": Plugin(backend("old", contract=version), backend("fine"))})
    assert set(registry.all(BackendSpec)) == {"fine"}
    [(name, error)] = registry.problems
    assert name == "p"
    assert isinstance(error, ContractVersionError)
    assert "'old'" in str(error)
    assert advice in str(error)


def test_missing_framework_names_the_install_command() -> None:
    spec = backend("gone", requires=("no_such_framework",), install="pip install gone")
    with pytest.raises(MissingDependencyError, match=r"no_such_framework.*pip install gone"):
        Registry({"p": Plugin(spec)}).select_backend("gone")


def test_wrong_type_of_spec_is_reported() -> None:
    registry = Registry({"p": Plugin("not a spec")})
    assert registry.all(BackendSpec) == {}
    assert "expected BackendSpec, got str" in str(registry.problems[0][1])


def test_component_is_found_by_interface_and_kind() -> None:
    registry = Registry({"p": Components()})
    assert registry.component("attention", "alibi").load == "json:loads"
    with pytest.raises(UnknownNameError, match="kind of loss 'alibi'"):
        registry.component("loss", "alibi")


def test_load_that_fails_names_the_spec() -> None:
    with pytest.raises(PluginError, match=r"backend 'b'.*no_such_module"):
        backend("b", load="no_such_module:create").resolve()


def test_malformed_load_is_refused_at_construction() -> None:
    with pytest.raises(PluginError, match=r"package\.module:attribute"):
        backend("b", load="no_attribute")


def test_undeclared_dtype_is_refused() -> None:
    with pytest.raises(CapabilityError, match=r"declares the dtypes float32, float64.*'bfloat16'"):
        Capabilities().require_dtype("b", "bfloat16")


def test_a_device_may_have_other_dtypes_than_the_default_one() -> None:
    own = Capabilities(devices=("cpu", "gpu"), device_dtypes={"gpu": ("float32", "bfloat16")})
    assert own.dtypes_on("gpu:1") == ("float32", "bfloat16")
    assert own.dtypes_on("cpu") == ("float32", "float64")
    assert own.require_dtype("b", "bfloat16", "gpu:0") == "bfloat16"
    with pytest.raises(CapabilityError, match=r"float32, bfloat16 on gpu:0; got 'float64'"):
        own.require_dtype("b", "float64", "gpu:0")


@pytest.mark.parametrize(
    ("device_dtypes", "told"),
    [
        ({"gpu": ("float64",)}, r"device_dtypes of gpu: expected float32 .*got float64"),
        ({"cpu": ("float32",)}, r"device_dtypes: expected any of gpu; got cpu"),
        ({"tpu": ("float32",)}, r"device_dtypes: expected any of gpu; got tpu"),
    ],
)
def test_dtypes_of_a_device_that_contradict(device_dtypes: dict[str, Any], told: str) -> None:
    with pytest.raises(CapabilityError, match=told):
        Capabilities(devices=("cpu", "gpu"), device_dtypes=device_dtypes)


def test_import_brings_no_framework() -> None:
    code = (
        "import sys, lmkernel, lmkernel.plugins as p; p.default_registry().problems;"
        "print([m for m in ('numpy', 'torch', 'tensorflow', 'jax') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
