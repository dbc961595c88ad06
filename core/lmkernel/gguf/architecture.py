"""What GGUF keeps otherwise from one architecture to another."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, final

from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.gguf.file import GgufFile

__all__ = ["ARCHITECTURES", "Architecture", "architecture_of"]


@final
@dataclass(frozen=True, kw_only=True)
class Architecture:
    """An architecture whose ``general.architecture`` is also its ``model_type``.

    Args:
        title: what messages call it.
        class_name: in transformers.
        permuted: whether rows of queries and keys lie as interleaved pairs.
        biased: whether queries, keys and values have biases.
        normed: whether heads of queries and keys have norms.
        flags: keys of ``config.json`` that say what it has no biases in.
    """

    title: str
    class_name: str
    permuted: bool = False
    biased: bool = False
    normed: bool = False
    flags: tuple[str, ...] = ()


ARCHITECTURES: Mapping[str, Architecture] = MappingProxyType(
    {
        "llama": Architecture(
            title="Llama",
            class_name="LlamaForCausalLM",
            permuted=True,
            flags=("attention_bias", "mlp_bias"),
        ),
        "qwen2": Architecture(title="Qwen2", class_name="Qwen2ForCausalLM", biased=True),
        "qwen3": Architecture(
            title="Qwen3", class_name="Qwen3ForCausalLM", normed=True, flags=("attention_bias",)
        ),
    }
)


def architecture_of(file: GgufFile) -> str:
    """The name of a file's architecture.

    Raises:
        CheckpointError: it is none of `ARCHITECTURES`.
    """
    name = file.metadata.get("general.architecture")
    if not isinstance(name, str) or name not in ARCHITECTURES:
        known = ", ".join(repr(known) for known in ARCHITECTURES)
        raise CheckpointError(
            f"{file.path}: general.architecture: expected one of {known}, got {name!r}"
        )
    return name
