from __future__ import annotations

import sys

import pytest

from processes import ContestantError, environment, run_cold, run_worker


def python(code: str) -> list[str]:
    return [sys.executable, "-c", code]


def test_a_cold_run_is_timed_to_its_last_output() -> None:
    code = "import time; print('answer', flush=True); time.sleep(0.5)"
    outcome = run_cold(python(code), environment({}), 60)
    assert outcome["output"] == "answer\n"
    assert outcome["exit_seconds"] - outcome["seconds"] > 0.4


def test_the_peak_is_the_childs_high_water_mark() -> None:
    code = "import time; x = bytearray(700 << 20); x[::4096] = bytes(len(x[::4096])); print(len(x))"
    outcome = run_cold(python(f"{code}; del x; time.sleep(0.1)"), environment({}), 60)
    assert 700 << 10 <= outcome["peak_kib"] < 800 << 10
    # the kernel's own maximum counts the parent before the exec as well
    assert outcome["peak_kib"] <= outcome["maxrss_kib"] * 1.02


def test_a_worker_is_given_its_task_and_answers_in_json() -> None:
    code = "import sys; print('noise'); print(sys.argv[1])"
    result = run_worker(python(code), {"model": "m"}, environment({}), 60)
    assert result["model"] == "m"
    assert 0 <= result["process"]["foreign"] <= 1


def test_a_failure_says_the_exit_code_and_the_last_line() -> None:
    with pytest.raises(ContestantError, match=r"^exit code 1: no such thing$"):
        run_cold(python("raise SystemExit('no such thing')"), environment({}), 60)


def test_a_run_without_output_is_a_failure() -> None:
    with pytest.raises(ContestantError, match="it wrote nothing"):
        run_cold(python("pass"), environment({}), 60)


def test_a_run_that_takes_too_long_is_ended() -> None:
    with pytest.raises(ContestantError, match="exit code -9"):
        run_cold(python("import time; time.sleep(60)"), environment({}), 0.3)


def test_the_environment_drops_the_switches_of_openblas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_CORETYPE", "Haswell")
    monkeypatch.setenv("OPENBLAS_L2_SIZE", "1")
    env = environment({"KERAS_BACKEND": "jax"})
    assert "OPENBLAS_CORETYPE" not in env
    assert "OPENBLAS_L2_SIZE" not in env
    assert env["KERAS_BACKEND"] == "jax"
