"""What a process sends from step to step, and what is said of it."""

from __future__ import annotations

from lmkernel.training.run.traffic import Traffic, describe_costs


def test_the_least_between_two_steps_is_a_steps_own() -> None:
    counts = iter([100, 130, 230, 260])
    traffic = Traffic(lambda: next(counts))
    assert [traffic.step() for _ in range(3)] == [30, 100, 30]
    assert traffic.least == 30


def test_where_nothing_counts_nothing_is_said_of_it() -> None:
    traffic = Traffic(lambda: None)
    assert traffic.step() is None
    assert traffic.least is None
    assert "sent" not in describe_costs(traffic, None)
