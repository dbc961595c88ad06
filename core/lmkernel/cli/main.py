"""The entry point of the program ``lmkernel``.

Constraints: help lists every command without importing one, and imports neither NumPy nor a
framework; an error raised on purpose, or of the system, is one line without a traceback; exit
codes are 0, 1 for an error, 2 for wrong usage, 3 for a subject of ``verify`` that cannot be asked,
4 for another process that failed, 130 for an interrupt, 141 for a closed pipe.
"""

from __future__ import annotations

import argparse
import os
import sys
import traceback
import warnings
from typing import TYPE_CHECKING, Any, final

from lmkernel.cli.command import Command
from lmkernel.cli.guarded import checked_code, command_code, work_code
from lmkernel.cli.streams import (
    finish_output,
    open_standard_streams,
    report_output,
    takes_output,
)
from lmkernel.cli.style import paint
from lmkernel.errors import LmkernelError, PluginError, UnknownNameError, printable
from lmkernel.plugins import CommandSpec, default_registry
from lmkernel.plugins.registry import tell_faults
from lmkernel.results import columns
from lmkernel.start import INTERRUPTED

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lmkernel.plugins import Registry

__all__ = ["main"]

DEBUG_VARIABLE = "LMKERNEL_DEBUG"
_MARK = "\0"  # no argument of a program can hold it
ERROR, USAGE = 1, 2


def main(argv: Sequence[str] | None = None, *, registry: Registry | None = None) -> int:
    """Run one command.

    Args:
        argv: the arguments without the program's name; by default the process's.
        registry: the plugins; by default all that is installed.

    Returns:
        the exit code.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    open_standard_streams()
    return finish_output(_attempt(arguments, registry))


def _attempt(arguments: list[str], registry: Registry | None) -> int:
    """The exit code of a command, whatever it raises on purpose or meets in the system."""
    try:
        with (registry or default_registry()).use() as plugins, warnings.catch_warnings():
            warnings.showwarning = _show_warning  # type: ignore[assignment]  # by position alone
            with tell_faults(lambda error: _show_warning(str(error))):
                return _run(arguments, plugins)
    except SystemExit as stop:  # argparse, after help or a usage error; or a plugin's command
        return _leave(stop.code)
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        return INTERRUPTED
    except (LmkernelError, MemoryError) as error:
        return _report(error, arguments)
    except OSError as error:
        if error.filename is not None:
            return _report(error, arguments)
        if not isinstance(error, BrokenPipeError) and takes_output():
            raise
        return report_output(error)


def _leave(code: object) -> int:
    """What Python does with the code of ``SystemExit``: none is 0, a text is shown."""
    if code is None or isinstance(code, int):
        return code or 0
    print(code, file=sys.stderr)
    return ERROR


def _run(arguments: list[str], registry: Registry) -> int:
    specs = registry.all(CommandSpec)
    parser = _parser(specs)
    chosen = next((argument for argument in arguments if not argument.startswith("-")), None)
    if chosen is None:
        parser.parse_args(arguments)
        parser.print_help(sys.stderr)
        return USAGE
    command = _load(chosen, parser, registry)
    at = arguments.index(chosen)
    parser.parse_args(arguments[:at])
    spec = specs[chosen]
    own = _Parser(prog=f"lmkernel {chosen}", description=_sentence(spec.help), allow_abbrev=False)
    _add_debug(own, argparse.SUPPRESS)
    given = argparse.Namespace(arguments=arguments)  # for a command that starts others like itself
    with command_code(spec):
        command.configure(own)
        # options may stand between the positional arguments, and before an optional last one
        parsed = own.parse_intermixed_args(_hide_dashes(arguments[at + 1 :]), given)
        shown = argparse.Namespace(**{k: _show(v) for k, v in vars(parsed).items()})
        with work_code(spec):
            code = command.run(shown)
    return checked_code(spec, code)


def _hide_dashes(arguments: list[str]) -> list[str]:
    """What follows ``--`` marked as no option: argparse reads an intermixed line twice."""
    at = arguments.index("--") if "--" in arguments else len(arguments)
    return arguments[:at] + [_MARK + argument for argument in arguments[at + 1 :]]


def _show(value: Any) -> Any:
    """A parsed value without the mark."""
    if isinstance(value, list):
        return [_show(one) for one in value]
    return value.removeprefix(_MARK) if isinstance(value, str) else value


def _parser(specs: Mapping[str, CommandSpec]) -> _Parser:
    listed = columns([[f"  {spec.name}", spec.help] for spec in specs.values()])
    parser = _Parser(
        prog="lmkernel",
        usage="lmkernel [-h] [--version] [--debug] COMMAND ...",
        description="One language model, every backend.",
        epilog=f"commands:\n{listed}\n\n`lmkernel COMMAND --help` says more of each.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action=_Version, help="show the version and leave")
    _add_debug(parser, f"show the traceback of an error; so does {DEBUG_VARIABLE}=1")
    return parser


@final
class _Parser(argparse.ArgumentParser):
    """Help that cannot be written is an error, as any result is; its own kind passes over it."""

    def _print_message(self, message: str, file: Any = None) -> None:
        (file or sys.stderr).write(message)


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}."


def _add_debug(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument("--debug", action="store_true", default=argparse.SUPPRESS, help=text)


def _load(name: str, parser: argparse.ArgumentParser, registry: Registry) -> Command:
    """Import the chosen command; an unknown name is wrong usage."""
    try:
        spec = registry.get(CommandSpec, name)
    except UnknownNameError as error:
        parser.error(str(error))
    kind = spec.resolve()
    if not (isinstance(kind, type) and issubclass(kind, Command)):
        raise PluginError(f"command {name!r}: expected {spec.load} to be a Command, got {kind!r}")
    made: Command = spec.create(registry)
    return made


@final
class _Version(argparse.Action):
    """Shows the versions of the package and of the contract, which are looked up only then."""

    def __init__(self, option_strings: Sequence[str], dest: str, **options: Any) -> None:
        super().__init__(option_strings, dest, nargs=0, **options)

    def __call__(self, parser: argparse.ArgumentParser, *_: Any) -> None:
        from importlib.metadata import version

        from lmkernel.contract.version import CONTRACT_VERSION

        print(f"lmkernel {version('lmkernel')} (contract {CONTRACT_VERSION})")
        parser.exit()


def _report(error: Exception, arguments: list[str]) -> int:
    if "--debug" in arguments or os.environ.get(DEBUG_VARIABLE):
        traceback.print_exception(error)
    label = paint("error:", "red", sys.stderr)
    text = str(error)
    if isinstance(error, OSError):
        text = f"{error.filename}: {error.strerror}"
    if isinstance(error, MemoryError):
        text = f"there is not enough memory: {text or 'none is left'}"
    print(f"lmkernel: {label} {' '.join(text.split())}", file=sys.stderr)
    return error.exit_code if isinstance(error, LmkernelError) else ERROR


def _show_warning(message: Warning | str, *_: Any) -> None:
    """One line, without the place in a source file."""
    label = paint("warning:", "yellow", sys.stderr)
    print(f"lmkernel: {label} {' '.join(printable(str(message)).split())}", file=sys.stderr)
