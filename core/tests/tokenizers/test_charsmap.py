"""Tables of characters that lead out of themselves are refused before the library follows them."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import numpy as np
import pytest
import tokenizers
from letters import letters

from lmkernel.errors import CheckpointError
from lmkernel.tokenizers import Tokenizer
from lmkernel.tokenizers.charsmap import check_charsmap
from lmkernel.tokenizers.load import load_tokenizer

if TYPE_CHECKING:
    from pathlib import Path

A, ROOT, LEAF = 0x100 ^ ord("a"), 0x100, 0x200
"""The unit of an ``a``, the node before it, and the node where that ends."""


def table(texts: str = "é\0", **changes: int) -> bytes:
    """A table that makes of an ``a`` the first of the texts."""
    units = np.zeros(768, "<u4")
    said = {"root": ROOT << 10, "a": (A ^ LEAF) << 10 | 0x100 | ord("a"), "leaf": 0, **changes}
    units[[0, A, LEAF]] = said["root"], said["a"], said["leaf"]
    return (units.nbytes).to_bytes(4, "little") + units.tobytes() + texts.encode()


def written(folder: Path, content: bytes) -> Path:
    letters().save(folder)
    path = folder / "tokenizer.json"
    step = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(content).decode()}
    document = json.loads(path.read_text("utf-8"))
    document["normalizer"] = {"type": "Sequence", "normalizers": [step]}
    path.write_text(json.dumps(document), "utf-8")
    return folder


def test_a_table_that_stays_inside_is_taken(tmp_path: Path) -> None:
    assert tokenizers.normalizers.Precompiled(table()).normalize_str("banana") == "bénéné"
    check_charsmap(table(), "here")
    assert isinstance(load_tokenizer(written(tmp_path, table())), Tokenizer)


@pytest.mark.parametrize(
    "content",
    [
        table(root=0x300 << 10),  # to a node that is not there
        table(a=0x3FFFF << 10 | ord("a")),
        table(a=0x3FFFF << 10 | 0x200 | 0x100 | ord("a")),
        table(leaf=4),  # to a text behind the last one
        table(leaf=1),  # into a character
        bytes(4),
    ],
    ids=["root", "node", "far", "text", "character", "none"],
)
def test_a_table_that_leads_out_of_itself_is_refused(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], content: bytes
) -> None:
    with pytest.raises(
        CheckpointError, match=r"tokenizer\.json: normalizer: precompiled_charsmap: expected a tab"
    ):
        load_tokenizer(written(tmp_path, content)).encode("banana")
    assert capfd.readouterr().err == ""


def test_pieces_of_no_length_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    letters().save(tmp_path)
    path = tmp_path / "tokenizer.json"
    document = json.loads(path.read_text("utf-8"))
    document["pre_tokenizer"] = {"type": "FixedLength", "length": 0}
    path.write_text(json.dumps(document), "utf-8")
    with pytest.raises(CheckpointError, match=r"pre_tokenizer: expected a chunk size .* got 0"):
        load_tokenizer(tmp_path)
    assert capfd.readouterr().err == ""


def test_a_table_of_any_size_is_refused() -> None:
    content = (1 << 24).to_bytes(4, "little") + bytes(1 << 24)
    with pytest.raises(CheckpointError, match="at most 1048576 units, got 4194304"):
        check_charsmap(content, "here")


@pytest.mark.parametrize("content", [b"", b"\4\0\0\0\1", b"\xff\xff\xff\xff"])
def test_a_table_that_is_cut_is_the_librarys_to_refuse(content: bytes) -> None:
    check_charsmap(content, "here")
    if content:
        with pytest.raises(Exception, match="Cannot parse precompiled_charsmap"):
            tokenizers.normalizers.Precompiled(content)
