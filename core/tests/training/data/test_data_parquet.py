"""Parquet files become rows; needs pyarrow."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from lmkernel.errors import InputError
from lmkernel.training.data import columnar
from lmkernel.training.data.readers import open_rows

if TYPE_CHECKING:
    from pathlib import Path


def test_rows_are_numbered_over_batches(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = [f"row {number} é" for number in range(2500)]
    parquet.write_table(pa.table({"text": texts, "label": list(range(2500))}), path)
    rows = list(open_rows(path))
    assert [row.text("text") for row in rows] == texts
    assert dict(rows[2047].values) == {"text": "row 2047 é", "label": 2047}
    assert rows[2047].where == f"{path}: row 2048"


def test_nested_messages_are_lists_of_mappings(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    messages = [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "yo"}]
    parquet.write_table(pa.table({"messages": [messages]}), path)
    assert next(iter(open_rows(tmp_path))).column("messages") == messages


def test_a_small_file_of_very_many_rows_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * 1_000_000, pa.int8()), ["x"])
    parquet.write_table(pa.table({"text": texts}), path)
    with pytest.raises(InputError, match=r"^\S*a\.parquet: row 4\d{5}: expected rows of at most"):
        sum(1 for _ in open_rows(path))


def test_missing_column_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"body": ["x"]}), path)
    with pytest.raises(InputError, match="row 1: expected a column 'text', got the columns body"):
        next(iter(open_rows(path))).text("text")


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    table = pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], ["text", "text"])
    parquet.write_table(table, path)
    with pytest.raises(
        InputError, match=r"a\.parquet: expected distinct column names, got \['text', 'text'\]"
    ):
        list(open_rows(path))


@pytest.mark.parametrize("rows", [1, 0])
def test_two_fields_of_one_name_are_refused(tmp_path: Path, rows: int) -> None:
    path = tmp_path / "a.parquet"
    fields = pa.StructArray.from_arrays([pa.array(["a"]), pa.array(["b"])], ["role", "role"])
    messages = pa.ListArray.from_arrays(pa.array([0, rows]), fields)
    parquet.write_table(pa.table({"text": ["x"], "messages": messages}), path)
    if not rows:  # nothing has two values
        assert [row.values for row in open_rows(path)] == [{"text": "x", "messages": []}]
        return
    with pytest.raises(InputError, match=r"a\.parquet: row 1: column 'messages': .* duplicate"):
        list(open_rows(path))


def test_a_dot_in_a_name_is_no_field(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"a.b": ["x"], "a": [{"b": "y"}]}), path)
    assert [row.values for row in open_rows(path)] == [{"a.b": "x", "a": {"b": "y"}}]


@pytest.mark.parametrize("data", [b"", b"PAR1 no more", b"x" * 100])
def test_damaged_file_is_named(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "a.parquet"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"a\.parquet: expected a Parquet file that can be read"):
        list(open_rows(path))


def test_file_without_rows_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": pa.array([], pa.string())}), path)
    with pytest.raises(InputError, match="got not one row"):
        list(open_rows(path))


def _binary_as_text(values: list[bytes]) -> pa.Array:
    return pa.array(values, pa.binary()).view(pa.string())


@pytest.mark.parametrize(
    ("column", "got"),
    [
        (_binary_as_text([b"ok", b"\xff"]), "string: 'utf-8' codec can't decode byte 0xff"),
        (pa.array([0, 10**15], pa.timestamp("ms")), r"timestamp\[ms\]: .* out of range"),
        (pa.array([0, 10**8], pa.date32()), r"date32\[day\]: .* out of range"),
        (pa.array([[0], [10**15]], pa.list_(pa.timestamp("ms"))), "list<.*out of range"),
    ],
)
def test_m14_a_value_that_python_cannot_hold_is_named(
    tmp_path: Path, column: pa.Array, got: str
) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": ["a", "b"], "x": column}), path)
    with pytest.raises(InputError, match=rf"a\.parquet: row 2: column 'x': expected .* got {got}"):
        list(open_rows(path))


def _repeated(text: str, rows: int, **options: Any) -> pa.Table:
    """Rows that all have one text, or one message with it, which is written once."""
    texts = pa.DictionaryArray.from_arrays(pa.array([0] * rows, pa.int32()), pa.array([text]))
    if not options.get("nested"):
        return pa.table({"text": texts})
    messages = pa.StructArray.from_arrays([texts], ["content"])
    return pa.table({"messages": pa.ListArray.from_arrays(pa.array(range(rows + 1)), messages)})


@pytest.mark.parametrize("schema", [True, False], ids=["arrow's schema", "no schema"])
@pytest.mark.parametrize("nested", [False, True])
def test_a_long_text_that_many_rows_have_is_not_held_for_each(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, nested: bool, schema: bool
) -> None:
    path = tmp_path / "a.parquet"
    length, rows = 2**24, 16  # as many bytes as a batch that comes row by row
    table = _repeated("x" * length, rows, nested=nested)
    parquet.write_table(table, path, store_schema=schema, dictionary_pagesize_limit=2**26)
    del table
    monkeypatch.setattr(columnar, "_LEAST", 2 * rows * length)
    before = pa.total_allocated_bytes()
    found = 0
    for row in open_rows(path):
        value = row.values["messages"][0]["content"] if nested else row.values["text"]
        assert (value[:1], len(value)) == ("x", length)
        found += 1
        # pyarrow's memory: the page and its values a few times over, not those of each row
        assert pa.total_allocated_bytes() - before < rows // 2 * length
    assert found == rows
    monkeypatch.setattr(columnar, "_LEAST", 3 * length)
    with pytest.raises(InputError, match=r"a\.parquet: row 1: expected rows of at most 100 times"):
        list(open_rows(path))
