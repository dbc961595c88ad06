"""Verdicts that are kept in a file: what a stopped self-test found is not judged again."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lmkernel.backend import load_backend
from lmkernel.errors import InputError
from lmkernel_proofs.mechanical.sites import changes
from lmkernel_proofs.mutants import Mutant
from lmkernel_proofs.selftest import keeping
from lmkernel_proofs.selftest.baseline import Baseline
from lmkernel_proofs.selftest.bases import Run
from lmkernel_proofs.selftest.handwritten import Failure, Judgement
from lmkernel_proofs.selftest.keeping import Kept
from lmkernel_proofs.selftest.session import judge_mechanical
from lmkernel_proofs.selftest.verdict import Verdict

if TYPE_CHECKING:
    from pathlib import Path

_RUN = Run("reference", "operations/silu", "float32")
_MUTANT = Mutant(id="own", level="operations")
_JUDGED = Judgement(_MUTANT, (Failure(_RUN, discrepancy=True, message="1 ≠ 2"),), 3, 1.5)
_VERDICTS = (Verdict("a", "killed", _RUN, "other", 2, 0.25), Verdict("b", "survived", ran=7))


def _keep(path: Path) -> bytes:
    kept = Kept(path, full=True)
    for found in (_JUDGED, *_VERDICTS):
        kept.keep(found)
    kept.close()
    return path.read_bytes()


def test_what_was_kept_comes_back(tmp_path: Path) -> None:
    _keep(tmp_path / "kept.jsonl")
    again = Kept(tmp_path / "kept.jsonl", full=True)
    assert again.judgement(_MUTANT) == _JUDGED
    assert tuple(again.verdict(own.id) for own in _VERDICTS) == _VERDICTS
    assert again.verdict("c") is None
    again.close()


def test_a_later_verdict_stands_for_an_earlier_one(tmp_path: Path) -> None:
    _keep(tmp_path / "kept.jsonl")
    kept = Kept(tmp_path / "kept.jsonl", full=True)
    kept.keep(later := Verdict("b", "killed", _RUN, "slow"))
    kept.close()
    again = Kept(tmp_path / "kept.jsonl", full=True)
    assert again.verdict("b") == later
    again.close()


def test_a_line_that_was_being_written_is_written_anew(tmp_path: Path) -> None:
    whole = _keep(path := tmp_path / "kept.jsonl")
    path.write_bytes(whole[:-5])
    kept = Kept(path, full=True)
    assert kept.verdict("b") is None
    kept.keep(_VERDICTS[1])
    kept.close()
    assert path.read_bytes() == whole


@pytest.mark.parametrize("content", [b"my notes", b"my notes\n", b"[1]\n", b'{"id": 1}\n'])
def test_another_file_is_refused_and_stays(tmp_path: Path, content: bytes) -> None:
    (path := tmp_path / "notes").write_bytes(content)
    with pytest.raises(InputError, match=r"notes: expected verdicts .* got something else"):
        Kept(path, full=True)
    assert path.read_bytes() == content


def test_verdicts_of_other_sources_are_refused_and_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = _keep(path := tmp_path / "kept.jsonl")
    with pytest.raises(InputError, match="got those of other sources or --full"):
        Kept(path, full=False)
    monkeypatch.setattr(keeping, "_sources", lambda: "other")
    with pytest.raises(InputError, match="got those of other sources or --full"):
        Kept(path, full=True)
    assert path.read_bytes() == whole


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file or directory"):
        Kept(tmp_path / "no" / "kept.jsonl", full=True)


def test_a_mutant_that_is_known_is_not_judged_again(tmp_path: Path) -> None:
    """Nothing was measured here, so one that is judged could not have been killed."""
    load_backend("numpy")
    kept = Kept(tmp_path / "kept.jsonl", full=True)
    first, second = changes()[:2]
    kept.keep(Verdict(first.id, "killed", _RUN, "other"))
    kept.close()
    kept = Kept(tmp_path / "kept.jsonl", full=True)
    found = judge_mechanical(
        Baseline({}, {}), (first, second), {}, kept, jobs=1, full=True, notify=lambda _: None
    )
    kept.close()
    assert [verdict.state for _, verdict in found] == ["killed", "unreached"], found
    assert len((tmp_path / "kept.jsonl").read_text().splitlines()) == 1 + 2
