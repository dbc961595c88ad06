"""What the commands that train let one choose is what there is."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lmkernel.cli.main import main
from lmkernel.training.objectives import OBJECTIVES

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    import pytest


def objectives_of(command: str, capsys: pytest.CaptureFixture[str]) -> AbstractSet[str]:
    """Those that a command's help names."""
    assert main([command, "--help"]) == 0
    found = re.search(r"--objective NAME\s+([a-z,\s]+);\s+default", capsys.readouterr().out)
    assert found is not None
    return {*re.sub(r"\s", "", found[1]).split(",")}


def test_every_objective_can_be_fine_tuned_for(capsys: pytest.CaptureFixture[str]) -> None:
    assert objectives_of("finetune", capsys) == {*OBJECTIVES}
    assert objectives_of("pretrain", capsys) < {*OBJECTIVES}
