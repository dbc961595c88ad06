"""A folder or a file appears whole or not at all, whatever stops it."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any, NoReturn

import pytest

from lmkernel.atomic import new_directory, remove_directory, require_writable, sweep, write_whole
from lmkernel.errors import CheckpointError, RunError


def refuse(*_: Any, **__: Any) -> NoReturn:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def make(path: Path, content: str, *, overwrite: bool = True) -> None:
    with new_directory(path, overwrite=overwrite) as part:
        (part / "file").write_text(content)


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def refuse_the_second_rename(monkeypatch: pytest.MonkeyPatch, final: Path) -> None:
    """On a system that cannot exchange two names."""
    rename = Path.rename

    def some(path: Path, target: Path) -> Path:
        arrives = target == final and path.parent.suffix == ".part"
        return refuse() if arrives else rename(path, target)

    monkeypatch.setattr("lmkernel.atomic.write.exchange", lambda *_: False)
    monkeypatch.setattr(type(final), "rename", some)


def test_folder_is_not_there_before_the_block_ends(tmp_path: Path) -> None:
    with new_directory(tmp_path / "a" / "b") as part:
        (part / "file").write_text("1")
        assert part.parents[1] == tmp_path / "a"
        assert not (tmp_path / "a" / "b").exists()
    assert (tmp_path / "a" / "b" / "file").read_text() == "1"
    assert names(tmp_path / "a") == ["b"]


def test_folder_with_content_is_replaced_only_if_told(tmp_path: Path) -> None:
    make(tmp_path / "m", "1")
    with pytest.raises(CheckpointError, match="is there already and not empty; overwrite "):
        make(tmp_path / "m", "2", overwrite=False)
    assert (tmp_path / "m" / "file").read_text() == "1"
    make(tmp_path / "m", "2")
    assert (tmp_path / "m" / "file").read_text() == "2"
    assert names(tmp_path) == ["m"]


def test_an_empty_folder_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    make(tmp_path / "empty", "1", overwrite=False)
    assert names(tmp_path) == ["empty"]


def test_what_comes_while_the_work_is_done_is_left_alone(tmp_path: Path) -> None:
    with (  # noqa: PT012 - what is done in the block is what is refused
        pytest.raises(CheckpointError, match="is there already and not empty; overwrite "),
        new_directory(tmp_path / "m") as made,
    ):
        (made / "file").write_text("1")
        (tmp_path / "m").mkdir()
        (tmp_path / "m" / "mine").write_text("precious")
    assert names(tmp_path) == ["m"]
    assert names(tmp_path / "m") == ["mine"]


def test_of_two_writers_without_overwrite_one_is_refused(tmp_path: Path) -> None:
    with (  # noqa: PT012 - what is done in the block is what is refused
        pytest.raises(CheckpointError, match="is there already and not empty; overwrite "),
        new_directory(tmp_path / "m") as made,
    ):
        (made / "file").write_text("1")
        make(tmp_path / "m", "2", overwrite=False)
    assert names(tmp_path) == ["m"]
    assert (tmp_path / "m" / "file").read_text() == "2"


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_that_comes_meanwhile_is_never_replaced(tmp_path: Path, *, overwrite: bool) -> None:
    with (  # noqa: PT012 - what is done in the block is what is refused
        pytest.raises(CheckpointError, match="expected a folder of its own, got a file"),
        new_directory(tmp_path / "m", overwrite=overwrite) as made,
    ):
        (made / "file").write_text("1")
        (tmp_path / "m").write_text("mine")
    assert names(tmp_path) == ["m"]
    assert (tmp_path / "m").read_text() == "mine"


def test_an_empty_folder_is_replaced_where_a_rename_refuses_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Windows does."""
    rename = Path.rename

    def refusing(path: Path, target: Path) -> Path:
        if target.exists():
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST))
        return rename(path, target)

    monkeypatch.setattr(type(tmp_path), "rename", refusing)
    (tmp_path / "m").mkdir()
    make(tmp_path / "m", "1", overwrite=False)
    assert names(tmp_path) == ["m"]
    assert (tmp_path / "m" / "file").read_text() == "1"


def test_a_file_and_the_current_folder_never_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "text").write_text("mine")
    with pytest.raises(CheckpointError, match="expected a folder of its own, got a file"):
        make(tmp_path / "text", "1")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="got the current folder"):
        make(Path(), "1")
    assert (tmp_path / "text").read_text() == "mine"


def test_a_link_stays_and_its_folder_is_replaced(tmp_path: Path) -> None:
    make(tmp_path / "real", "1")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    make(tmp_path / "link", "2")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real" / "file").read_text() == "2"
    assert sorted(names(tmp_path)) == ["link", "real"]


def test_folders_above_go_again_where_it_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), new_directory(tmp_path / "a" / "b" / "c"):
        raise ZeroDivisionError
    assert names(tmp_path) == []


def test_interrupt_leaves_what_was_there(tmp_path: Path) -> None:
    make(tmp_path / "m", "1")

    def interrupt() -> None:
        with new_directory(tmp_path / "m", overwrite=True) as part:
            (part / "file").write_text("2")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupt()
    assert (tmp_path / "m" / "file").read_text() == "1"
    assert names(tmp_path) == ["m"]


@pytest.mark.parametrize("where", ["fsync", "rename"])
def test_full_disk_leaves_what_was_there_and_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    make(tmp_path / "m", "1")
    if where == "fsync":
        monkeypatch.setattr(os, "fsync", refuse)
    else:
        refuse_the_second_rename(monkeypatch, tmp_path / "m")
    with (
        pytest.raises(RunError, match=r"m: cannot be written: No space left on device$"),
        new_directory(tmp_path / "m", overwrite=True, error=RunError) as part,
    ):
        (part / "file").write_text("2")
    assert (tmp_path / "m" / "file").read_text() == "1"
    assert names(tmp_path) == ["m"]


def test_every_file_and_folder_is_flushed_before_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flushed: list[tuple[int, bool]] = []
    fsync = os.fsync

    def note(handle: int) -> None:
        flushed.append((os.fstat(handle).st_ino, (tmp_path / "m").exists()))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", note)
    with new_directory(tmp_path / "m") as part:
        (part / "inner").mkdir()
        (part / "inner" / "file").write_text("1")
    inside = [tmp_path / "m" / "inner" / "file", tmp_path / "m" / "inner", tmp_path / "m"]
    before = {(path.stat().st_ino, False) for path in inside}
    assert set(flushed) == before | {(tmp_path.stat().st_ino, True)}


@pytest.mark.parametrize("possible", [True, False])
def test_folder_is_replaced_with_and_without_an_exchange(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, possible: bool
) -> None:
    if not possible:
        monkeypatch.setattr("lmkernel.atomic.write.exchange", lambda *_: False)
    make(tmp_path / "m", "1")
    make(tmp_path / "m", "2")
    assert (tmp_path / "m" / "file").read_text() == "2"
    assert names(tmp_path) == ["m"]


def test_m3_folder_is_there_at_every_moment_while_it_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "m", "1")
    seen: list[str] = []
    rename = Path.rename

    def look(path: Path, target: Path) -> Path:
        seen.append((tmp_path / "m" / "file").read_text())
        return rename(path, target)

    monkeypatch.setattr(type(tmp_path), "rename", look)
    make(tmp_path / "m", "2")
    assert seen == ["2"]  # of the workspace alone, after the exchange


def test_live_workspace_is_left_alone(tmp_path: Path) -> None:
    with new_directory(tmp_path / "m") as part:
        sweep(tmp_path)
        make(tmp_path / "other", "1")
        (part / "file").write_text("1")
    assert sorted(names(tmp_path)) == ["m", "other"]


def test_m2_former_folder_comes_back_before_it_is_asked_whether_one_is_there(
    tmp_path: Path,
) -> None:
    former = tmp_path / ".m.0123456789ab.part" / "former" / "m"
    former.mkdir(parents=True)
    (former / "file").write_text("1")
    with pytest.raises(CheckpointError, match="is there already and not empty"):
        make(tmp_path / "m", "2", overwrite=False)
    assert (tmp_path / "m" / "file").read_text() == "1"
    assert names(tmp_path) == ["m"]


def test_folder_of_the_longest_name_is_made(tmp_path: Path) -> None:
    for name in ("n" * 255, "é" * 127):
        make(tmp_path / name, "1")
        make(tmp_path / name, "2")
        write_whole(tmp_path / name / name, b"3")
        assert names(tmp_path / name)


def test_low_name_of_300_characters_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="n: cannot be written: File name too long"):
        make(tmp_path / ("n" * 300), "1")
    with pytest.raises(CheckpointError, match="n: cannot be written: File name too long"):
        write_whole(tmp_path / ("n" * 300), b"1")
    with pytest.raises(CheckpointError, match="n: cannot be written: File name too long"):
        require_writable(tmp_path / ("n" * 300), CheckpointError)
    assert names(tmp_path) == []


def test_removed_folder_is_gone_with_its_name_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path / "m", "1")
    monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)  # killed before it deleted
    remove_directory(tmp_path / "m")
    assert not (tmp_path / "m").exists()
    monkeypatch.undo()
    sweep(tmp_path)
    assert names(tmp_path) == []


def test_place_below_a_file_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunError, match=r"file/new: cannot be written: Not a directory"):
        require_writable(tmp_path / "file" / "new", RunError)
    require_writable(tmp_path / "a" / "b", RunError)
    assert names(tmp_path) == ["file"]


def test_file_is_replaced(tmp_path: Path) -> None:
    write_whole(tmp_path / "file", b"1")
    write_whole(tmp_path / "file", b"2")
    assert (tmp_path / "file").read_bytes() == b"2"
    assert names(tmp_path) == ["file"]


def test_a_link_stays_and_its_file_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "real").write_bytes(b"1")
    (tmp_path / "link").symlink_to("real")
    write_whole(tmp_path / "link", b"2")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "real").read_bytes() == b"2"
    assert sorted(names(tmp_path)) == ["link", "real"]


def test_a_pipe_is_written_into_and_stays(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        require_writable(pipe, RunError)
        write_whole(pipe, b"1")
        assert os.read(reader, 9) == b"1"
    finally:
        os.close(reader)
    with pytest.raises(RunError, match="pipe: cannot be written: No such device"):
        write_whole(pipe, b"2", RunError)  # nobody reads
    assert pipe.is_fifo()
    assert names(tmp_path) == ["pipe"]


def test_a_device_stays(tmp_path: Path) -> None:
    """By its link: as root, the device itself would be replaced where this fails."""
    link = tmp_path / "nothing"
    link.symlink_to(os.devnull)
    require_writable(link, RunError)
    write_whole(link, b"1")
    assert link.is_char_device()
    assert link.is_symlink()


def test_file_stays_when_the_disk_refuses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_whole(tmp_path / "file", b"1")
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(RunError, match=r"file: cannot be written: No space left on device$"):
        write_whole(tmp_path / "file", b"2", RunError)
    assert (tmp_path / "file").read_bytes() == b"1"
    assert names(tmp_path) == ["file"]


def test_a_link_that_takes_the_place_of_the_folder_that_is_made_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with (  # noqa: PT012 - what is done in the block is what is refused
        pytest.raises(CheckpointError, match="cannot be written: expected a folder, got a link"),
        new_directory(tmp_path / "m") as made,
    ):
        made.rmdir()
        made.symlink_to(tmp_path / "other")
    assert not os.path.lexists(tmp_path / "m")
