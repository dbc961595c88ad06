"""Files become rows; what is wrong with one is named with its place."""

from __future__ import annotations

import gzip
import os
from pathlib import Path
from typing import Any

import pytest

from lmkernel.errors import InputError, MissingDependencyError
from lmkernel.training.data.readers import open_rows
from lmkernel.training.data.rows import Documents, Row


def write(path: Path, data: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def values(path: Path, **options: Any) -> list[dict[str, Any]]:
    return [dict(row.values) for row in open_rows(path, **options)]


@pytest.mark.parametrize("name", ["a.txt", "a.md", "a.RST", "LICENSE", "a.py"])
def test_text_file_is_one_document_to_the_byte(tmp_path: Path, name: str) -> None:
    text = "one\r\n\n two é \n"
    assert values(write(tmp_path / name, text)) == [{"text": text}]


def test_blank_lines_part_documents(tmp_path: Path) -> None:
    path = write(tmp_path / "a.txt", "\n\none\ntwo\n \n\nthree\n\n")
    rows = list(open_rows(path, blank_lines=True))
    assert [(row.text("text"), row.where) for row in rows] == [
        ("one\ntwo", f"{path}: line 3"),
        ("three", f"{path}: line 7"),
    ]


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv"])
def test_byte_order_mark_is_no_text(tmp_path: Path, name: str) -> None:
    content = {"a.txt": "x", "a.jsonl": '{"text": "x"}', "a.csv": "text\nx\n"}[name]
    path = write(tmp_path / name, b"\xef\xbb\xbf" + content.encode())
    assert values(path) == [{"text": "x"}]


@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_a_line_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr("lmkernel.training.data.text_files.MOST_BYTES", 20)
    path = write(tmp_path / name, '{"a": 1}\n' + f'{{"a": "{"x" * 30}"}}\n')
    with pytest.raises(InputError, match=rf"{name}: line 2: expected at most 20 bytes"):
        list(open_rows(path))
    text = write(tmp_path / "a.txt", "x" * 30)
    assert next(iter(open_rows(text))).text("text") == "x" * 30


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson"])
def test_jsonl_is_an_object_a_line(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, '{"a": "é", "b": [1]}\n\n{"a": null}')
    rows = list(open_rows(path))
    assert [dict(row.values) for row in rows] == [{"a": "é", "b": [1]}, {"a": None}]
    assert [row.where for row in rows] == [f"{path}: line 1", f"{path}: line 3"]


def test_csv_and_tsv(tmp_path: Path) -> None:
    text = 'text,label\n"a, ""b""\nc",1\n\nd,\n'
    expected = [{"text": 'a, "b"\nc', "label": "1"}, {"text": "d", "label": ""}]
    assert values(write(tmp_path / "a.csv", text)) == expected
    assert values(write(tmp_path / "a.tsv", "x\ty\n1, 2\t3\n")) == [{"x": "1, 2", "y": "3"}]


@pytest.mark.parametrize(
    ("head", "names"),
    [
        (",a,b", ["Unnamed: 0", "a", "b"]),
        ("a,,", ["a", "Unnamed: 1", "Unnamed: 2"]),
        (",Unnamed: 0,a", ["Unnamed: 0.1", "Unnamed: 0", "a"]),
        (",Unnamed: 0,Unnamed: 0.1", ["Unnamed: 0.2", "Unnamed: 0", "Unnamed: 0.1"]),
    ],
)
def test_a_column_without_a_name_is_called_as_pandas_calls_it(
    tmp_path: Path, head: str, names: list[str]
) -> None:
    """The names are those that pandas 3.1.1 gives to the same files."""
    path = write(tmp_path / "a.csv", f"{head}\n1,2,3\n")
    assert values(path) == [dict(zip(names, "123", strict=True))]


def test_rows_can_be_read_twice(tmp_path: Path) -> None:
    rows = open_rows(write(tmp_path / "a.jsonl", '{"a": 1}\n{"a": 2}\n'))
    assert list(rows) == list(rows)


def test_folder_is_read_in_the_order_of_paths(tmp_path: Path) -> None:
    for name in ("b/2.md", "b.txt", "a/z.jsonl", "c.png", ".hidden/x.txt", "a/.x.txt"):
        write(tmp_path / name, '{"text": "x"}')
    found = [row.where for row in open_rows(tmp_path)]
    names = ["a/z.jsonl: line 1", "b/2.md", "b.txt"]
    assert found == [f"{tmp_path}/{name}" for name in names]


def test_topics_are_sorted_english_text() -> None:
    rows = list(open_rows("python-topics"))
    topics = [row.text("topic") for row in rows]
    assert topics == sorted(topics)
    assert len(topics) > 70
    text = {row.text("topic"): row.text("text") for row in rows}["lambda"]
    assert "anonymous functions" in text


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        ("a.txt", b"", "expected data, got an empty file"),
        ("a.jsonl", b"", "expected data, got an empty file"),
        ("a.csv", b"", "expected data, got an empty file"),
        ("a.jsonl", b"\n \n", "expected data, got not one row"),
        ("a.csv", b"a,b\n", "expected data, got not one row"),
        ("a.txt", b"ab\ncd\0e", "got a binary file: a zero byte at offset 5"),
        ("a.csv", b"a\n\xc3\x28\n", "expected UTF-8, got the byte 0xC3 at offset 2: invalid"),
        ("a.txt", b"\xef\xbb\xbfab\xff", "got the byte 0xFF at offset 5: invalid start byte"),
        ("a.txt", b"\xff\xfea\0", "got a binary file: a zero byte at offset 3"),
        ("a.jsonl", b'{"a": 1}\n{"a": \n', "line 2: expected a JSON object, Expecting value"),
        ("a.jsonl", b'{"a": 1}\n\n[1]\n', "line 3: expected a JSON object, got list"),
        ("a.jsonl", b'{"a": 1, "a": 2}\n', "line 1: .*'a' is there twice"),
        ("a.csv", b"a,b\n1,2\n3\n", "line 3: expected 2 values, one for each of a, b, got 1"),
        ("a.csv", b"a,a\n1,2\n", "line 1: expected distinct column names, got"),
        ("a.csv", b",a,a\n1,2,3\n", "line 1: expected distinct column names, got"),
        ("a.csv", b"\n1,2\n", "line 1: expected distinct column names, got"),
        (
            "a.csv",
            gzip.compress(b"a\n1\n", mtime=0),
            "got a file that is compressed by gzip; unpack it",
        ),
        (
            "a.jsonl",
            gzip.compress(b'{"a": 1}\n', mtime=0),
            "got a file that is compressed by gzip; unpack",
        ),
        (
            "a.json",
            gzip.compress(b'[{"a": 1}]', mtime=0),
            "got a file that is compressed by gzip; unpack",
        ),
        (
            "a.jsonl.gz",
            gzip.compress(b'{"a": 1}\n', mtime=0),
            "got a file that is compressed by gzip; un",
        ),
        ("a.csv", b'a\n"x\n', "line 2: expected a CSV record, unexpected end of data"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    path = write(tmp_path / name, data)
    with pytest.raises(InputError, match=message) as caught:
        list(open_rows(path))
    assert str(caught.value).startswith(str(path))


def test_missing_source_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"no such file; expected .* python-topics, datasets:NAME"):
        open_rows(tmp_path / "gone.txt")


def test_folder_without_data_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.png", b"x")
    with pytest.raises(InputError, match=r"expected a folder with files \.csv, .* got a\.png"):
        open_rows(tmp_path)


def test_unreadable_file_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path / "a.txt", b"x")

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(InputError, match=r"a\.txt: cannot be read: Permission denied"):
        list(open_rows(path))


@pytest.mark.parametrize(
    ("source", "package", "extra"),
    [("a.parquet", "pyarrow", "parquet"), ("datasets:some/name", "datasets", "datasets")],
)
def test_missing_library_names_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, package: str, extra: str
) -> None:
    monkeypatch.setitem(__import__("sys").modules, package, None)
    write(tmp_path / "a.parquet", b"PAR1")
    monkeypatch.chdir(tmp_path)
    command = rf"pip install 'lmkernel\[{extra}\]'"
    with pytest.raises(MissingDependencyError, match=f"{package} is not installed; run: {command}"):
        list(open_rows(source))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"a": 1, "b": 2},
            r"^f: line 7: expected a column 'text', got the columns a, b \(--column, or",
        ),
        ({"text": None}, "expected a value 'text', got the columns text"),
        ({"text": 3}, "expected text in the column 'text', got int"),
        ({"text": "a\ud800"}, r"got the lone surrogate U\+D800"),
    ],
)
def test_row_without_the_text_is_named(values: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Row(values, "f: line 7").text("text")


def test_documents_pass_over_empty_texts(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "id,body\n1,x\n2,\n3,y\n")
    documents = Documents(open_rows(path), "body")
    assert list(documents) == list(documents) == ["x", "y"]


def test_documents_without_any_text_name_the_file_and_the_column(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '{"body": ""}\n')
    with pytest.raises(InputError, match=r"a\.jsonl: expected documents, .* text in 'body'$"):
        list(Documents(open_rows(path), "body"))


@pytest.mark.parametrize(
    "text",
    [
        '[{"a": 1},\n{"a": 2}]',
        ' [\n{"a": 1}, {"a": 2} ] \n',
        '{"a": 1}\n{"a": 2}\n',
        '{\n"a": 1\n}\n\n{"a": 2}',
    ],
)
def test_b37_json_is_a_list_or_one_object_after_another(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "qa.json", text)
    assert values(path) == values(tmp_path) == [{"a": 1}, {"a": 2}]
    at = text[: text.index("{", 3)].count("\n") + 1
    assert list(open_rows(path))[1].where == f"{path}: line {at}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('[{"a": 1}\n{"a": 2}]', "line 2: expected the list to go on, or to end the text"),
        ('[{"a": 1},\n]', "line 2: expected JSON, Expecting value"),
        ('[\n{"a": 1}', "line 2: expected the list to go on"),
        ('[{"a": 1}]\nx', "line 1: expected the list to go on"),
        ('{"a": 1}\n{"a": }', "line 2: expected JSON, Expecting value"),
        ('{"a": 1,\n "a": 1}', "line 1: expected JSON, the name 'a' is there twice"),
        ("[1]", "line 1: expected an object with columns, got int"),
        ("[" * 100_000, "line 1: expected JSON, got values nested over 100 deep"),
        ("[]", "expected data, got not one row"),
    ],
)
def test_b37_what_is_no_json_is_named_with_its_line(
    tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(InputError, match=rf"qa\.json: {message}"):
        values(write(tmp_path / "qa.json", text))


def test_b37_files_of_other_kinds_are_named(tmp_path: Path) -> None:
    for name in ("a.txt", "b.docx", "c/d.png", ".e.png", *(f"{n}.xml" for n in range(9))):
        write(tmp_path / name, "x")
    (note,) = open_rows(tmp_path).notes
    assert note == f"{tmp_path}: not read: 0.xml, 1.xml, 2.xml, 3.xml, 4.xml and 6 more"
    (tmp_path / "a.txt").unlink()
    with pytest.raises(InputError, match=r"expected a folder with files .*, got 0\.xml, 1\.xml"):
        open_rows(tmp_path)


@pytest.mark.parametrize(
    ("name", "said"),
    [("a.yaml", True), ("a.json5", True), ("a.txt", False), ("a.MD", False), ("a", False)],
)
def test_b37_a_lone_file_of_another_kind_is_said_to_be_text(
    name: str, said: bool, tmp_path: Path
) -> None:
    (tmp_path / name).write_text("a: 1")
    rows = open_rows(tmp_path / name)
    assert [row.values for row in rows] == [{"text": "a: 1"}]
    assert rows.notes == ((f"{tmp_path / name}: read as plain text",) if said else ())


def test_what_in_a_folder_cannot_be_read_is_named(tmp_path: Path) -> None:
    write(tmp_path / "a.txt", "x")
    (tmp_path / "gone.txt").symlink_to("nowhere.txt")
    (tmp_path / "loop.txt").symlink_to("loop.txt")
    (tmp_path / "more").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "pipe.txt")
    rows = open_rows(tmp_path)
    assert rows.notes == (f"{tmp_path}: not read: gone.txt, loop.txt, more, pipe.txt",)
    assert [row.where for row in rows] == [f"{tmp_path}/a.txt"]


def test_a_link_to_a_file_is_read(tmp_path: Path) -> None:
    target = write(tmp_path / "kept" / "a.bin", "x")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "a.txt").symlink_to(target)
    assert values(tmp_path / "data") == [{"text": "x"}]


def refuse_folder(monkeypatch: pytest.MonkeyPatch, name: str, error: OSError) -> None:
    """Let the folder of a name be one that must not be listed, or that vanishes."""
    real = os.scandir

    def refuse(path: str) -> Any:
        if Path(path).name == name:
            error.filename = str(path)
            raise error
        return real(path)

    monkeypatch.setattr(os, "scandir", refuse)


@pytest.mark.parametrize(
    "error", [PermissionError(13, "Permission denied"), FileNotFoundError(2, "No such file")]
)
def test_a_folder_that_cannot_be_listed_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: OSError
) -> None:
    write(tmp_path / "a.txt", "x")
    write(tmp_path / "shut" / "b.txt", "x")
    refuse_folder(monkeypatch, "shut", error)
    assert open_rows(tmp_path).notes == (f"{tmp_path}: not read: shut",)
    with pytest.raises(InputError, match=f"shut: cannot be read: {error.strerror}"):
        open_rows(tmp_path / "shut")


def test_a_value_of_a_table_may_be_a_long_document(tmp_path: Path) -> None:
    text = "x" * 200_000
    assert values(write(tmp_path / "a.csv", f"text\n{text}\n")) == [{"text": text}]


def test_data_without_a_name_are_none() -> None:
    with pytest.raises(InputError, match="expected data: a file, a folder or a name, got an empty"):
        open_rows("")
