"""A model in several GGUF files, ``NAME-00001-of-00003.gguf`` and so on, opened from any of them.

Metadata that concern the model are in the first; each says which it is (``split.no``, from 0) and
of how many (``split.count``).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lmkernel.errors import CheckpointError
from lmkernel.gguf.file import GgufFile

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["open_parts"]

_NAME = re.compile(r"(.+)-(\d{5})-of-(\d{5})\.gguf")
_COUNT, _NUMBER, _TENSORS = "split.count", "split.no", "split.tensors.count"


def open_parts(path: Path) -> GgufFile:
    """A GGUF file with the tensors of all the parts that it is one of.

    Raises:
        CheckpointError: a part is missing, damaged or of another model.
    """
    file = GgufFile(path)
    count, name = file.metadata.get(_COUNT, 1), _NAME.fullmatch(path.name)
    if count in (0, 1):
        return file
    if name is None or type(count) is not int or int(name[3]) != count:
        expected = "one, in a file that is not named as a part" if name is None else int(name[3])
        raise CheckpointError(f"{path}: {_COUNT}: expected {expected}, got {count!r:.80}")
    numbers = range(count)
    places = (path.with_name(f"{name[1]}-{n + 1:05d}-of-{name[3]}.gguf") for n in numbers)
    there = []
    for number, place in enumerate(places):
        if not place.is_file():
            raise CheckpointError(f"{path}: part {number + 1} of {count} is missing: {place.name}")
        there.append(place)
    first, *others = (file if place == path else GgufFile(place) for place in there)
    for number, part in enumerate((first, *others)):
        for key, expected in ((_NUMBER, number), (_COUNT, count)):
            if (got := part.metadata.get(key)) != expected:
                raise CheckpointError(f"{part.path}: {key}: expected {expected}, got {got!r:.80}")
    for part in others:
        first.add(part)
    if (total := first.metadata.get(_TENSORS, len(first.tensors))) != len(first.tensors):
        raise CheckpointError(
            f"{first.path}: {_TENSORS}: expected {len(first.tensors)}, as many as there are in all "
            f"parts, got {total!r:.80}"
        )
    return first
