"""Whatever a file of a stranger holds, there is a result or one error that names the file.

`LMKERNEL_FUZZ_INPUTS` sets how many inputs of each format are tried, from `LMKERNEL_FUZZ_FIRST` on.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

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


@pytest.mark.parametrize("name", NAMES)
def test_every_input_ends_in_a_result_or_in_one_error(session: Session, name: str) -> None:
    faults = [
        f"input {fault['number']}: {fault['words']}"
        for fault in session.faults(name, range(FIRST, FIRST + INPUTS))
    ]
    assert not faults, "\n".join(faults[:5])


@pytest.mark.parametrize("name", NAMES)
def test_inputs_are_neither_all_taken_nor_all_refused(session: Session, name: str) -> None:
    ends = {session.ask(format=name, number=number)["end"] for number in range(40)}
    assert ends == {"result", "refusal"}


def test_the_harness_sees_a_fault(session: Session) -> None:
    lost = session.ask(format="the format of nothing", number=0)
    assert lost["end"] == "fault"
    assert "the process died" in lost["words"]
    assert session.ask(format="safetensors", number=0)["end"] != "fault"
