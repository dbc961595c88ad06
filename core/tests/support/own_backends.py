"""A backend of a test's own: a distribution in a folder, installed by being on the path."""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lmkernel_conformance.canonical import with_hash
from lmkernel_conformance.manifest import Manifest, read_manifest

if TYPE_CHECKING:
    from pathlib import Path

_PLUGIN = """
from lmkernel.contract.capabilities import Capabilities
from lmkernel.plugins import BackendSpec, hookimpl

@hookimpl
def lmkernel_register_backends():
    return [
        BackendSpec(
            name="{name}",
            contract="1.0",
            load="{name}.backend:create",
            requires={requires},
            capabilities=Capabilities({capabilities}),
        )
    ]
"""
_HONEST = """
from dataclasses import replace
from lmkernel_numpy.backend import create as honest

def create(device):
    parts = honest(device)
    return replace(parts, overrides={**parts.overrides, **overrides(parts)})

def overrides(parts):
    return {}
"""
NUMPY = ("numpy", "autograd", "lmkernel_numpy")


@dataclass(frozen=True, kw_only=True)
class Own:
    """A backend of a test.

    Args:
        source: of its module, after a ``create`` that hands out NumPy's with ``overrides(parts)``.
        requires: modules that its spec names.
        capabilities: arguments of `Capabilities`, as source.
        known: its file of known failures.
        cases: names of the cases that its manifest asks for begin with one of these.
        profile: that is asked for.
        limit: seconds for one case.
        strict: whether its strict scope is entered.
    """

    source: str = ""
    requires: tuple[str, ...] = NUMPY
    capabilities: str = ""
    known: str = ""
    cases: tuple[str, ...] = ("operations/softmax", "operations/gelu", "document/loss")
    profile: str = "inference"
    limit: float = 60.0
    strict: bool = False


def part_of_manifest(prefixes: tuple[str, ...]) -> Manifest:
    """A manifest that asks for fewer cases."""
    whole = read_manifest()
    cases = {name: about for name, about in whole.cases.items() if name.startswith(prefixes)}
    return Manifest(with_hash({**whole.content, "cases": cases}))


def install(folder: Path, name: str, own: Own) -> None:
    """Write the package and its metadata into ``folder``."""
    package, info = folder / name, folder / f"{name}-1.0.dist-info"
    for place in (package, info):
        place.mkdir(exist_ok=True)
    plugin = _PLUGIN.format(name=name, requires=own.requires, capabilities=own.capabilities)
    (package / "__init__.py").write_text("", encoding="utf-8")
    (package / "plugin.py").write_text(plugin, encoding="utf-8")
    source = _HONEST + textwrap.dedent(own.source)
    (package / "backend.py").write_text(source, encoding="utf-8")
    if own.known:
        known = textwrap.dedent(own.known)
        (package / "lmkernel_known_failures.toml").write_text(known, encoding="utf-8")
    entry = f"[lmkernel]\n{name} = {name}.plugin\n"
    (info / "entry_points.txt").write_text(entry, encoding="utf-8")
    metadata = f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n"
    (info / "METADATA").write_text(metadata, encoding="utf-8")
