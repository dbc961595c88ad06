"""A specification with a field of the wrong kind is refused by the name of plugin and field."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from bad_plugins import HOOK, check_reported

import __main__
from lmkernel.cli.main import main
from lmkernel.contract.capabilities import Capabilities
from lmkernel.errors import MissingDependencyError
from lmkernel.plugins import BackendSpec, Registry

if TYPE_CHECKING:
    from bad_plugins import Site


@pytest.mark.parametrize(
    ("kind", "fields", "said"),
    [
        ("BackendSpec", "contract=1.0", "contract: expected str, got 1.0 (float)"),
        ("BackendSpec", "contract=None", "contract: expected str, got None (NoneType)"),
        ("BackendSpec", "contract='one'", "expected a contract version such as"),
        ("BackendSpec", "contract='9' * 50 + '.0'", "was built for contract 999"),
        ("BackendSpec", "contract='9' * 5000", "contract: expected 'major.minor', got '999"),
        ("BackendSpec", "capabilities=None", "capabilities: expected Capabilities, got None"),
        ("BackendSpec", "capabilities=Capabilities", "capabilities: expected Capabilities, got"),
        ("BackendSpec", "requires=5", "requires: expected tuple[str, ...], got 5 (int)"),
        ("BackendSpec", "requires='torch'", "requires: expected tuple[str, ...], got 'torch'"),
        ("BackendSpec", "requires=(1, 2)", "requires: expected tuple[str, ...], got (1, 2)"),
        ("BackendSpec", "requires=('',)", "requires: expected names of modules, got ''"),
        ("BackendSpec", "requires=('.up',)", "requires: expected names of modules, got '.up'"),
        ("BackendSpec", "distributions=None", "distributions: expected tuple[str, ...], got None"),
        ("BackendSpec", "distributions=('',)", "distributions: expected names of distributions"),
        ("BackendSpec", "install=b'pip'", "install: expected str, got b'pip' (bytes)"),
        ("BackendSpec", "description=0", "description: expected str, got 0 (int)"),
        ("BackendSpec", "native=None", "native: expected tuple[str, ...], got None"),
        ("BackendSpec", "load=None", "load: expected str, got None"),
        ("BackendSpec", "load='nowhere'", "load: expected 'package.module:attribute'"),
        ("BackendSpec", "capabilities=Capabilities(unsupported=None)",
         "capabilities.unsupported: expected dict[str, str], got None"),
        ("BackendSpec", "capabilities=Capabilities(unsupported={'scan': 1})",
         "capabilities.unsupported: expected dict[str, str]"),
        ("BackendSpec", "capabilities=Capabilities(devices='cpu')",
         "capabilities.devices: expected tuple[str, ...], got 'cpu'"),
        ("BackendSpec", "capabilities=Capabilities(shape_step=1.5)",
         "capabilities.shape_step: expected int, got 1.5"),
        ("BackendSpec", "capabilities=Capabilities(compiled='no')",
         "capabilities.compiled: expected bool, got 'no'"),
        ("BackendSpec", "capabilities=Capabilities(device_dtypes=None)",
         "capabilities.device_dtypes: expected dict[str, tuple[DType, ...]], got None (NoneType)"),
        ("BackendSpec", "capabilities=Capabilities(shape_step=None)",
         "capabilities.shape_step: expected int, got None (NoneType)"),
        ("BackendSpec", "capabilities=Capabilities(dtypes=3)",
         "capabilities.dtypes: expected tuple[DType, ...], got 3 (int)"),
        ("BackendSpec", "capabilities=Capabilities(bitwise={'cpu': 'runs'})",
         "bitwise: expected dict[str, tuple[str, ...]], got 'runs' (str) at 'cpu'"),
        ("CommandSpec", "help=None", "help: expected str, got None"),
        ("CommandSpec", "help='one\\ntwo'", "help: expected one line of printable text"),
        ("CommandSpec", "help='%(prog)q'", "help: expected one line of printable text"),
        ("CommandSpec", "help='', call='nowhere'", "call: expected 'package.module:function'"),
        ("CommandSpec", "", "missing 1 required keyword-only argument: 'help'"),
        ("BackendSpec", "name=type('Own', (str,), {'__hash__': lambda self: exit()})('bad')",
         "name: expected str, got"),
        ("BackendSpec", "capabilities=Capabilities(shape_step=True)", "expected int, got True"),
        ("BackendSpec", "description='one\\ntwo'", "description: expected one line of printable"),
        ("BackendSpec", "install='\\x1b[2J'", "install: expected one line of printable text"),
        ("SourceSpec", "models={'\\x1b[2J': ''}", "models: expected one line of printable text"),
        ("SourceSpec", "models={'a': '\\x1b[2J'}", "models: expected one line of printable text"),
        ("SourceSpec", "prefix='a\\n'", "prefix: expected one line of printable text"),
        ("SubjectSpec", "help='\\x1b[2J'", "help: expected one line of printable text"),
        ("SubjectSpec", "help='', install='a\\n'", "install: expected one line of printable text"),
        ("SourceSpec", "models=None", "models: expected dict[str, str], got None"),
        ("SourceSpec", "models=['bad']", "models: expected dict[str, str], got ['bad']"),
        ("SourceSpec", "models={1: 'one'}", "models: expected dict[str, str], got {1: 'one'}"),
        ("SourceSpec", "prefix=None", "prefix: expected str, got None"),
        ("ComponentSpec", "interface='layer'", "interface: expected one of 'embedding', 'encoder'"),
        ("ComponentSpec", "interface=[]", "interface: expected one of 'embedding', 'encoder'"),
        ("FamilySpec", "name=''", "name: expected at most 100 printable"),
        ("FamilySpec", "name='x' * 10**6", "name: expected at most 100 printable characters"),
        ("FamilySpec", "name=None", "model family None: name: expected str, got None"),
        ("OptimizerSpec", "name='\\x1b[2J'", "name: expected at most 100 printable"),
        ("TrackerSpec", "name='--json'", "name: expected at most 100 printable"),
        ("TrackerSpec", "name=' bad'", "name: expected at most 100 printable"),
    ],
)  # fmt: skip
def test_h5_field_of_a_specification(site: Site, kind: str, fields: str, said: str) -> None:
    hook = f"lmkernel_register_{'families' if kind == 'FamilySpec' else kind[:-4].lower() + 's'}"
    common = "dict(name='bad', load='json:loads', contract='1.0')"
    more = " | dict(capabilities=Capabilities())" if kind == "BackendSpec" else ""
    made = f"{kind}(**({common}{more} | dict({fields})))"
    site.add("bad", f"@hookimpl\ndef {hook}():\n    return [{made}]\n")
    check_reported(Registry(), said)


@pytest.mark.parametrize(
    "module",
    [
        "nosuch",
        "nosuch.sub",
        "json.nosuch",
        "json.decoder.nosuch",
        "__main__",
        "exiting_module.sub",
    ],
)
def test_h5_what_is_required_and_cannot_be_found_is_missing(site: Site, module: str) -> None:
    (site.folder / "exiting_module").mkdir()
    (site.folder / "exiting_module" / "__init__.py").write_text("raise SystemExit", "utf-8")
    bad = BackendSpec(
        name="bad", load="a:b", contract="1.0", capabilities=Capabilities(), requires=(module,)
    )
    there = module == "__main__" and __main__.__spec__ is not None  # as with python -m pytest
    assert bad.missing() == (() if there else (module,))


def test_h5_a_backend_without_its_framework_is_listed_and_says_so(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    fields = "name='absent', requires=('nosuch.sub',), install='pip install it', **GOOD"
    site.add("absent", f"{HOOK}():\n    return [BackendSpec({fields})]\n")
    registry = Registry()
    assert main(["backends", "--json"], registry=registry) == 0
    rows = {row["name"]: row["installed"] for row in json.loads(capsys.readouterr().out)}
    assert rows["absent"] is False
    with pytest.raises(MissingDependencyError, match=r"nosuch\.sub.*pip install it"):
        registry.select_backend("absent")
