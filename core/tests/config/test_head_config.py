"""The output's configuration is checked; a contradiction names the field."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lmkernel.config import HeadConfig, HeadTransformConfig, InitConfig
from lmkernel.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: HeadConfig(width=4, size=0), "HeadConfig.size: expected a positive integer"),
        (
            lambda: HeadConfig(width=4, size=2, pooling="middle"),
            "pooling.*none, first, last, token, highest, .*, attention, got 'middle'",
        ),
        (lambda: HeadConfig(width=4, size=2, dropout=1.0), r"dropout: expected a rate in \[0, 1\)"),
        (lambda: HeadConfig(width=4, size=3, labels=("a", "b")), "labels.*3 different names"),
        (lambda: HeadConfig(width=4, size=2, labels=("a", "a")), "labels.*2 different names"),
        (lambda: HeadTransformConfig(activation="gelo"), "HeadTransformConfig.activation.*'gelo'"),
        (lambda: InitConfig(scale=0.0), "InitConfig.scale: expected a positive number, got 0.0"),
    ],
)
def test_contradiction_names_the_field(make: Callable[[], object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        make()
