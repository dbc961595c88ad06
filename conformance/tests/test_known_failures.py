"""The file of known failures: what is wrong in it is told by file and entry."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lmkernel.errors import PluginError
from lmkernel_conformance.certificate.known import read_known

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
    [entry] = read_known(place)
    assert entry.matches("operations/softmax", "bfloat16")
    assert not entry.matches("operations/softmax", "float32")
    assert not entry.expired("2030-06-30")
    assert entry.expired("2030-07-01")
    assert str(entry) == "operations/softmax[bfloat16]"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[[failure]", "expected TOML"),
        ("[[failures]]", r"expected \[\[failure\]\] and nothing else"),
        ("failure = 3", r"expected \[\[failure\]\] and nothing else"),
        (WHOLE.replace("link", "url"), "failure 1 lacks link and has the unknown url"),
        (WHOLE.replace('"it overflows"', '""'), "failure 1: expected reason as text, got ''"),
        (WHOLE.replace("2030-06-30", '"soon"'), "expected expires as a date .* got 'soon'"),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, told: str) -> None:
    place = tmp_path / "known.toml"
    place.write_text(text, encoding="utf-8")
    with pytest.raises(PluginError, match=told):
        read_known(place)
