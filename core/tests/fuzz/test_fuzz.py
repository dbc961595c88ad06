"""Whatever a file of a stranger holds, there is a result or one error that names the file.

`LMKERNEL_FUZZ_INPUTS` sets how many inputs of each format are tried, from `LMKERNEL_FUZZ_FIRST` on.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from fuzzing.configs import CONFIGS
from fuzzing.session import NAMES, Session

from lmkernel.families.plugin import FAMILIES

if TYPE_CHECKING:
    from collections.abc import Iterator

FIRST = int(os.environ.get("LMKERNEL_FUZZ_FIRST", "0"))
INPUTS = int(os.environ.get("LMKERNEL_FUZZ_INPUTS", "60"))


def test_every_family_has_a_configuration_to_change() -> None:
    assert CONFIGS.keys() == FAMILIES.keys()


@pytest.fixture(scope="module")
def session() -> Iterator[Session]:
    with Session() as opened:
        yield opened


@pytest.fixture(scope="module", params=NAMES)
def answers(session: Session, request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """What came of each numbered input of a format."""
    return list(session.answers(request.param, range(FIRST, FIRST + INPUTS)))


def test_every_input_ends_in_a_result_or_in_one_error(answers: list[dict[str, Any]]) -> None:
    faults = [
        f"input {answer['number']}: {answer['words']}"
        for answer in answers
        if answer["end"] == "fault"
    ]
    assert not faults, "\n".join(faults[:5])


def test_inputs_are_neither_all_taken_nor_all_refused(answers: list[dict[str, Any]]) -> None:
    assert {answer["end"] for answer in answers} == {"result", "refusal"}


def test_the_harness_sees_a_fault(session: Session) -> None:
    lost = session.ask(format="the format of nothing", number=0)
    assert lost["end"] == "fault"
    assert "the process died" in lost["words"]
    assert session.ask(format="safetensors", number=0)["end"] != "fault"
