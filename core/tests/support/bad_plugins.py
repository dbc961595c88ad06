"""Plugins that are installed for one test: a module, and the metadata that pip would write."""

from __future__ import annotations

from typing import TYPE_CHECKING, final

from lmkernel.plugins import BackendSpec, Registry

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["HOOK", "Site", "check_reported"]

BUILT_IN = {"numpy", "torch", "tensorflow", "jax", "good"}
HOOK = "@hookimpl\ndef lmkernel_register_backends"
HEAD = """
from lmkernel.contract.capabilities import Capabilities
from lmkernel.plugins import *

GOOD = dict(load="json:loads", contract="1.0", capabilities=Capabilities())

class Own(BaseException):
    pass
"""
GOOD = """
@hookimpl
def lmkernel_register_backends():
    return [BackendSpec(name="good", **GOOD)]
"""


@final
class Site:
    """A folder of installed distributions; a plugin that works, "good", is there beside the others.

    Args:
        folder: on the path of imports.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.add("good", GOOD)

    def add(self, name: str, source: str, *, distribution: str = "", target: str = "") -> None:
        """Install a plugin.

        Args:
            name: of the entry point; its module is ``NAME_plugin``.
            source: of its module, after `HEAD`.
            distribution: its name, by default ``lmkernel-NAME``; one may hold several plugins.
            target: what the entry point names in the module, by default the module itself.
        """
        module = f"{distribution.replace('-', '_') or name}_plugin"
        (self.folder / f"{module}.py").write_text(HEAD + source, "utf-8")
        point = f"{name} = {module}{f':{target}' if target else ''}\n"
        self.entry_points(distribution or f"lmkernel-{name}", f"[lmkernel]\n{point}")

    def entry_points(self, distribution: str, text: str) -> None:
        """Install a distribution with these entry points."""
        info = self.folder / f"{distribution.replace('-', '_')}-1.dist-info"
        info.mkdir()
        head = f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1\n"
        (info / "METADATA").write_text(head, "utf-8")
        (info / "entry_points.txt").write_text(text, "utf-8")


def check_reported(registry: Registry, *said: str, name: str = "bad") -> None:
    """The one plugin at fault is named, with its reason; all backends are there but its own."""
    problems = registry.problems
    assert {culprit for culprit, _ in problems} == {name}
    text = "\n".join(str(error) for _, error in problems)
    assert all(part in text for part in (repr(name), *said)), text
    assert len(text) < 2000
    assert set(registry.all(BackendSpec)) >= BUILT_IN
    assert "bad" not in registry.all(BackendSpec)
