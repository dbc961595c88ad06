"""Pages of Parquet files are looked at before one is read; needs pyarrow."""

from __future__ import annotations

import io
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from lmkernel.errors import InputError
from lmkernel.training.data import columnar, parquet_pages
from lmkernel.training.data.parquet_pages import check_pages
from lmkernel.training.data.readers import open_rows


def test_pages_that_become_too_large_are_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": ["x" * 10**6], "other": ["x" * 10**6]}), path)
    assert len(list(open_rows(path))) == 1
    monkeypatch.setattr(parquet_pages, "_MOST_AT_ONCE", 15 * 10**5)
    with pytest.raises(InputError, match=r"a\.parquet: expected pages of at most 1500000 bytes in"):
        list(open_rows(path))
    monkeypatch.setattr(parquet_pages, "_MOST_PAGE", 10**6)
    said = r"a\.parquet: column 'text': expected pages of at most 1000000 bytes, got 1000004"
    with pytest.raises(InputError, match=said):
        list(open_rows(path))


def test_what_a_pages_own_header_says_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The summary may claim anything; pyarrow takes what the page's header says."""
    path = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"text": ["x" * 10**6]}), path, write_statistics=False)
    total = parquet.read_metadata(path).row_group(0).column(0).total_uncompressed_size
    data = path.read_bytes()
    assert data.count(_varint(total)) == 2
    path.write_bytes(data.replace(_varint(total), _varint(total // 2)))
    assert parquet.read_metadata(path).row_group(0).column(0).total_uncompressed_size == total // 2
    monkeypatch.setattr(parquet_pages, "_MOST_PAGE", 10**6)
    with pytest.raises(InputError, match="expected pages of at most 1000000 bytes, got 1000004"):
        list(open_rows(path))


def _varint(value: int) -> bytes:
    """A whole number as Thrift writes it."""
    value, made = 2 * value, b""
    while value > 127:
        made += bytes([value & 127 | 128])
        value >>= 7
    return made + bytes([value])


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"\x15" + b"\xff" * 20_000, "got none that ends"),  # a number of very many digits
        (b"\x15\x00" * 20_000, "got none that ends"),  # very many fields
        (b"\x19\xf5\xff\xff\xff\xff\x0f" + b"\x02" * 20_000, "got none that ends"),  # a long list
        (b"\x15", "got none that ends"),
        (b"\x1b", "got something else"),  # a map
        (b"\x1c" * 100, "got something else"),  # structures in structures
        (b"\x19\x19" * 100, "got something else"),  # lists in lists
    ],
)
def test_what_is_no_header_of_a_page_is_told(header: bytes, said: str) -> None:
    with pytest.raises(InputError, match=f"^here: column 'text': expected the header .* {said}$"):
        check_pages(io.BytesIO(header), one_column(len(header)), 10**6, Path("here"))


def one_column(stored: int) -> Any:
    """A summary of one column, whose pages are the whole file."""
    column = SimpleNamespace(path_in_schema="text", num_values=1, total_compressed_size=stored)
    column.data_page_offset, column.dictionary_page_offset = 0, None
    group = SimpleNamespace(num_columns=1, column=lambda _: column)
    return SimpleNamespace(num_row_groups=1, row_group=lambda _: group)


@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_lists_of_very_many_values_are_refused_unread(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    """Values that are none take no byte of a file."""
    path = tmp_path / "a.parquet"
    column = pa.ListArray.from_arrays(pa.array([0, 10**5, 10**5]), pa.nulls(10**5, pa.int8()))
    parquet.write_table(pa.table({"x": column}), path, data_page_version=version)
    assert [len(row.values["x"]) for row in open_rows(path)] == [10**5, 0]
    monkeypatch.setattr(columnar, "_LEAST", 4 * 10**5)
    said = "column 'x.list.element': expected lists of at most 50000 values in a group of rows, got"
    with pytest.raises(InputError, match=said):
        list(open_rows(path))


@pytest.mark.parametrize(
    ("header", "said"),
    [
        (b"\x2c\x00\x15\x00\x00", "expected pages of at most 134217728 bytes, got -1"),
        (b"\x25\x02\x00", "expected pages of at most 134217728 bytes, got 1"),
        (b"\x25\x00\x15\x01\x00", "expected pages of at most 134217728 bytes, got 0"),
        (b"\x25\x02\x15\x00\x00" * 200_001, "expected at most 200000 pages in a group of rows"),
    ],
    ids=["a size that is a structure", "no stored size", "a negative one", "very many pages"],
)
def test_headers_of_wrong_fields_are_refused(header: bytes, said: str) -> None:
    with pytest.raises(InputError, match=f"^here: column 'text': {said}"):
        check_pages(io.BytesIO(header), one_column(len(header)), 10**6, Path("here"))


def test_dictionary_of_more_values_than_bytes_is_refused() -> None:
    # a page of 5 bytes, of which none are stored, with a dictionary of 6 values
    header = bytes([0x25, 10, 0x15, 0, 0x4C, 0x15, 12, 0, 0])
    with pytest.raises(InputError, match="expected a dictionary whose values take a byte each"):
        check_pages(io.BytesIO(header), one_column(len(header)), 10**6, Path("here"))


@pytest.mark.parametrize("compression", ["none", "snappy", "zstd"])
@pytest.mark.parametrize("version", ["1.0", "2.0"])
def test_pages_of_every_kind_are_walked_through(
    tmp_path: Path, compression: str, version: str
) -> None:
    path = tmp_path / "a.parquet"
    columns = {
        "text": [f"text {i % 700}" for i in range(5000)],
        "long": [f"{i} " * 50 for i in range(5000)],
        "flag": [i % 3 == 0 for i in range(5000)],
        "score": [i / 7 for i in range(5000)],
        "none": [None] * 5000,
        "messages": [[{"role": "user", "content": str(i)}] * (i % 3) for i in range(5000)],
    }
    parquet.write_table(
        pa.table(columns), path, compression=compression, data_page_version=version,
        data_page_size=10_000, row_group_size=2000, write_page_checksum=True, write_page_index=True,
    )  # fmt: skip
    rows = list(open_rows(path))
    for name, column in columns.items():
        assert [row.values[name] for row in rows] == column
