"""A command says what is wrong with each plugin that it asks, by the plugin's name, and once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lmkernel.cli.main import main
from lmkernel.plugins import Registry, SourceSpec
from lmkernel.plugins.registry import tell_faults

if TYPE_CHECKING:
    from bad_plugins import Site

    from lmkernel.errors import LmkernelError

SOURCES = "@hookimpl\ndef lmkernel_register_sources():\n"
BROKEN = {
    "raises": "    raise ValueError('broken')",
    "raises what is no Exception": "    raise Own('broken')",
    "leaves": "    raise SystemExit('broken')",
    "generator": "    raise ValueError('broken')\n    yield",
    "gives no specification": "    return ['broken']",
}
SAID = "lmkernel: warning: plugin 'bad', lmkernel_register_sources: "


@pytest.mark.parametrize("body", BROKEN.values(), ids=BROKEN)
def test_a_fault_of_a_hook_is_told_by_the_command_that_asks_it(
    site: Site, capsys: pytest.CaptureFixture[str], body: str
) -> None:
    site.add("bad", SOURCES + body)
    for arguments, code in {("models",): 0, ("backends",): 0, ("pull", "./nowhere"): 1}.items():
        assert main(list(arguments), registry=Registry()) == code
        err = capsys.readouterr().err
        assert [line[: len(SAID)] for line in err.splitlines()].count(SAID) == 1, err


def test_what_is_not_asked_is_not_told(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    site.add("bad", SOURCES + BROKEN["raises"])
    assert main(["--help"], registry=Registry()) == 0
    assert capsys.readouterr().err == ""


def test_a_plugin_that_cannot_be_imported_is_told_by_every_command(
    site: Site, capsys: pytest.CaptureFixture[str]
) -> None:
    site.add("bad", "raise ValueError('broken')")
    registry = Registry()
    for _ in range(2):
        assert main(["models"], registry=registry) == 0
        said = "lmkernel: warning: plugin 'bad' cannot be imported: ValueError: broken\n"
        assert capsys.readouterr().err == said


def test_a_fault_is_told_as_it_is_found_and_not_after_the_block(site: Site) -> None:
    site.add("bad", SOURCES + BROKEN["raises"])
    site.add("worse", "raise ValueError('broken')")
    registry = Registry()
    told: list[LmkernelError] = []
    with registry.use(), tell_faults(told.append):
        assert [str(error)[:14] for error in told] == ["plugin 'worse'"]
        registry.all(SourceSpec)
        assert [str(error)[:12] for error in told[1:]] == ["plugin 'bad'"]
    registry.register("bad", object())
    assert len(told) == 2
