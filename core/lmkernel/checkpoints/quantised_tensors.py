"""The weights of a quantised checkpoint under their plain names, as numbers or as codes."""

from __future__ import annotations

import fnmatch
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.checkpoints.dtypes import to_dtype
from lmkernel.checkpoints.methods.bitsandbytes import BitsAndBytes
from lmkernel.checkpoints.methods.compressed import Compressed
from lmkernel.checkpoints.methods.float8 import Fp8
from lmkernel.checkpoints.methods.words import Awq, Gptq
from lmkernel.checkpoints.quantised import quantisation, refuse_quantised
from lmkernel.checkpoints.tensors import Tensors
from lmkernel.errors import CheckpointError, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from lmkernel.checkpoints.methods.method import Method
    from lmkernel.contract.blocks import Blocks

__all__ = ["open_quantised"]

_WIDTHS = (4, 8)
_FORMATS = ("pack-quantized", "int-quantized", "float-quantized", "naive-quantized")


@final
class _QuantisedTensors(Tensors):
    """A checkpoint's tensors, with one weight in place of the several that a method stores."""

    def __init__(self, base: Tensors, method: Method, where: str) -> None:
        self._base, self._method, self._where = base, method, where
        self._modules: dict[str, str] = {}
        names = []
        found = dict(_tensors_of_codes(method))
        for name in base.names():
            module = found.get(name)
            if module is not None:
                self._modules[f"{module}.weight"] = module
                names.append(f"{module}.weight")
            elif not _belongs(name, method, self._owners(found)):
                names.append(name)
        self._names = tuple(names)
        if not self._modules:
            ends = " or ".join(f"….{marker}" for marker in method.markers)
            raise CheckpointError(
                f"{where}: expected weights that are quantised, as it says, got no tensor {ends}"
            )

    @staticmethod
    def _owners(found: Mapping[str, str]) -> frozenset[str]:
        return frozenset(found.values())

    def names(self) -> tuple[str, ...]:
        """Every name, each weight's where its codes are."""
        return self._names

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape."""
        if name in self._modules:
            found: tuple[int, int] = self._said(self._method.shape, name)
            return found
        return self._base.shape(name)

    def dtype(self, name: str) -> str:
        """The stored type; float32 of what is quantised."""
        return "float32" if name in self._modules else self._base.dtype(name)

    def unlisted(self, name: str) -> str:
        """Where a tensor lies that is not listed; see `Tensors.unlisted`."""
        return self._base.unlisted(name)

    def read(self, name: str, dtype: str | None = None) -> NDArray[Any]:
        """The values; see `Tensors.read`."""
        if name not in self._modules:
            return self._base.read(name, dtype)
        numbers = self._said(self._method.read, name).numbers()
        return to_dtype(numbers, dtype, f"{self._where}: tensor {name!r}")

    def blocks(self, name: str) -> Blocks | None:
        """The codes of a quantised weight."""
        if name not in self._modules:
            return None
        found: Blocks | None = self._said(self._method.read, name).blocks()
        return found

    def _said(self, ask: Callable[[str], Any], name: str) -> Any:
        """What the method finds; whatever does not fit is an error that names the file."""
        try:
            return ask(self._modules[name])
        except CheckpointError as error:
            raise CheckpointError(f"{self._where}: {error}") from error
        except (ValueError, IndexError, TypeError) as error:
            raise CheckpointError(
                f"{self._where}: tensors of {self._modules[name]!r} do not fit each other: {error}"
            ) from error


def _tensors_of_codes(method: Method) -> list[tuple[str, str]]:
    """The tensors that hold codes, and their modules."""
    found = []
    for name in method.names:
        module, _, marker = name.rpartition(".")
        if marker in method.markers and method.holds(module, marker):
            found.append((name, module))
    return found


def _belongs(name: str, method: Method, modules: frozenset[str]) -> bool:
    """Whether a tensor is part of a quantised weight."""
    parts = name.split(".")
    for cut in range(1, min(4, len(parts))):
        module, end = ".".join(parts[:-cut]), ".".join(parts[-cut:])
        if module in modules and any(fnmatch.fnmatchcase(end, beside) for beside in method.beside):
            return True
    return False


def open_quantised(tensors: Tensors, config: Mapping[str, Any], where: str) -> Tensors:
    """The tensors with their weights put together, if a configuration says that they are quantised.

    Args:
        tensors: the checkpoint's.
        config: the content of ``config.json``.
        where: its place, for messages.

    Raises:
        CheckpointError: by a method, or in a format of it, that is not read; the message names it,
            or the key whose value is none.
    """
    said = quantisation(config)
    if said is None:
        return tensors
    key, words = said
    loaded = any(words.get(f"load_in_{bits}bit") for bits in _WIDTHS)
    usual = "bitsandbytes" if loaded else _DEFAULTS.get(key)
    make = _METHODS.get(str(words.get("quant_method") or usual))
    try:
        method = None if make is None else make(tensors, words)
    except CheckpointError as error:
        raise CheckpointError(f"{where}: {key}.{error}") from error
    if method is None:
        raise refuse_quantised(config, where)
    method.where = f"{where}: {key}"
    return _QuantisedTensors(tensors, method, where)


def _gptq(tensors: Tensors, said: Mapping[str, Any]) -> Method | None:
    return Gptq(tensors, said) if said.get("bits") in _WIDTHS else None


def _awq(tensors: Tensors, said: Mapping[str, Any]) -> Method | None:
    bits, version = said.get("bits", said.get("w_bit", 4)), said.get("version", "gemm")
    return Awq(tensors, said) if bits == 4 and str(version).lower() == "gemm" else None  # noqa: PLR2004 - AutoAWQ's own width


def _bitsandbytes(tensors: Tensors, said: Mapping[str, Any]) -> Method | None:
    loaded = any(said.get(f"load_in_{bits}bit") for bits in _WIDTHS)
    return BitsAndBytes(tensors, said) if loaded else None


def _compression_method(tensors: Tensors, said: Mapping[str, Any]) -> Method | None:
    groups = said.get("config_groups")
    if said.get("format") not in _FORMATS or not isinstance(groups, dict):
        return None
    weights = [group.get("weights") for group in groups.values() if isinstance(group, dict)]
    widths = [w.get("num_bits") for w in weights if isinstance(w, dict)]
    if not widths or any(width not in _WIDTHS or width != widths[0] for width in widths):
        raise CheckpointError(
            "config_groups: expected num_bits of 4 or 8 for weights, the same of all groups, got "
            f"{shown(widths)}"
        )
    sparse = said.get("sparsity_config")
    if sparse and (not isinstance(sparse, dict) or sparse.get("format", "dense") != "dense"):
        raise CheckpointError(
            "sparsity_config: expected nothing, or an object whose format is 'dense', got "
            f"{shown(sparse)}"
        )
    return Compressed(tensors, {"num_bits": widths[0]})


_METHODS: Mapping[str, Callable[[Tensors, Mapping[str, Any]], Method | None]] = MappingProxyType(
    {
        "gptq": _gptq,
        "awq": _awq,
        "bitsandbytes": _bitsandbytes,
        "compressed-tensors": _compression_method,
        "fp8": Fp8,
        "fbgemm_fp8": Fp8,
    }
)
_DEFAULTS: Mapping[str, str] = MappingProxyType({"compression_config": "compressed-tensors"})
