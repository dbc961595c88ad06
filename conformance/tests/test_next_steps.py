"""The next steps of an author: missing operations, in the order in which levels need them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lmkernel.backend import load_backend
from lmkernel.composed import assemble
from lmkernel.contract.mandatory import MandatoryOps
from lmkernel.errors import NotWrittenError
from lmkernel_conformance.cases import CASES, items
from lmkernel_conformance.next_steps import FIRST_LEVEL, Step, describe_steps, main, next_steps
from lmkernel_conformance.runner import attempt
from lmkernel_conformance.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.backend import Backend

OPERATIONS = [name for name in vars(MandatoryOps) if name in MandatoryOps.__abstractmethods__]


def backend(
    change: Callable[[str, Any], Any], unsupported: tuple[str, ...] = (), **overrides: Any
) -> Backend:
    """The default backend, each operation of the mandatory tier changed."""
    plain = load_backend("numpy")
    tier: Any = SimpleNamespace(**{n: change(n, getattr(plain.ops, n)) for n in OPERATIONS})
    return replace(plain, ops=assemble(tier, overrides, dict.fromkeys(unsupported, "so it is")))


def without(*names: str) -> Callable[[str, Any], Any]:
    def change(name: str, operation: Any) -> Any:
        def stub(*_: Any) -> Any:
            raise NotWrittenError(name)

        return stub if name in names else operation

    return change


def calls_of_level(level: str) -> set[str]:
    """The operations that a level calls, in the profile inference unless that has none of it."""
    called = set()

    def recording(name: str, operation: Any) -> Any:
        def record(*args: Any, **options: Any) -> Any:
            called.add(name)
            return operation(*args, **options)

        return record

    profile = "full" if level == "gradients" else "inference"
    chosen = items(CASES.values(), profile=profile, levels=[level], declared=["float32", "float64"])
    with np.errstate(all="ignore"):  # some cases ask for infinities
        subject = Subject(backend=backend(recording))
        errors = [attempt(subject, item).error for item in chosen]
    assert [error for error in errors if error is not None] == []
    return called


def test_first_level_is_the_first_that_calls_an_operation() -> None:
    first: dict[str, str] = {}
    for level in ("document", "operations", "gradients"):
        for name in calls_of_level(level):
            first.setdefault(name, level)
    assert {n: level for n, level in first.items() if level != "operations"} == FIRST_LEVEL
    assert set(first) == set(OPERATIONS)


def test_nothing_is_missing_from_a_whole_backend() -> None:
    whole = load_backend("numpy")
    assert next_steps(whole) == []
    assert describe_steps("numpy", []) == ""


def test_steps_are_in_the_order_of_levels_and_of_the_contract() -> None:
    some = backend(without("value_and_grad", "tanh", "sqrt", "sum", "asarray"))
    assert next_steps(some) == [
        Step("document", ("asarray", "sum")),
        Step("operations", ("sqrt", "tanh")),
        Step("gradients", ("value_and_grad",)),
    ]


def test_declared_as_unsupported_is_not_missing() -> None:
    assert next_steps(backend(without("value_and_grad"), ("value_and_grad",))) == []


@pytest.mark.parametrize(
    ("names", "lines"),
    [
        (
            ("erf", "value_and_grad"),
            [
                "what to write next for toy: 2 of 32 operations are missing",
                "  1. level operations: erf",
                "  2. level gradients: value_and_grad",
                "     (or declare it unsupported, and certify the profile inference)",
                "then: lmkernel certify toy --level operations --profile inference",
            ],
        ),
        (
            ("value_and_grad",),
            [
                "what to write next for toy: 1 of 32 operations are missing",
                "  1. level gradients: value_and_grad",
                "     (or declare it unsupported, and certify the profile inference)",
                "then: lmkernel certify toy --level gradients",
            ],
        ),
    ],
)
def test_steps_are_told_with_the_next_command(names: tuple[str, ...], lines: list[str]) -> None:
    assert describe_steps("toy", next_steps(backend(without(*names)))).splitlines() == lines


def test_command_says_nothing_of_a_whole_backend(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["numpy"]) == 0
    assert capsys.readouterr() == ("", "")


def test_command_tells_an_unknown_backend(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["nmpy"]) == 1
    assert "Did you mean 'numpy'?" in capsys.readouterr().err
