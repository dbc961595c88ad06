"""The mandatory tier as a class to be filled in, made from the source of the contract itself.

Constraint: order, comments, signatures and docstrings are the contract's; an operation that is not
written yet raises `NotWrittenError` with its name.
"""

from __future__ import annotations

import ast
import inspect
from textwrap import dedent

from lmkernel.contract.mandatory import MandatoryOps

__all__ = ["stubs"]


def stubs() -> str:
    """The body of a subclass of `MandatoryOps`, indented by four spaces."""
    lines = dedent(inspect.getsource(MandatoryOps)).splitlines()
    [contract] = ast.parse("\n".join(lines)).body
    if not isinstance(contract, ast.ClassDef):
        raise TypeError(f"expected the source of a class, got {type(contract).__name__}")
    docstring, *methods = contract.body
    ends = {m.end_lineno: m.name for m in methods if isinstance(m, ast.FunctionDef)}
    written: list[str] = []
    for number, line in enumerate(lines[docstring.end_lineno :], (docstring.end_lineno or 0) + 1):
        if line.strip() != "@abstractmethod":
            written.append(line)
        if number in ends:
            written.append(f'        raise NotWrittenError("{ends[number]}")')
    return "\n".join(written).strip("\n")
