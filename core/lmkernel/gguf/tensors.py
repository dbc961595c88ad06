"""The tensors of a GGUF file under their Hugging Face names.

Quantised tensors are dequantised to float32 by ``gguf.quants`` when read. Of Llama, GGUF keeps the
rows of the query and key weights permuted for RoPE on interleaved pairs; Hugging Face's
are for its two halves: row 2i+j of a head there is row i + j·width/2 here.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.checkpoints.dtypes import STORED_DTYPES, to_dtype, widen
from lmkernel.checkpoints.tensors import Tensors, unknown_tensor
from lmkernel.errors import CheckpointError
from lmkernel.gguf.file import GgufFile, gguf_package

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from numpy.typing import NDArray

    from lmkernel.families.gguf_architecture import GgufArchitecture

__all__ = ["ROPE_FACTORS", "GgufTensors", "stored_values"]

ROPE_FACTORS = "rope_freqs.weight"
"""What the rotary frequencies are divided by, one by one: a part of the configuration."""

_PLAIN: Mapping[str, str] = MappingProxyType(
    {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
)
_LAYER: Mapping[str, str] = MappingProxyType(
    {
        "input_layernorm": "attn_norm",
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.q_norm": "attn_q_norm",
        "self_attn.k_norm": "attn_k_norm",
        "self_attn.o_proj": "attn_output",
        "post_attention_layernorm": "ffn_norm",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
    }
)

_NORMS = ("attn_q_norm", "attn_k_norm")
_QKV = ("attn_q", "attn_k", "attn_v")


@final
class GgufTensors(Tensors):
    """The tensors of a GGUF file.

    The order of names is that in which a model uses them, so what is fused lies side by side
    when it is written: embedding; norm, q, k, v, o, norm, gate, up, down of each layer; norm; head.
    Biases come after the weights of their layer.

    Args:
        file: the GGUF file.
        config: its Hugging Face configuration, as `gguf_config` gives it.
        own: the layout of its family in GGUF files.

    Raises:
        CheckpointError: a tensor that the configuration asks for is missing, or one is left over.
    """

    def __init__(self, file: GgufFile, config: Mapping[str, Any], own: GgufArchitecture) -> None:
        self._file = file
        self._sources = dict(_names(config, own))
        heads = {"q_proj": "num_attention_heads", "k_proj": "num_key_value_heads"}
        self._heads = {role: int(config[key]) for role, key in heads.items() if own.interleaved}
        for name, source in self._sources.items():
            if source not in file.tensors:
                raise CheckpointError(f"{file.path}: tensor {source!r} is missing, for {name!r}")
        for source in file.tensors.keys() - {ROPE_FACTORS, *self._sources.values()}:
            raise CheckpointError(
                f"{file.path}: tensor {source!r} has no place in a {config['model_type']} model"
            )

    def names(self) -> tuple[str, ...]:
        """Every name, in the order of use."""
        return tuple(self._sources)

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape."""
        return self._file.tensors[self._source(name)].shape

    def dtype(self, name: str) -> str:
        """The stored dtype's name, ``"float32"`` where it is quantised."""
        return _PLAIN.get(self._file.tensors[self._source(name)].kind_name, "float32")

    def read(self, name: str, dtype: str | None = None) -> NDArray[Any]:
        """The values; see `Tensors.read`."""
        source = self._source(name)
        values = stored_values(self._file, source)
        role = name.split(".")[-2]
        if role in self._heads:
            values = _undo_permutation(
                values, self._heads[role], f"{self._file.path}: tensor {source!r}"
            )
        return to_dtype(values, dtype, f"{self._file.path}: tensor {source!r}")

    def _source(self, name: str) -> str:
        if name not in self._sources:
            raise unknown_tensor(self._file.path, name, self._sources)
        return self._sources[name]


def _names(config: Mapping[str, Any], own: GgufArchitecture) -> Iterator[tuple[str, str]]:
    """Hugging Face's names and GGUF's, in the order of use."""
    weights = [pair for pair in _LAYER.items() if own.qk_norm or pair[1] not in _NORMS]
    leaves = [(f"{ours}.weight", f"{theirs}.weight") for ours, theirs in weights]
    if own.qkv_bias:
        leaves += [(f"{ours}.bias", f"{theirs}.bias") for ours, theirs in weights if theirs in _QKV]
    yield "model.embed_tokens.weight", "token_embd.weight"
    for layer in range(config["num_hidden_layers"]):
        for name, source in leaves:
            yield f"model.layers.{layer}.{name}", f"blk.{layer}.{source}"
    yield "model.norm.weight", "output_norm.weight"
    if not config["tie_word_embeddings"]:
        yield "lm_head.weight", "output.weight"


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
