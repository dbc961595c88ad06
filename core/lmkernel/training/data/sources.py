"""Data that are there without a download, by name."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

from lmkernel.training.data.rows import Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

__all__ = ["SOURCES", "python_topics"]


def python_topics() -> Iterator[Row]:
    """The columns ``topic`` and ``text``: what ``help()`` says of the language, sorted by topic.

    About 465,000 characters of English in Python 3.11; they differ between versions.
    """
    from pydoc_data.topics import topics

    for topic in sorted(topics):
        yield Row({"topic": topic, "text": topics[topic]}, f"python-topics: {topic}")


SOURCES: Mapping[str, Callable[[], Iterator[Row]]] = MappingProxyType(
    {"python-topics": python_topics}
)
