"""Fills in the templates of a hook.

Constraint: a template is a file as it will stand, with ``string.Template`` fields, under its path
in the distribution; ``package`` in that path stands for the package's name, and ``.tmpl`` is left
out.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources
from string import Template
from typing import TYPE_CHECKING, final

from lmkernel.plugins.registry import HOOKS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from importlib.resources.abc import Traversable
    from pathlib import Path

    from lmkernel.plugins.specs import Spec

__all__ = ["Names", "hooks", "write_scaffold"]

_PREFIX, _SUFFIX = "lmkernel_register_", ".tmpl"


@final
@dataclass(frozen=True)
class Names:
    """What the parts of a distribution are called.

    Args:
        name: lower-case words joined by hyphens or underscores, such as ``"my-backend"``.
    """

    name: str

    @property
    def distribution(self) -> str:
        """Such as ``"lmkernel-my-backend"``."""
        return f"lmkernel-{self.name.replace('_', '-')}"

    @property
    def package(self) -> str:
        """Such as ``"lmkernel_my_backend"``."""
        return f"lmkernel_{self.name.replace('-', '_')}"

    @property
    def title(self) -> str:
        """Such as ``"MyBackend"``, which classes begin with."""
        return "".join(word.capitalize() for word in self.package.split("_")[1:])


def hooks() -> dict[str, type[Spec]]:
    """What can be registered: a hook's short name, such as ``"backends"``, with its spec."""
    return {name.removeprefix(_PREFIX): spec for spec, name in HOOKS.items()}


def write_scaffold(hook: str, names: Names, folder: Path) -> list[str]:
    """Write the distribution of one hook into ``folder``; returns the paths in it.

    Args:
        hook: one of `hooks`.
        names: the names of the distribution and its parts.
        folder: an empty folder.
    """
    fields = _fields(hook, names)
    templates = resources.files(__package__) / "templates"
    written = []
    for part in ("common", hook):
        for path, template in _files(templates / part):
            target = path.removesuffix(_SUFFIX).replace("package", names.package)
            _write(folder / target, Template(template).substitute(fields))
            written.append(target)
    return sorted(written)


def _fields(hook: str, names: Names) -> dict[str, str]:
    from lmkernel.contract.version import CONTRACT_VERSION
    from lmkernel.scaffolds.stubs import stubs

    return {
        "name": names.name,
        "distribution": names.distribution,
        "package": names.package,
        "title": names.title,
        "hook": hook,
        "contract": CONTRACT_VERSION,
        "operations": stubs() if hook == "backends" else "",
    }


def _files(folder: Traversable, prefix: str = "") -> Iterator[tuple[str, str]]:
    """Every template below a folder: its path there, and its text."""
    for entry in folder.iterdir():
        path = f"{prefix}{entry.name}"
        if entry.is_dir():
            yield from _files(entry, f"{path}/")
        elif entry.name.endswith(_SUFFIX):
            yield path, entry.read_text("utf-8")


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
