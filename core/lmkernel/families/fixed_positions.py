"""Tables of positions that a checkpoint holds, though they follow from a formula.

They are computed and not read, so one that holds anything else would be passed over.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.errors import CheckpointError
from lmkernel.numerics import FORMATS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from lmkernel.checkpoints.tensors import Tensors
    from lmkernel.config import EmbeddingConfig, ModelConfig
    from lmkernel.families.names import Rule

__all__ = ["check_sinusoids", "position_tables", "sinusoid_rows"]

_TABLE = "positions.weight"
_HONEST = 1e-3
"""How far a table may be off that was computed in float32, angles of thousands and all."""
_AT_ONCE = 1024  # rows, since nobody has compared their number with anything


def position_tables(rules: Sequence[Rule]) -> tuple[str, ...]:
    """The names of tables of positions in checkpoints."""
    found = (rule for rule in rules if rule.ours in _tables())
    return tuple(name for rule in found for name in (rule.theirs, *rule.also))


def check_sinusoids(
    config: ModelConfig, rules: Sequence[Rule], where: str, tensors: Tensors
) -> None:
    """Compare the tables that a file holds with the sinusoids that are computed in their place.

    Args:
        config: the model's configuration.
        rules: how the file's names map to ours.
        where: the file, for messages.
        tensors: its tensors.

    Raises:
        CheckpointError: one has other values, or another shape; the message says what and where.
    """
    there = set(tensors.names())
    for rule in rules:
        embedding = _embedding_of(config, rule)
        if embedding is None or embedding.positions != "sinusoidal":
            continue
        for name in sorted({rule.theirs, *rule.also} & there):
            _check_table(embedding, tensors, name, f"{where}: the tensor {name!r}")


def sinusoid_rows(positions: NDArray[Any], width: int, layout: str) -> NDArray[np.float64]:
    """Sines and cosines of positions, as `EmbeddingConfig.sinusoids` says: ``(count, width)``."""
    last = width // 2 - 1 if layout == "halves_to_last" else width // 2
    angles = positions.astype(np.float64)[:, None] / 10000.0 ** (np.arange(width // 2) / last)
    both = [np.sin(angles), np.cos(angles)]
    found = np.stack(both, -1) if layout == "pairs" else np.concatenate(both, -1)
    rows: NDArray[np.float64] = found.reshape(len(positions), width)
    return rows


def _tables() -> tuple[str, ...]:
    return tuple(f"{part}.{_TABLE}" for part in ("embedding", "target_embedding"))


def _embedding_of(config: ModelConfig, rule: Rule) -> EmbeddingConfig | None:
    """The embedding whose positions a rule's tensor holds, if they are any."""
    if rule.ours not in _tables():
        return None
    part: EmbeddingConfig | None = getattr(config, rule.ours.partition(".")[0])
    return part


def _check_table(embedding: EmbeddingConfig, tensors: Tensors, name: str, what: str) -> None:
    shape, width = tensors.shape(name), embedding.table_width
    if len(shape) != 2 or shape[1] != width:  # noqa: PLR2004 - positions, and their vectors
        raise CheckpointError(f"{what}: expected positions of {width} values each, got {shape}")
    stored = FORMATS.get(tensors.dtype(name), FORMATS["bfloat16"])
    table, most = tensors.read(name), _HONEST + stored.ulp
    for first, expected in _rows(embedding, shape[0]):
        got = np.asarray(table[first : first + len(expected)], np.float64)
        near = np.abs(got - expected) <= most  # false of NaN
        if not near.all():
            row, column = np.unravel_index(int(near.argmin()), near.shape)
            raise CheckpointError(
                f"{what}: expected the sines and cosines of its family, which are computed and not "
                f"read: {expected[row, column]:.4g} at [{first + row}, {column}], "
                f"got {got[row, column]:.4g}"
            )


def _rows(embedding: EmbeddingConfig, count: int) -> Iterator[tuple[int, NDArray[Any]]]:
    """What a table of so many rows holds, a part at a time, each with the number of its first."""
    for first in range(0, count, _AT_ONCE):
        numbers = np.arange(first, min(first + _AT_ONCE, count))
        rows = sinusoid_rows(numbers, embedding.table_width, embedding.sinusoids)
        if embedding.uncounted is not None:
            rows[numbers == embedding.offset - 1] = 0.0
        yield first, rows
