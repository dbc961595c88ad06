"""LoRA adapters read over the tensors of the model that they adapt."""

from __future__ import annotations

import re
import warnings
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.checkpoints.adapter_files import PREFIX
from lmkernel.checkpoints.dtypes import to_dtype
from lmkernel.checkpoints.tensors import Tensors
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from numpy.typing import NDArray

    from lmkernel.checkpoints.adapter_files import AdapterFiles
    from lmkernel.contract.blocks import Blocks

    _Shape = tuple[int, ...]

__all__ = ["AdaptedTensors"]

_WEIGHT, _AXES = ".weight", 2
_IN_LAYER = re.compile(r"^(?!.*\.experts\.).*\.\d+\.")
"""In the names of weights that are modules: transformers has none for an expert, and outside of its
layers a checkpoint may hold more than the class that was adapted has."""


@final
class AdaptedTensors(Tensors):
    """A model's tensors with adapters merged into them as they are read.

    Args:
        base: the model's tensors.
        adapters: from a folder.

    Raises:
        CheckpointError: they are of another model.
    """

    def __init__(self, base: Tensors, adapters: AdapterFiles) -> None:
        self._base, self._adapters = base, adapters
        self._own: dict[str, str] = {}
        self._place_own()
        self._modules = self._weights()
        self._turned = frozenset(filter(self._seems_turned, self._modules))

    @property
    def vocab(self) -> int | None:
        """The rows of a table of tokens that has others than the model's; None if none has."""
        there = set(self._base.names())
        sizes = (self.shape(n)[0] for n in self._own if n in there if self._is_resized(n))
        return next(sizes, None)

    @property
    def tied(self) -> bool:
        """Whether a head that is tied to a table of tokens is adapted as the table is."""
        return bool(self._adapters.tied)

    def names(self) -> tuple[str, ...]:
        """The model's names, and that of a head that was tied to a table and is no more."""
        return tuple(dict.fromkeys((*self._base.names(), *self._own)))

    def shape(self, name: str) -> tuple[int, ...]:
        """The shape."""
        own = self._own.get(name)
        return self._adapters.tensors.shape(own) if own else self._base.shape(name)

    def dtype(self, name: str) -> str:
        """What is stored; what is merged is float32."""
        if name in self._modules:
            return "float32"
        own = self._own.get(name)
        return self._adapters.tensors.dtype(own) if own else self._base.dtype(name)

    def read(self, name: str, dtype: str | None = None) -> NDArray[Any]:
        """The values; see `Tensors.read`."""
        if name not in self._modules:
            return self._read(name, dtype)
        addition = self._adapters.addition(self._modules[name])
        addition = addition.T if name in self._turned else addition
        whole = (self._read(name) + addition).astype(np.float32)
        return to_dtype(whole, dtype, f"{self._adapters.where}: {name!r}")

    def blocks(self, name: str) -> Blocks | None:
        """What is stored, of weights that no adapter changes."""
        return None if self.is_adapted(name) else self._base.blocks(name)

    def unlisted(self, name: str) -> str:
        """Where a tensor lies that is not listed; see `Tensors.unlisted`."""
        return self._base.unlisted(name)

    def is_adapted(self, name: str) -> bool:
        """Whether adapters change a tensor, or have one in its place."""
        return name in self._modules or name in self._own

    def _read(self, name: str, dtype: str | None = None) -> NDArray[Any]:
        own = self._own.get(name)
        return self._adapters.tensors.read(own, dtype) if own else self._base.read(name, dtype)

    def _is_resized(self, name: str) -> bool:
        return self.shape(name) != self._base.shape(name)

    def _place_own(self) -> None:
        """Find what each whole tensor of the adapters takes the place of."""
        find, new = self._finder(), {}
        for full, own in self._adapters.own.items():
            name = find(full)
            if name is None:
                new[full] = own
                continue
            self._own[name] = own
            there, wanted = self.shape(name), self._base.shape(name)
            # a table of tokens may have grown
            if there != wanted and (len(wanted) != _AXES or there[1:] != wanted[1:]):
                raise self._mismatch(own, wanted, there)
        tables = {self.shape(name) for name in self.names() if len(self.shape(name)) == _AXES}
        placed = [own for full, own in self._adapters.own.items() if full not in new]
        for full, own in new.items():
            # what is tied in the model is there under both of its names
            if self._adapters.tensors.shape(own) not in tables and not self._is_copy(own, placed):
                raise self._adapters.refuse(own)
            self._own[full] = own

    def _is_copy(self, own: str, others: Iterable[str]) -> bool:
        """Whether a tensor of the adapters holds the values of one of the others."""
        tensors = self._adapters.tensors
        alike = [other for other in others if tensors.shape(other) == tensors.shape(own)]
        return any(np.array_equal(tensors.read(own), tensors.read(other)) for other in alike)

    def _weights(self) -> dict[str, str]:
        """The module of each weight that is adapted."""
        find, found = self._finder(), {}
        for module, wanted in self._adapters.shapes.items():
            name = find(module + _WEIGHT)
            if name is None and module in self._adapters.tied:
                continue  # it is the table, which is adapted alike
            if name is None:
                raise self._adapters.refuse(f"{PREFIX}{module}.lora_A.weight")
            if self.shape(name) not in (wanted, wanted[::-1]):
                raise self._mismatch(module, self.shape(name), wanted)
            found[name] = module
        return found

    def _seems_turned(self, name: str) -> bool:
        """Whether a weight is stored (in, out), as far as its shape, or else the files, say."""
        module = self._modules[name]
        wanted = self._adapters.shapes[module]
        if wanted != wanted[::-1]:
            return self.shape(name) != wanted
        return self._adapters.transposed and not self._adapters.is_table(module)

    def follow_layout(self, transposed: Collection[str]) -> None:
        """Add what is added to each weight as the model stores it, whatever the adapters say.

        Args:
            transposed: the model's tensors that are stored (in, out), other than tables of tokens.

        Raises:
            CheckpointError: adapters are of a weight that is stored the other way.
        """
        if isinstance(self._base, AdaptedTensors):
            self._base.follow_layout(transposed)
        self._turned = frozenset(self._modules).intersection(transposed)
        for name, module in self._modules.items():
            wanted = self._adapters.shapes[module]
            wanted = wanted[::-1] if name in self._turned else wanted
            if self.shape(name) != wanted:
                raise self._mismatch(module, self.shape(name), wanted)
        said = self._adapters.transposed
        for name, module in self._modules.items():
            if (name in self._turned) != said and not self._adapters.is_table(module):
                self._adapters.warn_of_layout(module, transposed=not said)
                return

    def warn_of_missing(self, names: Sequence[str]) -> None:
        """Say which weight of a layer is listed for adapters and has none, as PEFT does.

        Args:
            names: the tensors that the model has; a checkpoint may hold layers that it has not.
        """
        if isinstance(self._base, AdaptedTensors):
            self._base.warn_of_missing(names)
        there = set(self._base.names())
        listed = (
            name
            for name in names
            if name in there
            and name.endswith(_WEIGHT)
            and _IN_LAYER.search(name)
            and not self.is_adapted(name)
            if self._adapters.is_listed(name.removesuffix(_WEIGHT))
            if len(self._base.shape(name)) == _AXES
        )
        if name := next(listed, None):
            warnings.warn(
                f"{self._adapters.where}: expected adapters of {name.removesuffix(_WEIGHT)!r}, "
                "which target_modules lists, got none: it stays as it is in the model",
                stacklevel=2,
            )

    def _finder(self) -> Callable[[str], str | None]:
        """A function from a name in the adapters to the model's.

        A checkpoint of the bare model leaves out the first part of the names (``model``,
        ``transformer``), and so do adapters of a bare model.
        """
        known = self.names()
        # the full name goes before the short one, where both are there
        short = {name.partition(".")[2]: name for name in known} | {name: name for name in known}
        return lambda full: short.get(full) or short.get(full.partition(".")[2])

    def _mismatch(self, what: str, wanted: _Shape, got: _Shape) -> CheckpointError:
        return CheckpointError(
            f"{self._adapters.where}: module {what!r}: expected adapters of a weight {wanted}, "
            f"got {got}"
        )
