"""The file of known failures: an error names the file and the entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lmkernel.errors import PluginError
from lmkernel_conformance.certificate.known_failures import read_known_failures

if TYPE_CHECKING:
    from pathlib import Path

WHOLE = """
[[failure]]
case = "operations/softmax"
exception = "Discrepancy"
reason = "it overflows"
link = "https://example.org/1"
expires = 2030-06-30
"""


def test_an_entry(tmp_path: Path) -> None:
    place = tmp_path / "known.toml"
    place.write_text(WHOLE + 'dtype = "bfloat16"\n', encoding="utf-8")
    [entry] = read_known_failures(place)
    assert entry.matches("operations/softmax", "bfloat16")
    assert not entry.matches("operations/softmax", "float32")
    assert not entry.has_expired("2030-06-30")
    assert entry.has_expired("2030-07-01")
    assert str(entry) == "operations/softmax[bfloat16]"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[failure]", "expected TOML"),
        ("[[failures]]", r"expected \[\[failure\]\] and nothing else"),
        ("failure = 3", r"expected \[\[failure\]\] and nothing else"),
        (WHOLE.replace("link", "url"), "failure 1 lacks link and has the unknown url"),
        (WHOLE.replace('"it overflows"', '""'), "failure 1: expected reason as text, got ''"),
        (WHOLE.replace("2030-06-30", '"soon"'), "expected expires as a date .* got 'soon'"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, message: str) -> None:
    place = tmp_path / "known.toml"
    place.write_text(text, encoding="utf-8")
    with pytest.raises(PluginError, match=message):
        read_known_failures(place)
