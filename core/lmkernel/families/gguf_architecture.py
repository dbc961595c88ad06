"""The layout of a family's models in a GGUF file, where ``config.json`` does not say it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

__all__ = ["GgufArchitecture"]


@final
@dataclass(frozen=True, kw_only=True)
class GgufArchitecture:
    """A family whose ``general.architecture`` is its ``model_type``.

    Tensors have llama.cpp's names for a decoder of RMSNorm, RoPE and a gated MLP; these are the
    choices that the metadata leave open.

    Args:
        class_name: the class in transformers that ``architectures`` names.
        interleaved: whether rows of queries and keys are stored as interleaved pairs, as Llama's
            are.
        qkv_bias: whether queries, keys and values have biases.
        qk_norm: whether heads of queries and keys have norms.
        flags: keys of ``config.json`` that are false, such as ``"attention_bias"``.
    """

    class_name: str
    interleaved: bool = False
    qkv_bias: bool = False
    qk_norm: bool = False
    flags: tuple[str, ...] = ()
