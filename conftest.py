"""Options for a part of the tests: one of several equal shares, or all with those that take long.

``tox`` leaves tests that are marked ``whole`` out; ``tox -m full`` passes ``--whole``.
"""

from __future__ import annotations

import zlib
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options."""
    parser.addoption("--share", metavar="K/N", help="run the K-th of N shares of the tests")
    parser.addoption("--whole", action="store_true", help="run tests that are marked whole too")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of the share, and those that take long only where they are asked for."""
    if not config.getoption("--whole"):
        _keep(config, items, lambda item: item.get_closest_marker("whole") is None)
    share = config.getoption("--share")
    if share is None:
        return
    number, _, count = share.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise pytest.UsageError(f"--share: expected K/N such as 1/2, got {share!r}")
    # by the names of tests, so that every process agrees
    _keep(config, items, lambda x: zlib.crc32(x.nodeid.encode()) % int(count) + 1 == int(number))


def _keep(
    config: pytest.Config, items: list[pytest.Item], wanted: Callable[[pytest.Item], bool]
) -> None:
    others = [item for item in items if not wanted(item)]
    items[:] = [item for item in items if wanted(item)]
    config.hook.pytest_deselected(items=others)
