"""What is built in keeps its names, whoever else registers them, and however."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

import pytest
from bad_plugins import HOOK, check_reported

from lmkernel.contract.capabilities import Capabilities
from lmkernel.errors import DuplicateNameError
from lmkernel.plugins import BackendSpec, CommandSpec, FamilySpec, Registry, hookimpl

if TYPE_CHECKING:
    from bad_plugins import Site

TAKEN = {
    "backend": ("BackendSpec(name='numpy', **GOOD)", "backends", BackendSpec, "numpy"),
    "command": (
        "CommandSpec(name='models', load='json:loads', contract='1.0', help='')",
        "commands", CommandSpec, "models",
    ),
    "family": (
        "FamilySpec(name='llama', load='json:loads', contract='1.0')",
        "families", FamilySpec, "llama",
    ),
}  # fmt: skip


@pytest.mark.parametrize("order", ["", "tryfirst=True", "trylast=True"])
@pytest.mark.parametrize(("spec", "hook", "kind", "name"), list(TAKEN.values()), ids=list(TAKEN))
def test_h6_built_in_name(
    site: Site, order: str, spec: str, hook: str, kind: type[BackendSpec], name: str
) -> None:
    site.add("bad", f"@hookimpl({order})\ndef lmkernel_register_{hook}():\n    return [{spec}]\n")
    registry = Registry()
    assert registry.get(kind, name).load != "json:loads"
    check_reported(registry, f"{name!r} is registered by plugin", "the one from plugin 'bad'")
    assert isinstance(registry.problems[0][1], DuplicateNameError)


def test_h6_entry_point_with_the_name_of_a_built_in_plugin(site: Site) -> None:
    site.add("numpy", f"{HOOK}():\n    return [BackendSpec(name='numpy', **GOOD)]\n",
             distribution="aaa-first")  # fmt: skip
    registry = Registry()
    assert registry.get(BackendSpec, "numpy").load.startswith("lmkernel_numpy.")
    check_reported(registry, "is registered by plugin 'numpy'", name="numpy of aaa-first")


def test_h6_two_plugins_of_one_name_both_work(site: Site) -> None:
    for name in ("first", "second"):
        source = f"{HOOK}():\n    return [BackendSpec(name={name!r}, **GOOD)]\n"
        site.add("plugin", source, distribution=f"lmkernel-{name}")
    registry = Registry()
    assert registry.problems == []
    assert {"first", "second"} <= set(registry.all(BackendSpec))


def test_h6_a_name_registered_again_leaves_the_first_alone() -> None:
    registry = Registry({"same": _Backends("one")})
    registry.register("same", _Backends("two"))
    assert set(registry.all(BackendSpec)) == {"one"}
    [(name, error)] = registry.problems
    assert (name, str(error)) == ("same", "plugin 'same': the name of another; it is ignored")


@final
class _Backends:
    def __init__(self, name: str) -> None:
        self.name = name

    @hookimpl
    def lmkernel_register_backends(self) -> list[BackendSpec]:
        capabilities = Capabilities()
        return [BackendSpec(name=self.name, load="a:b", contract="1.0", capabilities=capabilities)]


def test_metadata_that_cannot_be_read_are_named(site: Site) -> None:
    site.entry_points("lmkernel-bad", "[lmkernel]\nthis is no entry point\n")
    check_reported(Registry(), "the entry points of distribution", name="lmkernel-bad")
