"""Reference vectors: what the oracle gives is what is stored; an edited file is refused."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from lmkernel.errors import CheckpointError
from lmkernel_conformance.canonical import HASH, fingerprint, with_hash
from lmkernel_conformance.tutorial.errata import read_errata
from lmkernel_proofs.vectors import FILES, FOLDER, numbers, read_vectors, widest
from lmkernel_proofs.vectors.__main__ import main
from lmkernel_proofs.vectors.makers import MAKERS, make_vectors, needs
from lmkernel_proofs.witnesses.agreement import oracle_slopes, oracle_values
from lmkernel_proofs.witnesses.libraries import TORCH
from lmkernel_proofs.witnesses.table import POINTS

if TYPE_CHECKING:
    from pathlib import Path

EXACT, ORACLE, LIBRARY = (
    read_vectors(name)["points"] for name in ("mpmath.json", "oracle.json", "torch.json")
)
BOTH_ROUND = 2.0


@pytest.mark.parametrize("name", FILES)
def test_hash_is_in_the_errata(name: str) -> None:
    read_errata().check(name, read_vectors(name)[HASH])


def test_files_are_these_and_small() -> None:
    assert sorted(path.name for path in FOLDER.glob("*.json")) == sorted(FILES) == sorted(MAKERS)
    assert sum((FOLDER / name).stat().st_size for name in FILES) <= 224 * 1024


def test_makers_are_named_with_a_version() -> None:
    for name in FILES:
        maker = read_vectors(name)["maker"]
        assert any(character.isdigit() for character in maker), maker


@pytest.mark.parametrize("points", [EXACT, ORACLE], ids=["mpmath", "oracle"])
def test_every_point_is_stored_with_its_inputs(points: dict[str, dict[str, str]]) -> None:
    expected = {name: point.fingerprint[:16] for name, point in POINTS.items()}
    assert {name: about["inputs"] for name, about in points.items()} == expected


def test_every_point_of_a_library_is_stored() -> None:
    assert {name: about["by"] for name, about in LIBRARY.items()} == {
        name: library.name for name, library in TORCH.items()
    }


@pytest.mark.parametrize("name", POINTS)
def test_oracle_gives_what_is_stored(name: str) -> None:
    point, stored, bounds = POINTS[name], ORACLE[name], EXACT[name]["allowed"]
    assert widest(oracle_values(point), numbers(stored["values"]), bounds[0]) <= 1
    if point.gradient:
        assert widest(oracle_slopes(point), numbers(stored["slopes"]), bounds[1]) <= 1


@pytest.mark.parametrize("name", LIBRARY)
def test_oracle_agrees_with_what_a_library_gave(name: str) -> None:
    point, stored, bounds = POINTS[name], LIBRARY[name], EXACT[name]["allowed"]
    assert widest(oracle_values(point), numbers(stored["values"]), bounds[0]) <= BOTH_ROUND
    if "slopes" in stored:
        assert widest(oracle_slopes(point), numbers(stored["slopes"]), bounds[1]) <= BOTH_ROUND


def _copy(folder: Path, name: str) -> dict[str, object]:
    vectors: dict[str, object] = json.loads((FOLDER / name).read_text("utf-8"))
    (folder / name).write_text(json.dumps(vectors), "utf-8")
    return vectors


def test_edited_file_is_refused(tmp_path: Path) -> None:
    vectors = _copy(tmp_path, "oracle.json")
    vectors["maker"] = "somebody else"
    (tmp_path / "oracle.json").write_text(json.dumps(vectors), "utf-8")
    with pytest.raises(CheckpointError) as error:
        read_vectors("oracle.json", tmp_path)
    message = f"{tmp_path / 'oracle.json'}: expected sha256 {vectors[HASH]} of its content, got "
    assert str(error.value) == message + fingerprint(vectors)


def test_a_file_with_a_new_hash_is_refused_by_the_errata(tmp_path: Path) -> None:
    vectors = {**_copy(tmp_path, "oracle.json"), "maker": "somebody else"}
    (tmp_path / "oracle.json").write_text(json.dumps(with_hash(vectors)), "utf-8")
    got = read_vectors("oracle.json", tmp_path)[HASH]
    with pytest.raises(CheckpointError, match=rf"^oracle.json: expected sha256 [0-9a-f]+.*{got}"):
        read_errata().check("oracle.json", got)


@pytest.mark.parametrize("change", [{"format": 2}, {"date": "today"}])
def test_another_form_is_refused(tmp_path: Path, change: dict[str, object]) -> None:
    vectors = {**_copy(tmp_path, "oracle.json"), **change}
    (tmp_path / "oracle.json").write_text(json.dumps(vectors), "utf-8")
    with pytest.raises(
        CheckpointError, match=r"oracle\.json: expected format 1 with format, maker"
    ):
        read_vectors("oracle.json", tmp_path)


def test_published_words_are_made_the_same_anywhere() -> None:
    assert make_vectors("published.json") == read_vectors("published.json")


def test_command_leaves_what_it_cannot_make(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("lmkernel_proofs.vectors.makers.find_spec", lambda _: None)
    monkeypatch.setattr(sys, "argv", ["vectors", "--out", str(tmp_path)])
    main()
    assert [path.name for path in tmp_path.iterdir()] == ["published.json"]
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "mpmath.json: left as it is, without mpmath"
    assert out[2] == f'"published.json" = "{read_vectors("published.json")[HASH]}"'
    assert out[3] == "torch.json: left as it is, without mpmath and torch"


def test_needs_names_libraries() -> None:
    assert needs("published.json") == ()
    assert needs("oracle.json") == ()
