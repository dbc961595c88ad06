"""Every error that lmkernel raises on purpose.

Constraints: a message says what was expected, what came and where; a command prints it as one line
without a traceback. Programming errors inside the library stay ordinary Python exceptions.
"""

from __future__ import annotations

import difflib
import reprlib
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = [
    "CacheError",
    "CapabilityError",
    "CheckpointError",
    "ConfigError",
    "ContractVersionError",
    "DuplicateNameError",
    "InputError",
    "LmkernelError",
    "MissingDependencyError",
    "NotFiniteError",
    "NotWrittenError",
    "PeerError",
    "PluginError",
    "PullError",
    "RunError",
    "SubjectError",
    "TemplateError",
    "TrackerError",
    "UnknownNameError",
]


_LONGEST, _MOST_BITS = 2000, 14_000  # Python writes 4,300 digits
_CONTROLS = [code for code in (*range(32), *range(127, 160)) if chr(code) not in "\t\n"]
_ESCAPES: Mapping[int, str] = MappingProxyType({code: f"\\x{code:02x}" for code in _CONTROLS})


def printable(text: str) -> str:
    """A text as it can be shown: one of kilobytes is cut in the middle.

    What would move a terminal's cursor, or cannot be written, becomes escapes.
    """
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST * 3 // 4]} […] {text[-_LONGEST // 4 :]}"
    return text.translate(_ESCAPES).encode("utf-8", "backslashreplace").decode()


def shown(value: object) -> str:
    """What came, as a message says it: cut where it is long, deep or holds itself."""
    short = _Short()
    short.maxlevel, short.maxstring, short.maxother, short.maxlong = 3, 80, 80, 80
    try:
        return printable(short.repr(value))
    except Exception:  # noqa: BLE001 - a class of a caller, which may do anything
        return printable(object.__repr__(value))


@final
class _Short(reprlib.Repr):
    """A short text of any value."""

    def repr_int(self, value: int, level: int) -> str:
        """A number of thousands of digits has no text at all."""
        long = value.bit_length() > _MOST_BITS
        return f"<int of {value.bit_length()} bits>" if long else super().repr_int(value, level)


def as_text(value: object) -> str:
    """The text of a name, a dtype or a device; what has none comes as a message shows it."""
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - a caller's own class, or a list that holds itself
        return shown(value)


class LmkernelError(Exception):
    """Base of all errors that lmkernel raises on purpose; `exit_code` is what a command ends in.

    What a file holds gets into messages, so they are `printable`; ``args`` keep the whole.
    """

    exit_code: ClassVar[int] = 1

    def __str__(self) -> str:
        return printable(super().__str__())


class UnknownNameError(LmkernelError):
    """A name that nothing is registered under.

    Args:
        what: the kind of thing asked for, such as ``"backend"``.
        name: the name that came, or what came in place of one.
        known: the names that are there; the closest is suggested.
        fault: what is wrong with the plugin that would have had the name.
    """

    def __init__(
        self,
        what: str,
        name: object,
        known: Iterable[str],
        fault: LmkernelError | None = None,
    ) -> None:
        names = sorted(known)
        close = difflib.get_close_matches(name, names, n=1) if isinstance(name, str) else []
        hint = f" Did you mean {close[0]!r}?" if close else ""
        there = ", ".join(names) or "none"
        because = "" if fault is None else f": {fault}"
        super().__init__(f"unknown {what} {shown(name)}{because}.{hint} Available: {there}")
        self.name = name
        self.known = tuple(names)
        self.fault = fault


class DuplicateNameError(LmkernelError):
    """Two plugins register the same name."""

    def __init__(self, what: str, name: str, first: str, second: str) -> None:
        super().__init__(
            f"{what} {name!r} is registered by plugin {first!r} already; "
            f"the one from plugin {second!r} is ignored"
        )


class PluginError(LmkernelError):
    """A plugin that cannot be used: it breaks on import, or registers something malformed."""


class ContractVersionError(PluginError):
    """A plugin was built for a version of the contract that this core does not speak."""


class MissingDependencyError(LmkernelError):
    """A known backend or feature whose library is not installed; the message says what to run."""


class CapabilityError(LmkernelError):
    """A dtype, device or operation that a backend does not declare."""


class NotWrittenError(LmkernelError, NotImplementedError):
    """An operation of a new backend that its author has still to write; `name` says which."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"the operation {name!r} is not written yet; lmkernel.contract says what it does"
        )
        self.name = name


class ConfigError(LmkernelError, ValueError):
    """A model configuration that contradicts itself; the message names the field."""


class CheckpointError(LmkernelError):
    """A checkpoint that cannot be read or written; the message names the file and the tensor."""


class InputError(LmkernelError, ValueError):
    """A prompt or argument that cannot be used; the message says what was expected."""


class CacheError(LmkernelError):
    """A decoding state that was consumed already, or that is full."""


class TemplateError(LmkernelError):
    """A chat template that fails, or that asks for more than a template may."""


class NotFiniteError(LmkernelError):
    """A loss, a gradient or a result that is NaN or infinite; the message says which, and where."""


class PullError(LmkernelError):
    """A model that could not be fetched; what had been there before is untouched."""


class RunError(LmkernelError):
    """A training run that cannot begin or go on; what it had written is untouched."""


class PeerError(RunError):
    """Another process of a run failed or cannot be reached; the message says which, if known."""

    exit_code = 4


class SubjectError(LmkernelError):
    """A subject of `lmkernel verify` that cannot be asked, or whose answer cannot be compared."""

    exit_code = 3


class TrackerError(LmkernelError):
    """A tracker that cannot record a run; the message names the tracker and says what to do."""
