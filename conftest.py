"""An option for one of several equal shares of the tests, as two Pythons have in ``tox``."""

from __future__ import annotations

import zlib

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option."""
    parser.addoption("--share", metavar="K/N", help="run the K-th of N shares of the tests")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the tests of the share, chosen by the names of tests so that every process agrees."""
    share = config.getoption("--share")
    if share is None:
        return
    number, _, count = share.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise pytest.UsageError(f"--share: expected K/N such as 1/2, got {share!r}")
    own: list[pytest.Item] = []
    others: list[pytest.Item] = []
    for item in items:
        place = zlib.crc32(item.nodeid.encode()) % int(count) + 1
        (own if place == int(number) else others).append(item)
    config.hook.pytest_deselected(items=others)
    items[:] = own
