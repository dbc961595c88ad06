"""Which tensors of a GGUF file a tensor of the Hugging Face checkpoint is made of.

Names are those of the package ``gguf``, which writes such files.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.families.shares import join_rows, join_stack, stacked_shape
from lmkernel.gguf.file import gguf_package

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from lmkernel.config import AttentionConfig
    from lmkernel.families.gguf_architecture import GgufArchitecture
    from lmkernel.families.names import Rule
    from lmkernel.gguf.file import GgufFile

__all__ = ["Source", "find_sources"]

_LEAVES = (".weight", ".bias")
_LATENT = "kv_b_proj.weight"
_QKV = ("q_proj", "k_proj", "v_proj")
_STACKS = {"gate_up_proj": ("gate_proj", "up_proj"), "down_proj": ("down_proj",)}


@final
@dataclass(frozen=True)
class Source:
    """What one tensor of the checkpoint is made of.

    Args:
        names: the names in the GGUF file.
        rule: how the checkpoint stores it.
        shares: of what lies in groups there, the rows of each part in the file.
    """

    names: tuple[str, ...]
    rule: Rule
    shares: tuple[int, ...] = ()

    @property
    def is_latent(self) -> bool:
        """Whether heads make keys and values of it, which the file has apart."""
        return self.rule.theirs.endswith(_LATENT)

    @property
    def is_row(self) -> bool:
        """Whether the file keeps a matrix of one row as a vector."""
        return self.rule.theirs.endswith("shared_expert_gate.weight")

    @property
    def is_matrix(self) -> bool:
        """Whether it is one matrix of the file, row by row."""
        changed = self.rule.transpose or self.rule.stacked or self.is_row or self.shares
        return len(self.names) == 1 and not changed

    def shape(self, *shapes: tuple[int, ...]) -> tuple[int, ...]:
        """The shape there, of those in the file."""
        stored = shapes[0]
        if len(shapes) > 1 and self.is_latent:
            (heads, rank, plain), (_, size, _) = shapes
            return (heads * (plain + size), rank)
        if self.rule.stacked:
            return stacked_shape(stored, len(self.names))
        if self.is_row:
            return (1, *stored)
        return stored[::-1] if self.rule.transpose else stored

    def values(self, stored: Sequence[NDArray[Any]]) -> NDArray[Any]:
        """The values there, of those in the file."""
        if self.rule.stacked:
            return join_stack(stored)
        if len(stored) > 1:
            keys, values = stored
            whole = np.concatenate([keys.swapaxes(1, 2), values], 1)
            return whole.reshape(-1, whole.shape[2])
        [one] = stored
        if self.shares:
            first, second = self.shares[0], sum(self.shares[:2])
            return join_rows((one[:first], one[first:second], one[second:]), self.rule.groups)
        if self.is_row:
            return one[None]
        return one.T if self.rule.transpose else one


def find_sources(
    file: GgufFile, rules: Iterable[Rule], own: GgufArchitecture, attention: AttentionConfig
) -> dict[str, Source]:
    """The sources of every tensor that the file has, by the checkpoint's names, in order of use.

    Args:
        file: the GGUF file.
        rules: those of the family, for this model.
        own: the family's layout in GGUF files.
        attention: the model's, which says how many heads there are.
    """
    layers = len({name.split(".")[1] for name in file.tensors if name.startswith("blk.")})
    names = _names(file, layers)
    counts = attention.heads, attention.kv_heads, attention.kv_heads
    whole = tuple(count * attention.head_dim for count in counts)
    found: dict[str, Source] = {}
    for rule in _in_order(rules, layers):
        if not (own.biases or (own.qkv_bias and _is_qkv(rule))) and rule.theirs.endswith("bias"):
            continue
        sources = next((s for n in (rule.theirs, *rule.also) if (s := names(n, rule))), ())
        if sources:
            found[rule.theirs] = Source(sources, rule, whole if rule.groups > 1 else ())
    return found


def _is_qkv(rule: Rule) -> bool:
    return rule.theirs.split(".")[-2] in _QKV


def _in_order(rules: Iterable[Rule], layers: int) -> Iterator[Rule]:
    """What comes before the layers, these one by one, and the rest."""
    every = list(rules)
    first = next((n for n, rule in enumerate(every) if rule.layered), len(every))
    yield from every[:first]
    for layer in range(layers):
        yield from (rule.at(layer) for rule in every if rule.layered)
    yield from (rule for rule in every[first:] if not rule.layered)


def _names(file: GgufFile, layers: int) -> Callable[[str, Rule], tuple[str, ...]]:
    """A function that gives the names in the file; none unless all are there."""
    gguf = gguf_package()
    architectures = {name: key for key, name in gguf.MODEL_ARCH_NAMES.items()}
    # an architecture that the package has not, such as a plugin's, has the names of Qwen3: Llama's,
    # and those of norms of queries and keys
    key = architectures.get(file.architecture, gguf.MODEL_ARCH.QWEN3)
    known = gguf.get_tensor_name_map(key, layers)

    def names(theirs: str, rule: Rule) -> tuple[str, ...]:
        spelt = [theirs.replace(".{e}.", ".").replace("_correction_bias", "_correction.bias")]
        if rule.stacked:
            stem, _, last = theirs.rpartition(".")
            leaf = "bias" if last.endswith("_bias") else "weight"
            spelt = [f"{stem}.{part}.{leaf}" for part in _STACKS[last.removesuffix("_bias")]]
        elif theirs.endswith(_LATENT) and known.get_name(theirs, _LEAVES) not in file.tensors:
            spelt = [theirs.replace("kv_b_proj", f"{part}_b_proj") for part in "kv"]
        elif not theirs.endswith(("weight", "bias")):
            spelt = [f"{theirs}.weight"]
        got = tuple(known.get_name(name, try_suffixes=_LEAVES) for name in spelt)
        return got if all(name in file.tensors for name in got) else ()

    return names
