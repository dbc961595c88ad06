"""``lmkernel new``: begins a backend or another plugin, as a distribution of its own.

Constraints: the folder appears whole or not at all; nothing that is there is overwritten, and no
name is given twice.
"""

from __future__ import annotations

import re
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, final

from lmkernel.arguments import require_known
from lmkernel.cli.command import Command
from lmkernel.errors import InputError
from lmkernel.paths import user_path
from lmkernel.plugins import default_registry
from lmkernel.scaffolds import Names, hooks, write_scaffold

if TYPE_CHECKING:
    import argparse


__all__ = ["New"]

_BACKENDS = "backends"
_NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")


@final
class New(Command):
    """Writes the distribution, and says what to do next."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The kind of plugin, and its name."""
        parser.add_argument("what", choices=("backend", "plugin"), help="what is begun")
        parser.add_argument("name", metavar="NAME", help="such as toy: the name that selects it")
        parser.add_argument(
            "--hook", metavar="HOOK", help=f"what a plugin registers: {', '.join(hooks())}"
        )
        parser.add_argument("--folder", metavar="DIR", help="where (default: lmkernel-NAME)")

    def run(self, args: argparse.Namespace) -> int:
        """Write it, if the name is free and the folder empty."""
        hook = _hook(args.what, args.hook)
        names = Names(_check_name(args.name))
        _refuse_known_names(names, hook)
        folder = user_path(args.folder or names.distribution)
        written = _write(hook, names, folder)
        print("\n".join(str(folder / path) for path in written))
        print(_advice(hook, names, folder), file=sys.stderr)
        return 0


def _hook(what: str, hook: str | None) -> str:
    """The hook's short name, which need not be said for a backend."""
    wanted = (hook or (_BACKENDS if what == "backend" else "")).removeprefix("lmkernel_register_")
    if not wanted:
        raise InputError(f"new plugin: expected --hook and one of {', '.join(hooks())}")
    require_known("hook", wanted, hooks())
    if what == "backend" and wanted != _BACKENDS:
        raise InputError(f"new backend: expected no hook but {_BACKENDS}, got {wanted!r}")
    return wanted


def _check_name(name: str) -> str:
    if not _NAME.fullmatch(name):
        words = re.findall(r"[a-z0-9]+", name.lower())
        better = "-".join(words).lstrip("-0123456789")
        hint = f"; {better!r} would do" if better else ""
        raise InputError(
            "expected a name of lower-case letters and digits, with a letter first and single "
            f"hyphens or underscores between words, got {name!r}{hint}"
        )
    return name


def _refuse_known_names(names: Names, hook: str) -> None:
    """Raise if what is installed has this name, or a package of this name."""
    from importlib.metadata import entry_points
    from importlib.util import find_spec

    kind = hooks()[hook]
    if names.name in {spec.name for spec in default_registry().all(kind).values()}:
        raise _conflict(f"a {kind.what} that is installed", names.name)
    if names.name in {point.name for point in entry_points(group="lmkernel")}:
        raise _conflict("a plugin that is installed", names.name)
    if find_spec(names.package) is not None:
        raise _conflict("a package that is installed", names.package)


def _conflict(whose: str, name: str) -> InputError:
    return InputError(f"{name!r} is the name of {whose}; choose another")


def _write(hook: str, names: Names, folder: Path) -> list[str]:
    from lmkernel.atomic import new_directory

    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: expected a folder that is new or empty")
    if folder.is_dir():
        return _fill(hook, names, folder)
    with new_directory(folder.absolute()) as part:
        return write_scaffold(hook, names, part)


def _fill(hook: str, names: Names, folder: Path) -> list[str]:
    """Write into a folder that exists, which may be the current one."""
    try:
        with tempfile.TemporaryDirectory(dir=folder, prefix=".new-") as part:
            written = write_scaffold(hook, names, Path(part))
            for entry in Path(part).iterdir():
                entry.rename(folder / entry.name)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written: {error.strerror or error}") from error
    return written


def _advice(hook: str, names: Names, folder: Path) -> str:
    """What to run next."""
    quoted = shlex.quote(str(folder))
    lines = [f"pip install -e {quoted}"]
    if hook == _BACKENDS:
        lines += ["lmkernel backends", f"lmkernel certify {names.name}"]
    else:
        lines.append(f"pytest {quoted}")
    return "\nnext:\n" + "\n".join(f"  {line}" for line in lines)
