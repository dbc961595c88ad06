"""The tensors of a GGUF file under their Hugging Face names.

Quantised tensors are dequantised to float32 by ``gguf.quants`` when read, or come as their blocks.
Of Llama, GGUF keeps the rows of the query and key weights permuted for RoPE on interleaved pairs;
Hugging Face's are for its two halves: row 2i+j of a head there is row i + j·width/2 here.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.checkpoints.dtypes import STORED_DTYPES, to_dtype, widen
from lmkernel.checkpoints.tensors import Tensors, unknown_tensor
from lmkernel.composed.block_kinds import GGUF_KINDS
from lmkernel.contract.blocks import Blocks
from lmkernel.errors import CheckpointError
from lmkernel.families.gated import decoder_of
from lmkernel.gguf.file import GgufFile, gguf_package
from lmkernel.gguf.sources import Source, find_sources

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lmkernel.config import ModelConfig
    from lmkernel.families.family import Family

__all__ = ["LONG_FACTORS", "ROPE_FACTORS", "SHORT_FACTORS", "GgufTensors", "stored_values"]

ROPE_FACTORS = "rope_freqs.weight"
"""What the rotary frequencies are divided by, one by one: a part of the configuration."""
SHORT_FACTORS, LONG_FACTORS = "rope_factors_short.weight", "rope_factors_long.weight"
"""The same, for short texts and for long ones."""
NO_WEIGHTS = frozenset({ROPE_FACTORS, SHORT_FACTORS, LONG_FACTORS})
"""Tensors that are part of the configuration."""

_PLAIN: Mapping[str, str] = MappingProxyType(
    {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
)


@final
class GgufTensors(Tensors):
    """The tensors of a GGUF file.

    The order of names is that in which a model uses them, so what is fused lies side by side
    when it is written: embedding; norm, q, k, v, o, norm, gate, up, down of each layer; norm; head.

    Args:
        file: the GGUF file.
        model_type: the name of its family.
        model: its configuration.
        family: its family, which is read from GGUF files.

    Raises:
        CheckpointError: a tensor that the configuration does not ask for.
    """

    def __init__(
        self,
        file: GgufFile,
        model_type: str,
        model: ModelConfig,
        family: Family,
    ) -> None:
        own, attention = family.gguf(), decoder_of(model).attention
        if own is None:
            raise CheckpointError(f"{file.path}: a {model_type} model is not read from GGUF")
        self._file, self._offset = file, own.norm_offset
        self._sources = find_sources(file, family.rules(model), own, attention)
        heads = {"q_proj": attention.heads, "k_proj": attention.kv_heads}
        self._heads = heads if own.interleaved else {}
        used = {name for source in self._sources.values() for name in source.names}
        for source in sorted(file.tensors.keys() - used - NO_WEIGHTS):
            raise CheckpointError(
                f"{file.path}: tensor {source!r} has no place in a {model_type} model"
            )

    def names(self) -> tuple[str, ...]:
        """Every name, in the order of use."""
        return tuple(self._sources)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape."""
        source = self._source(name)
        return source.shape(*(self._file.tensors[part].shape for part in source.names))

    def dtype(self, name: str) -> str:
        """The stored dtype's name, ``"float32"`` where it is quantised."""
        kind = self._file.tensors[self._source(name).names[0]].kind_name
        return _PLAIN.get(kind, "float32")

    def read(self, name: str, dtype: str | None = None) -> NDArray[Any]:
        """The values; see `Tensors.read`."""
        source = self._source(name)
        what = f"{self._file.path}: tensor {source.names[0]!r}"
        values = source.values([stored_values(self._file, part) for part in source.names])
        role = name.split(".")[-2] if "." in name else ""
        if role in self._heads:
            values = _undo_permutation(values, self._heads[role], what)
        if self._offset and name.endswith("norm.weight"):
            values = values - values.dtype.type(self._offset)
        return to_dtype(values, dtype, what)

    def blocks(self, name: str) -> Blocks | None:
        """A matrix in blocks, as it is; see `Tensors.blocks`."""
        source = self._source(name)
        tensor = self._file.tensors[source.names[0]]
        kind = tensor.kind_name.lower()
        if not source.is_matrix or kind not in GGUF_KINDS or len(tensor.shape) != 2:  # noqa: PLR2004 - a matrix
            return None
        out, width = tensor.shape
        whole = Blocks(kind, (out, width), self._file.data(source.names[0]).reshape(out, -1))
        role = name.split(".")[-2]
        if role not in self._heads:
            return whole
        what = f"{self._file.path}: tensor {source.names[0]!r}"
        return whole.rows(_undo_permutation(np.arange(out), self._heads[role], what))

    def _source(self, name: str) -> Source:
        if name not in self._sources:
            raise unknown_tensor(self._file.path, name, self._sources)
        return self._sources[name]


def stored_values(file: GgufFile, source: str) -> NDArray[Any]:
    """The values of one tensor, a view where they are stored as NumPy has them."""
    tensor, raw = file.tensors[source], file.data(source)
    if tensor.kind_name in _PLAIN:
        plain = raw.view(STORED_DTYPES[_PLAIN[tensor.kind_name]]).reshape(tensor.shape)
        return widen(plain) if tensor.kind_name == "BF16" else plain
    gguf = gguf_package()
    rows = raw.reshape(*tensor.shape[:-1], -1)
    try:
        values: NDArray[Any] = gguf.dequantize(rows, gguf.GGMLQuantizationType(tensor.kind))
    except NotImplementedError as error:
        raise CheckpointError(
            f"{file.path}: tensor {source!r} is quantised as {tensor.kind_name}, "
            "which cannot be read"
        ) from error
    return values


def _undo_permutation(values: NDArray[Any], heads: int, what: str) -> NDArray[Any]:
    """Rows (heads·width, …) from pairs to halves, head by head."""
    if values.shape[0] % (2 * heads):
        raise CheckpointError(f"{what}: expected rows for {heads} heads, got {values.shape[0]}")
    pairs = values.reshape(heads, -1, 2, *values.shape[1:])
    return pairs.swapaxes(1, 2).reshape(values.shape)
