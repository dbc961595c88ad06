"""`lmkernel backends` lists what is declared, and tries it only if asked."""

from __future__ import annotations

import importlib.metadata
import json
import re
import sys
from typing import TYPE_CHECKING, Any, final

import pytest

import lmkernel_numpy.plugin
from lmkernel.cli import plugin as commands
from lmkernel.cli.main import main
from lmkernel.contract.capabilities import Capabilities
from lmkernel.contract.version import CONTRACT_VERSION
from lmkernel.plugins import BackendSpec, Registry, hookimpl

if TYPE_CHECKING:
    from lmkernel.backend import BackendParts


@final
class Plugin:
    def __init__(self, *specs: BackendSpec) -> None:
        self.specs = specs

    @hookimpl
    def lmkernel_register_backends(self) -> list[BackendSpec]:
        return list(self.specs)


def spec(name: str, **fields: Any) -> BackendSpec:
    defaults: dict[str, Any] = {
        "contract": CONTRACT_VERSION,
        "load": f"{__name__}:breaks",
        "capabilities": Capabilities(
            dtypes=("float32", "float64", "bfloat16"),
            devices=("cpu", "npu"),
            compiled=True,
            shape_step=16,
            unsupported={"scan": "no loops yet"},
            device_dtypes={"npu": ("float32", "bfloat16")},
        ),
    }
    return BackendSpec(name=name, **{**defaults, **fields})


def breaks(device: str) -> BackendParts:
    raise OSError(f"no driver\nfor {device}")


def registry(*specs: BackendSpec) -> Registry:
    return Registry({"cli": commands, "numpy": lmkernel_numpy.plugin, "test": Plugin(*specs)})


@pytest.fixture(autouse=True)
def _default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LMKERNEL_BACKEND", raising=False)


def list_backends(
    capsys: pytest.CaptureFixture[str], *specs: BackendSpec, code: int = 0, **flags: bool
) -> Any:
    arguments = [f"--{flag}" for flag, given in flags.items() if given]
    assert main(["backends", "--json", *arguments], registry=registry(*specs)) == code
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}


def test_json_holds_what_is_declared(capsys: pytest.CaptureFixture[str]) -> None:
    row = list_backends(capsys, spec("new", description="a new one", install="pip install new"))[
        "new"
    ]
    assert row == {
        "name": "new",
        "description": "a new one",
        "installed": True,
        "versions": {},
        "install": "pip install new",
        "devices": ["cpu", "npu"],
        "dtypes": ["float32", "float64", "bfloat16"],
        "device_dtypes": {"npu": ["float32", "bfloat16"]},
        "compiled": True,
        "shape_step": 16,
        "unsupported": {"scan": "no loops yet"},
        "contract": CONTRACT_VERSION,
        "default": False,
        "selected": False,
    }


def test_versions_are_those_installed(capsys: pytest.CaptureFixture[str]) -> None:
    row = list_backends(capsys, spec("new", distributions=("pluggy", "no-such-distribution")))[
        "new"
    ]
    assert row["versions"] == {"pluggy": importlib.metadata.version("pluggy")}


def test_default_is_selected_unless_another_is(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = list_backends(capsys, spec("new"))
    assert [name for name, row in rows.items() if row["selected"]] == ["numpy"]
    monkeypatch.setenv("LMKERNEL_BACKEND", "new")
    rows = list_backends(capsys, spec("new"))
    assert [name for name, row in rows.items() if row["selected"]] == ["new"]
    assert [name for name, row in rows.items() if row["default"]] == ["numpy"]


def test_listing_loads_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert "probe" not in list_backends(capsys, spec("broken"))["broken"]


def test_probe_says_what_works_and_why_not(capsys: pytest.CaptureFixture[str]) -> None:
    absent = spec("absent", requires=("no_such_module",))
    rows = list_backends(capsys, spec("broken"), absent, code=1, probe=True)
    assert rows["numpy"]["probe"] == "ok"
    place = f"{__name__}:breaks"
    assert rows["broken"]["probe"] == f"backend 'broken', {place}: OSError: no driver for cpu"
    assert "probe" not in rows["absent"]


def test_probe_of_what_works_is_a_success(capsys: pytest.CaptureFixture[str]) -> None:
    assert list_backends(capsys, probe=True)["numpy"]["probe"] == "ok"


def test_text_shows_versions_or_the_install_command(capsys: pytest.CaptureFixture[str]) -> None:
    absent = spec("absent", requires=("no_such_module",), install="pip install absent")
    assert main(["backends"], registry=registry(absent)) == 0
    out, err = capsys.readouterr()
    version = re.escape(importlib.metadata.version("numpy"))
    assert re.search(
        rf"^\*  numpy \(default\) +cpu +float32 float64 +any +numpy {version}", out, re.MULTILINE
    )
    assert re.search(
        r"^   absent +cpu npu .* steps of 16 +no; run: pip install absent$", out, re.MULTILINE
    )
    assert "absent does not support scan: no loops yet\n" in out
    assert err == ""


def test_text_of_a_probe(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backends", "--probe"], registry=registry(spec("broken"))) == 1
    out, err = capsys.readouterr()
    assert "; ok\n" in out
    assert re.search(r"^broken is broken: .*: OSError: no driver for cpu$", out, re.MULTILINE)
    assert err == "probing numpy\nprobing broken\n"


def test_faults_of_plugins_are_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["backends"], registry=registry(spec("numpy"))) == 0
    assert capsys.readouterr().err == (
        "lmkernel: warning: backend 'numpy' is registered by plugin 'numpy' already; "
        "the one from plugin 'test' is ignored\n"
    )


def test_selection_that_is_not_registered_is_a_warning(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LMKERNEL_BACKEND", "nonesuch")
    assert main(["backends"], registry=registry()) == 0
    assert capsys.readouterr().err == (
        "lmkernel: warning: LMKERNEL_BACKEND selects 'nonesuch', which is not registered\n"
    )


def test_wrong_product_is_broken(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lmkernel.listing.backends.PRODUCT", [[0, 0], [0, 0]])
    assert main(["backends", "--probe"], registry=registry()) == 1
    assert "numpy is broken: expected [[1, 2], [3, 4]] @" in capsys.readouterr().out
    assert "lmkernel_numpy.backend" in sys.modules
