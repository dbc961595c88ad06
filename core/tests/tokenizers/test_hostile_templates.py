"""A chat template that means harm gets one sentence, and no process grows or hangs with it.

The templates render in a process of their own, each under limits of the system (`hostile_templates`
in the tests' support). Judged is what came of them; the limits are far above what is asked for, so
that a slow machine changes nothing.
"""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from typing import Any

import hostile_templates
import pytest
from hostile_templates import H1, H2, H3, HARMLESS, M15

TABLES = {
    "H1": H1,
    "H2": H2,
    "H3": H3,
    "M15": M15,
    "harmless": {name: source for name, (source, _) in HARMLESS.items()},
}
HELD = 512  # MiB that a process may hold at its peak


@cache
def outcomes(table: str) -> dict[str, list[Any]]:
    """How each template of a table ended, in what words, and at what peak of memory."""
    done = subprocess.run(
        [sys.executable, hostile_templates.__file__],
        input=json.dumps(TABLES[table]),
        capture_output=True,
        text=True,
        check=False,
        timeout=1800,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    result: dict[str, list[Any]] = json.loads(done.stdout)
    return result


def check_refusal(outcome: list[Any]) -> None:
    """One sentence, in bounded memory."""
    end, words, peak = outcome
    assert end == "refused", words
    assert words.startswith("the chat template ")
    assert "\n" not in words
    assert len(words) < 400
    assert peak < HELD


@pytest.mark.parametrize("name", H1)
def test_h1_a_budget_of_its_own_changes_nothing(name: str) -> None:
    check_refusal(outcomes("H1")[name])


@pytest.mark.parametrize("name", H2)
def test_h2_work_that_is_no_turn_of_a_loop_is_counted(name: str) -> None:
    check_refusal(outcomes("H2")[name])


@pytest.mark.parametrize("name", H3)
def test_h3_one_call_makes_no_gigabytes(name: str) -> None:
    check_refusal(outcomes("H3")[name])


@pytest.mark.parametrize("name", M15)
def test_m15_what_is_no_program_is_a_template_error(name: str) -> None:
    check_refusal(outcomes("M15")[name])


@pytest.mark.parametrize("name", HARMLESS)
def test_what_costs_nothing_here_renders(name: str) -> None:
    end, words, _ = outcomes("harmless")[name]
    assert (end, words) == ("rendered", HARMLESS[name][1])


def test_random_filter_is_refused() -> None:
    assert "'random', which is not offered" in outcomes("H3")["random"][1]
