"""A backend that crashes or hangs fails the case that it ran, by name; all others run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import pytest
from own_backends import Own

from lmkernel_conformance.isolation import session
from lmkernel_conformance.manifest import Key

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    Certify = Callable[[Own], dict[str, Any]]


@pytest.mark.parametrize(
    ("deed", "state", "message"),
    [
        ("import ctypes; ctypes.string_at(0)", "crashed", "SIGSEGV Fatal Python error"),
        ("import os; os.abort()", "crashed", "SIGABRT Fatal Python error"),
        ("import time; time.sleep(60)", "hung", "no result within 2 seconds"),
    ],
)
def test_crash_and_hang(certify: Certify, deed: str, state: str, message: str) -> None:
    source = f"""
    def overrides(parts):
        def gelu(x):
            {deed}
        return {{"gelu": gelu}}
    """
    cases = ("operations/gelu", "operations/mse", "operations/relu")
    certificate = certify(Own(source=source, cases=cases, limit=2.0))
    rows = {f"{row['case']}[{row['dtype']}]": row for row in certificate["cases"]}
    assert rows["operations/gelu[float32]"]["state"] == state
    assert message in rows["operations/gelu[float32]"]["message"]
    assert rows["operations/mse[float64]"]["state"] == "passed"
    assert rows["operations/relu[float64]"]["state"] == "passed"
    assert certificate["verdict"] == "not certified"


def test_a_process_that_keeps_too_much_memory_is_replaced(
    certify: Certify, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    processes = tmp_path / "processes"
    source = f"""
    import os
    kept = []

    def overrides(parts):
        with open({str(processes)!r}, "a") as file:
            print(os.getpid(), file=file)
        def relu(x):
            kept.append(b"x" * (1 << 28))
            return parts.mandatory.where(x > 0, x, 0 * x)
        return {{"relu": relu}}
    """
    monkeypatch.setattr(session, "_MOST_KEPT", 1 << 27)
    certificate = certify(Own(source=source, cases=("operations/gelu", "operations/relu")))
    assert certificate["verdict"] == "certified"
    assert len(processes.read_text().split()) == 3, "two by default, one in the strict scope"


def test_what_a_backend_prints_does_not_disturb(certify: Certify) -> None:
    source = """
    def overrides(parts):
        print("{}", flush=True)
        return {}
    """
    assert certify(Own(source=source, cases=("operations/gelu",)))["verdict"] == "certified"


@pytest.mark.parametrize(("strict", "verdict"), [(True, "certified"), (False, "not certified")])
def test_strict_enters_the_scope_of_the_backend(
    certify: Certify, strict: bool, verdict: str
) -> None:
    source = """
    import contextlib, contextvars
    from lmkernel.composed import assemble
    exact = contextvars.ContextVar("exact", default=False)

    @contextlib.contextmanager
    def strictly():
        token = exact.set(True)
        yield
        exact.reset(token)

    def create(device):
        parts = honest(device)
        right = assemble(parts.mandatory, parts.overrides)
        def gelu(x):
            return right.gelu(x) if exact.get() else x
        return replace(parts, overrides={**parts.overrides, "gelu": gelu}, strict=strictly)
    """
    certificate = certify(Own(source=source, cases=("operations/gelu",), strict=strict))
    assert certificate["verdict"] == verdict
    assert ("strict" in certificate["precision"]) == strict


def test_a_backend_that_cannot_be_loaded_says_why(certify: Certify) -> None:
    certificate = certify(Own(source="import nowhere_to_be_found", cases=("operations/gelu",)))
    [reason] = certificate["reasons"]
    assert "No module named 'nowhere_to_be_found'" in reason
    assert certificate["problems"] == [reason]
    assert certificate["verdict"] == "not certified"
    assert certificate["cases"] == []
    assert certificate["fresh"]["cases"] == 0


def test_a_backend_that_ends_its_process_as_it_is_loaded_says_so_once(certify: Certify) -> None:
    source = "import os; os._exit(os.getpid() % 100 + 1)"
    [reason] = certify(Own(source=source, cases=("operations/gelu",)))["reasons"]
    assert reason.startswith("the backend cannot be loaded: exit code ")


def test_processes_that_all_end_as_they_load_say_what_the_first_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Ended:
        made = 0

        def __init__(self, _: session.Plan) -> None:
            Ended.made += 1

        def __enter__(self) -> Self:
            return self

        def __exit__(self, *_: object) -> None:
            pass

        def greeting(self) -> session.Answer:
            return {"error": f"ended as number {Ended.made}"}

    monkeypatch.setattr(session, "Worker", Ended)
    told: list[session.Answer] = []
    keys = [Key("operations/gelu", "float32")]
    greeting, answers = session.run(session.Plan(backend="own", jobs=3), keys, told.append)
    assert greeting["error"].startswith("ended as number ")
    assert answers == told == []
