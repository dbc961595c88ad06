"""The commands: certify, from an empty folder, and reference."""

from __future__ import annotations

import argparse
import inspect
import json
from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

import pytest
from own_backends import Own, install

import lmkernel
from lmkernel.contract.capabilities import Capabilities
from lmkernel.errors import CapabilityError, InputError, MissingDependencyError, UnknownNameError
from lmkernel.plugins import BackendSpec, Registry, hookimpl
from lmkernel_conformance.cli import Certify
from lmkernel_conformance.tutorial.reference import Reference
from lmkernel_conformance.verb import certify
from lmkernel_proofs.mutants.mutant import optional

if TYPE_CHECKING:
    from pathlib import Path


class Absent:
    @hookimpl
    def lmkernel_register_backends(self) -> list[BackendSpec]:
        return [
            BackendSpec(
                name="absent",
                contract="1.0",
                load="absent.backend:create",
                requires=("absent_framework",),
                install="pip install absent",
                capabilities=Capabilities(),
            )
        ]


def _run_command(command: Any, *arguments: str, registry: Registry | None = None) -> int:
    own = command(registry or Registry())
    parser = argparse.ArgumentParser()
    own.configure(parser)
    with own.registry.use():  # as the program does
        code: int = own.run(parser.parse_args(arguments))
    return code


def test_certify_passes_numpy_from_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _run_command(Certify, "numpy", "--profile", "inference", "--level", "document") == 0
    out = capfd.readouterr().out
    assert "numpy passes (levels document; no certificate) the profile inference" in out
    assert list(tmp_path.iterdir()) == []


def test_certify_writes_a_folder_that_can_be_verified(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "of numpy"
    assert _run_command(Certify, "numpy", "--level", "document", "--json", "--out", str(out)) == 0
    certificate = json.loads(capfd.readouterr().out)
    assert {row["state"] for row in certificate["cases"]} == {"passed"}
    assert any(row["share"] > 0 for row in certificate["cases"])
    assert {"numpy", "autograd", "lmkernel"} == set(certificate["backend"]["distributions"])
    assert _run_command(Certify, "--verify", str(out / "certificate.json")) == 1
    assert "only a part of the suite was run" in capfd.readouterr().out


def test_certify_tells_what_failed_and_how_to_repeat_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    source = """
    def overrides(parts):
        return {"softmax": lambda x, axis=-1: parts.mandatory.exp(x)}
    """
    install(tmp_path, "own_wrong", Own(source=source))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert _run_command(Certify, "own_wrong", "--level", "document", "--profile", "inference") == 1
    out = capfd.readouterr().out
    assert "document/attention.weights[float32]: failed: " in out
    assert "of the budget" in out
    again = (
        "python -m lmkernel_conformance.reproduce document/attention.weights --backend own_wrong"
    )
    assert again in out
    assert "own_wrong is not certified for the profile inference" in out


def test_certify_prints_the_first_of_many_reasons(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    source = """
    def create(device):
        parts = honest(device)
        class Broken:
            def __getattr__(self, name):
                return getattr(parts.mandatory, name)
            def asarray(self, value, dtype, *, copy=True):
                raise ValueError("broken")
        return replace(parts, mandatory=Broken())
    """
    install(tmp_path, "own_broken", Own(source=source))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    assert _run_command(Certify, "own_broken", "--level", "document", "--profile", "inference") == 1
    out = capfd.readouterr().out
    assert out.count(": failed: ") < 25
    assert " more, perhaps of this cause: " in out


@pytest.mark.parametrize("part", [("--level", "operations"), ("--smoke",), ()])
def test_certify_says_once_that_a_backend_cannot_be_loaded(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    part: tuple[str, ...],
) -> None:
    install(tmp_path, "own_boom", Own(source='raise ImportError("libfoo.so is missing")'))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    out = tmp_path / "out"
    assert _run_command(Certify, "own_boom", "--out", str(out), *part) == 1
    why = (
        "backend 'own_boom' cannot be loaded from 'own_boom.backend:create': ImportError: "
        "libfoo.so is missing"
    )
    assert capfd.readouterr().out.splitlines() == [
        why,
        "own_boom is not certified for the profile full: 1 reason",
    ]
    assert (out / "certificate.html").read_text().count("libfoo.so is missing") == 1
    [failure] = ET.fromstring((out / "junit.xml").read_text()).iter("failure")  # noqa: S314 - it is our own
    assert failure.get("message") == why
    assert _run_command(Certify, "--verify", str(out / "certificate.json")) == 1
    assert capfd.readouterr().out == f"{out / 'certificate.json'}: {why}\n"


def test_certify_explores_with_a_seed(capfd: pytest.CaptureFixture[str]) -> None:
    assert _run_command(Certify, "numpy", "--explore", "1", "--seed", "12345") == 0
    out = capfd.readouterr().out
    assert out.startswith("seed 12345: ")
    assert out.endswith(": none fails\n")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (("numpy", "--seed", "3"), "--seed: expected with --explore, got beside a backend"),
        (("numpy", "--every", "5"), "--every: expected with --self-test, got beside a backend"),
        (("numpy", "--keep", "f"), "--keep: expected with --self-test"),
        (("numpy", "--category", "x"), "--category: expected with --endpoint"),
        (("numpy", "--explore", "1", "--out", "o"), "--out: expected with --endpoint or --self"),
        (("numpy", "--explore", "1", "--level", "models"), "--level: expected with a backend"),
        (("numpy", "--self-test"), "NAME: expected with --explore or a backend"),
        (("--verify", "c.json", "--smoke"), "--smoke: expected with a backend, got beside --ver"),
        (("--endpoint", "http://h/v1", "--full"), "--full: expected with --self-test"),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, tuple) else "",
)
def test_an_option_of_another_mode_is_refused(given: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError, match=f"^certify: {said}"):
        _run_command(Certify, *given)


def test_certify_wants_a_backend_or_a_file() -> None:
    with pytest.raises(
        InputError, match="expected the name of a backend, --endpoint URL, --verify FILE"
    ):
        _run_command(Certify)
    with pytest.raises(InputError, match="--jobs: expected a whole number in 1 … 256, got 0"):
        _run_command(Certify, "numpy", "--jobs", "0")


def test_the_verb_and_what_it_calls_take_the_same() -> None:
    called, asked = (inspect.signature(verb).parameters for verb in (certify, lmkernel.certify))
    assert list(called.values()) == list(asked.values())


@pytest.mark.parametrize(
    ("senseless", "expected"),
    [
        ({"limit": float("nan")}, "limit: expected a number above 0, got nan"),
        ({"limit": 0.0}, "limit: expected a number above 0, got 0.0"),
        ({"limit": "x"}, "limit: expected a number above 0, got 'x'"),
        ({"jobs": 0}, "jobs: expected a whole number in 1 … 256, got 0"),
        ({"jobs": 257}, "jobs: expected a whole number in 1 … 256, got 257"),
        ({"jobs": "x"}, "jobs: expected a whole number in 1 … 256, got 'x'"),
        ({"levels": 5}, "levels: expected strings that are not empty, got 5"),
    ],
)
def test_certify_refuses_senseless_options(senseless: dict[str, Any], expected: str) -> None:
    with pytest.raises(InputError, match=expected):
        certify("numpy", progress=False, **senseless)


@pytest.mark.parametrize(
    ("profile", "levels", "missing"),
    [
        ("inference", ["gradients"], "gradients"),
        ("inference", ["operations", "training"], "training"),
        ("training", ["checkpoints"], "checkpoints"),
    ],
)
def test_certify_refuses_a_level_that_the_profile_does_not_have(
    profile: str, levels: list[str], missing: str
) -> None:
    there = (
        f"profile '{profile}' has no cases of the level '{missing}'; it has document, operations"
    )
    with pytest.raises(InputError, match=there):
        certify("numpy", profile=profile, levels=levels, progress=False)


def test_certify_refuses_an_unknown_and_an_absent_backend() -> None:
    with pytest.raises(UnknownNameError, match="unknown backend 'nunpy'"):
        _run_command(Certify, "nunpy")
    with pytest.raises(MissingDependencyError, match="run: pip install absent"):
        _run_command(Certify, "absent", registry=Registry({"absent": Absent()}))


@pytest.mark.parametrize("options", [("--level", "document"), ("--explore", "1")])
@pytest.mark.parametrize(
    ("device", "told"),
    [
        ("gpu", "'numpy': expected a device that is there, got 'gpu'; this build/machine has: cpu"),
        ("gpu:x", "'own_gpu': expected a whole number as the index of a device, .*; got 'gpu:x'"),
        ("tpu", "'own_gpu' declares the devices cpu, gpu; got 'tpu'"),
    ],
)
def test_certify_stops_with_one_sentence_on_a_device_that_is_not_there(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    device: str,
    told: str,
    options: tuple[str, str],
) -> None:
    """Its `create` is NumPy's, which knows the CPU alone."""
    install(tmp_path, "own_gpu", Own(capabilities='devices=("cpu", "gpu")'))
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with pytest.raises(CapabilityError, match=rf"^backend {told}$"):
        _run_command(Certify, "own_gpu", "--device", device, *options)


def test_reference_prints_errata_and_seven_digits(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run_command(Reference, "--backend", "numpy") == 0
    lines = capsys.readouterr().out.splitlines()
    output = next(line for line in lines if line.startswith("network.output "))
    assert "[0.25, 0.5, 0.25]" in output
    assert output.count("[0.1553624, 0.4223188, 0.4223188]") == 2
    assert "erratum" in output
    assert sum("erratum" in line for line in lines) == 5


def test_reference_of_all_says_how_to_install_what_is_missing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    registry = Registry({"absent": Absent()})
    assert _run_command(Reference, "--backend", "all", registry=registry) == 0
    assert "run: pip install absent" in capsys.readouterr().out


def test_reference_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    assert _run_command(Reference, "--backend", "numpy", "--json") == 0
    rows = json.loads(capsys.readouterr().out)
    found = {row["id"]: row for row in rows if row["way"] in ("", "gather")}
    assert found["loss.ce"]["computed"] == pytest.approx(0.886941378500559)
    assert found["loss.ce"]["printed"] == 0.342


def test_reference_fails_where_a_value_disagrees(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from lmkernel import backend

    right = backend.load_backend
    broken = optional("softmax", lambda ops, x, _=-1: ops.softmax(x) * x)
    monkeypatch.setattr(backend, "load_backend", lambda *a, **k: broken(right(*a, **k)))
    assert _run_command(Reference, "--backend", "numpy") == 1
    assert "DISAGREES" in capsys.readouterr().out


def test_a_page_of_a_sample_is_refused(tmp_path: Path) -> None:
    page = str(tmp_path / "page.md")
    with pytest.raises(InputError, match="the page of --out is of all mutants"):
        _run_command(Certify, "--self-test", "--every", "3", "--out", page)


def test_self_test_says_what_it_does_before_it_begins(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lmkernel_proofs.selftest.self_test", stop)
    with pytest.raises(KeyboardInterrupt):
        _run_command(Certify, "--self-test")
    assert capsys.readouterr().err.startswith("self-test: every case on correct backends first")
