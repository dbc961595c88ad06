"""What the author of a new backend writes next: the operations that are missing, by level.

Constraint: no operation is called to find out. An operation is missing as long as its code still
names `NotWrittenError`, as ``lmkernel new backend`` writes it. One that the backend declares
unsupported is not missing.
"""

from __future__ import annotations

import inspect
import sys
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.contract.mandatory import MandatoryOps
from lmkernel.errors import LmkernelError, NotWrittenError
from lmkernel_conformance.levels import LEVELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lmkernel.backend import Backend

__all__ = ["FIRST_LEVEL", "Step", "describe_steps", "main", "next_steps"]

_DOCUMENT = (
    "asarray", "to_numpy", "full", "arange", "astype", "dtype", "reshape", "permute_dims", "take",
    "exp", "log", "maximum", "sum", "max", "matmul", "stop_gradient", "compile",
)  # fmt: skip
_GRADIENTS = ("value_and_grad",)

FIRST_LEVEL: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(_DOCUMENT, "document") | dict.fromkeys(_GRADIENTS, "gradients")
)
"""The first level of the suite that needs an operation, in the profile inference.

Operations that are not listed are needed from the level ``"operations"`` on; gradients are listed
although the profile has none.
"""


@final
@dataclass(frozen=True)
class Step:
    """The operations that one level waits for.

    Args:
        level: the level of the suite.
        operations: the missing operations that no earlier level needs, in the contract's order.
    """

    level: str
    operations: tuple[str, ...]


def next_steps(backend: Backend) -> list[Step]:
    """The levels that lack operations, lowest first; empty if every operation is written."""
    missing = [name for name in _operations() if _is_missing(getattr(backend.ops, name))]
    steps = []
    for level in LEVELS:
        own = tuple(name for name in missing if FIRST_LEVEL.get(name, "operations") == level)
        steps += [Step(level, own)] if own else []
    return steps


def describe_steps(name: str, steps: Sequence[Step]) -> str:
    """The steps as lines of text, with the command that checks the first; empty without steps.

    Args:
        name: the backend's name.
        steps: what `next_steps` gives.
    """
    if not steps:
        return ""
    count = sum(len(step.operations) for step in steps)
    lines = [
        f"what to write next for {name}: {count} of {len(_operations())} operations are missing"
    ]
    for number, step in enumerate(steps, 1):
        lines.append(f"  {number}. level {step.level}: {', '.join(step.operations)}")
        if step.level == "gradients":
            lines.append("     (or declare it unsupported, and certify the profile inference)")
    profile = "" if steps[0].level == "gradients" else " --profile inference"
    lines.append(f"then: lmkernel certify {name} --level {steps[0].level}{profile}")
    return "\n".join(lines)


def _operations() -> tuple[str, ...]:
    """The mandatory tier, in the order of the contract."""
    return tuple(name for name in vars(MandatoryOps) if name in MandatoryOps.__abstractmethods__)


def _is_missing(operation: Any) -> bool:
    function = inspect.unwrap(operation)
    code = getattr(getattr(function, "__func__", function), "__code__", None)
    return code is not None and NotWrittenError.__name__ in code.co_names


def main(argv: Sequence[str] | None = None) -> int:
    """Print the steps of the backend that is named; the exit code is 1 if there are any.

    It runs as ``python -m lmkernel_conformance.next_steps NAME``.
    """
    from lmkernel.backend import load_backend

    [name] = sys.argv[1:] if argv is None else argv
    try:
        steps = next_steps(load_backend(name))
    except LmkernelError as error:
        print(f"lmkernel: error: {error}", file=sys.stderr)  # noqa: T201 - a command's errors are printed
        return 1
    if steps:
        print(describe_steps(name, steps))  # noqa: T201 - a command's results are printed
    return int(bool(steps))


if __name__ == "__main__":
    sys.exit(main())
