"""The LoRA adapters in a folder, as PEFT writes them, checked without the model that they adapt.

``adapter_config.json`` and ``adapter_model.safetensors``: for each adapted module ``M`` the tensors
``base_model.model.M.lora_A.weight (rank, in)`` and ``….lora_B.weight (out, rank)``, whose product
times alpha / rank is added to the module's weight (arXiv:2106.09685, eq. 3); for a table of tokens
``….lora_embedding_A (rank, vocab)`` and ``….lora_embedding_B (width, rank)``. Any other tensor
takes the place of the model's own of that name (``modules_to_save``, biases, a table that grew).
"""

from __future__ import annotations

import re
import sys
import time
import warnings
from typing import TYPE_CHECKING, final

import numpy as np

from lmkernel.checkpoints.adapter_targets import foreign_module, is_listed
from lmkernel.checkpoints.json_files import read_object
from lmkernel.checkpoints.memory_map import refuse_pickle
from lmkernel.checkpoints.safetensors import SafetensorsFile
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

__all__ = ["ADAPTER_CONFIG", "ADAPTER_TENSORS", "PREFIX", "AdapterFiles"]

ADAPTER_CONFIG = "adapter_config.json"
ADAPTER_TENSORS = "adapter_model.safetensors"
PREFIX = "base_model.model."
_PICKLE = "adapter_model.bin"
_PAIRS = ((".lora_A.weight", ".lora_B.weight"), (".lora_embedding_A", ".lora_embedding_B"))
_WRAPPED = re.compile(r"\.(base_layer|modules_to_save(\.default)?)(?=\.)")
"""What PEFT puts into the name of a tensor that it keeps whole."""
_FORMER = ".original_module."
"""In the name of what such a tensor has replaced, which PEFT may keep and never computes with."""
_AXES = 2
_TIES = "ensure_weight_tying"
_READ = frozenset(
    {
        *("peft_type", "base_model_name_or_path", "r", "lora_alpha", "rank_pattern"),
        *("alpha_pattern", "use_rslora", "fan_in_fan_out", "init_lora_weights"),
        *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern"),
        _TIES,
    }
)
"""Keys of ``adapter_config.json`` that are read."""
_INERT = frozenset(
    {
        *("task_type", "auto_mapping", "peft_version", "revision", "inference_mode"),
        *("lora_dropout", "velora_config", "runtime_config", "megatron_config", "megatron_core"),
        *("eva_config", "corda_config", "loftq_config", "lora_ga_config", "qalora_group_size"),
        # what these say is seen in the tensors
        *("bias", "modules_to_save"),
    }
)
"""Keys that say how adapters were trained. Any other asks for more than adding products."""
_BIASES = ("none", "all", "lora_only")
_NAMES = ("target_modules", "exclude_modules", "modules_to_save")
"""Keys that name modules, by a list or by an expression."""
_CHANGES_THE_MODEL = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Ways to begin (``init_lora_weights``) that take the first product out of the model's weights."""
_LONGEST = 500
_MOST_WAYS = 1_000_000
"""Ways in which an expression may fit a name, about a second for all of them."""
_MOST_SECONDS = 3.0
"""For all expressions and names of a folder."""
_CHOICE = re.compile(r"\||(?<!\()\?")
_UNSAFE = re.compile(r"\)[*+{]|\\[1-9]|\(\?P=")
"""A group that is repeated, or a reference: with these an expression can take for ever."""


@final
class AdapterFiles:
    """A folder's adapters.

    Args:
        folder: holds both files.

    Attributes:
        base: name or path of the model that they adapt.
        where: the file of tensors, for messages.
        shapes: of each adapted module's weight, by the module's name in that model: (out, in), and
            of a table of tokens (vocab, width).
        transposed: what the configuration says of the weights: that they are stored (in, out).
        own: the name in ``tensors`` of each tensor that takes the place of the model's, by the
            model's name for it.
        tied: modules of ``shapes`` whose adapters are those of a table of tokens, turned, as those
            of a head that is tied to it are (``ensure_weight_tying``).
        tensors: the file.

    Raises:
        CheckpointError: no plain LoRA adapters, or damaged ones; names the key or the tensor.
    """

    def __init__(self, folder: Path) -> None:
        self.where, self._config_at = folder / ADAPTER_TENSORS, folder / ADAPTER_CONFIG
        self._config = read_object(self._config_at, required=True)
        self._check_kind()
        self.base = self._base()
        self.transposed = self._flag("fan_in_fan_out")
        if not self.where.is_file() and (folder / _PICKLE).is_file():
            raise refuse_pickle(folder / _PICKLE)
        self.tensors = SafetensorsFile(self.where)
        self.own: dict[str, str] = {}
        self._halves: dict[str, tuple[str, str]] = {}
        self._sort_names()
        self.tied = self._tied_modules() if self._flag(_TIES) else frozenset()
        self._check_targets()
        self.shapes = {module: self._shape(module) for module in self._halves}
        self._end = time.monotonic() + _MOST_SECONDS
        self._scales = {module: self._scale(module) for module in self.shapes}
        self._check_tied()

    def addition(self, module: str) -> NDArray[np.float64]:
        """What is added to a module's weight, of the shape in `shapes`, in float64."""
        a, b = (self.tensors.read(name).astype(np.float64) for name in self._halves[module])
        with np.errstate(over="ignore", invalid="ignore"):
            whole: NDArray[np.float64] = (b @ a) * self._scales[module]
        whole = whole.T if self.is_table(module) else whole
        if np.abs(whole).max(initial=0) <= np.finfo(np.float32).max:  # NaN is not either
            return whole
        raise CheckpointError(
            f"{self.where}: module {module!r}: expected adapters whose product is finite in "
            f"float32, got others, scaled by {self._scales[module]:g}"
        )

    def is_listed(self, module: str) -> bool:
        """Whether ``target_modules`` lists a module of the model, which then has adapters."""
        return is_listed(self._config, module)

    def is_table(self, module: str) -> bool:
        """Whether a module is a table of tokens, which is stored (in, out) in every model."""
        return self._halves[module][0].endswith(_PAIRS[1][0])

    def refuse(self, name: str) -> CheckpointError:
        """What to raise for a tensor that is no adapter of a weight of the model."""
        return CheckpointError(
            f"{self.where}: tensor {name!r} is no half of a pair of lora_A and lora_B for "
            "a weight of the model, and no tensor of the model itself"
        )

    def _check_kind(self) -> None:
        kind = self._config.get("peft_type")
        if kind != "LORA":
            raise self._error("peft_type", "'LORA'", kind)
        for key, value in self._config.items():
            if value and key not in _READ and key not in _INERT:
                what = "DoRA adapters, " * (key == "use_dora")
                raise CheckpointError(
                    f"{self._config_at}: expected plain LoRA adapters, got {what}{key}: "
                    f"{value!r:.60}; merge them with PEFT (merge_and_unload) and open the model"
                )
        for key in _NAMES:
            names = self._config.get(key)
            listed = isinstance(names, list) and all(isinstance(name, str) for name in names)
            if not (listed or isinstance(names, str | None)):
                raise self._error(key, "names of modules, or an expression", names)
        if (bias := self._config.get("bias")) not in (None, *_BIASES):
            raise self._error("bias", f"one of {', '.join(_BIASES)}", bias)
        begun = self._config.get("init_lora_weights")
        if not isinstance(begun, bool | str | None):
            raise self._error("init_lora_weights", "true, false or the name of a way", begun)
        if isinstance(begun, str) and begun.lower().startswith(_CHANGES_THE_MODEL):
            raise self._error("init_lora_weights", "a way that leaves the model as it is", begun)

    def _base(self) -> str:
        key = "base_model_name_or_path"
        name = self._config.get(key)
        if not isinstance(name, str) or not name:
            raise self._error(key, "a model's name or folder", name)
        return name

    def _sort_names(self) -> None:
        """Tell the halves of pairs from tensors that take the place of the model's."""
        names = set(self.tensors.names())
        for name in self.tensors.names():
            if not name.startswith(PREFIX):
                raise self.refuse(name)
            if _FORMER in name:
                continue
            ends = next((ends for ends in _PAIRS if name.endswith(ends)), None)
            if ends is None:
                self.own[_WRAPPED.sub("", name.removeprefix(PREFIX))] = name
                continue
            module = name.removesuffix(ends[0]).removesuffix(ends[1])
            both = (module + ends[0], module + ends[1])
            if not names.issuperset(both):
                raise self.refuse(name)
            self._halves[module.removeprefix(PREFIX)] = both

    def _check_targets(self) -> None:
        """There are adapters, and they are of the modules that the configuration names."""
        if not self._halves and not self.own:
            raise CheckpointError(f"{self.where}: expected tensors of adapters, got none")
        # a head that is tied follows its table, and is no target itself
        if found := foreign_module(self._config, [m for m in self._halves if m not in self.tied]):
            module, key = found
            if self._flag(_TIES) and key == "target_modules":
                tied = (
                    f"adapters of {module!r} that are a table's, turned, or a target by that name"
                )
                raise self._error(_TIES, tied, got=True)
            what = f"what names {module!r}, of which there are tensors"
            raise self._error(key, what, self._config[key])

    def _tied_modules(self) -> frozenset[str]:
        tables = [module for module in self._halves if self.is_table(module)]
        others = self._halves.keys() - set(tables)
        return frozenset(m for m in others if any(self._mirrors(m, table) for table in tables))

    def _mirrors(self, module: str, table: str) -> bool:
        """Whether the halves of one are the other's, exchanged and turned."""
        for own, other in zip(self._halves[module], reversed(self._halves[table]), strict=True):
            if self.tensors.shape(own) != self.tensors.shape(other)[::-1]:
                return False
            if not np.array_equal(self.tensors.read(own), self.tensors.read(other).T):
                return False
        return True

    def _check_tied(self) -> None:
        """What is tied is added as often as to its table."""
        tables = (module for module in self._halves if self.is_table(module))
        scales = {self._scales[module] for module in (*self.tied, *tables)}
        if self.tied and len(scales) > 1:
            what = "one scale for a table of tokens and what is tied to it"
            raise self._error(_TIES, what, sorted(scales))

    def _shape(self, module: str) -> tuple[int, int]:
        halves = self._halves[module]
        for name in halves:
            if "float" not in (dtype := self.tensors.dtype(name)):
                raise CheckpointError(
                    f"{self.where}: {name}: expected floating-point values, got {dtype}"
                )
        a, b = map(self.tensors.shape, halves)
        if not len(a) == len(b) == _AXES or a[0] != b[1]:
            raise CheckpointError(
                f"{self.where}: module {module!r}: expected lora_A (rank, in) and "
                f"lora_B (out, rank), got {a} and {b}"
            )
        return (a[1], b[0]) if self.is_table(module) else (b[0], a[1])

    def _scale(self, module: str) -> float:
        rank, there = self._number("r", module), self.tensors.shape(self._halves[module][0])[0]
        if rank < 1:
            raise self._error("r", "a rank of 1 or more", rank)
        if rank != there:
            raise CheckpointError(
                f"{self.where}: {module!r}: expected the rank {rank}, got {there}"
            )
        alpha = self._number("lora_alpha", module)
        return alpha / (rank**0.5 if self._flag("use_rslora") else rank)

    def _number(self, key: str, module: str) -> float:
        """What a table of expressions says of a module, else what holds for all."""
        table = "rank_pattern" if key == "r" else "alpha_pattern"
        patterns = self._config.get(table)
        if not isinstance(patterns, dict | None):
            raise self._error(table, "an object", patterns)
        patterns = patterns or {}
        fitting = next((p for p in patterns if self._matches(table, p, module)), None)
        value = self._config.get(key) if fitting is None else patterns[fitting]
        sound = isinstance(value, int | float) and not isinstance(value, bool)
        # a float holds no more: what is larger, or NaN, is no scale
        if not sound or not abs(value) <= sys.float_info.max:  # type: ignore[arg-type]  # a number, as tested
            raise self._error(key if fitting is None else table, "a finite number", value)
        return value  # type: ignore[return-value]  # a number, as tested

    def _matches(self, table: str, pattern: str, name: str) -> bool:
        """PEFT's rule: the whole name, after an optional ``….`` before it, fits the expression."""
        # a repeat may end at each character of the name, a choice may fall either way
        repeats, choices = sum(map(pattern.count, "*+{")), len(_CHOICE.findall(pattern))
        slow = (len(name) + 1) ** repeats << choices > _MOST_WAYS or time.monotonic() > self._end
        if slow or len(pattern) > _LONGEST or _UNSAFE.search(pattern):
            raise self._error(table, "expressions with few repeats, of no groups", pattern)
        try:
            return re.match(rf"(.*\.)?({pattern})$", name) is not None
        except (re.error, OverflowError, RecursionError) as error:
            raise self._error(table, f"regular expressions ({error})", pattern) from error

    def _flag(self, key: str) -> bool:
        value = self._config.get(key)
        if value is not None and not isinstance(value, bool):
            raise self._error(key, "true or false", value)
        return bool(value)

    def warn_of_layout(self, module: str, *, transposed: bool) -> None:
        """Say that a weight is stored otherwise than the configuration has it, as PEFT does."""
        way = "(in, out)" if transposed else "(out, in)"
        warnings.warn(
            f"{self._config_at}: fan_in_fan_out is {str(self.transposed).lower()}, and the model "
            f"stores the weight of {module!r} as {way}: its adapters are added as it is stored",
            stacklevel=2,
        )

    def _error(self, key: str, expected: str, got: object) -> CheckpointError:
        return CheckpointError(f"{self._config_at}: {key}: expected {expected}, got {got!r:.100}")
