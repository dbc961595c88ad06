"""Whether the adapted modules are those that ``adapter_config.json`` names, by PEFT's rule.

PEFT makes adapters for the modules that the configuration names and passes over tensors of others
(``peft.tuners.tuners_utils.check_target_module_exists``, 0.21), so a tensor of a module that is not
named would be added here and nowhere else.

Constraint: a module is named by a list. A string is one expression for all names, as long and as
slow as its author likes; where there is one, the tensors alone say what is adapted.
"""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["foreign_module", "is_listed"]

_INDEX = re.compile(r".*?\.[^.]*\.(\d+)\.")
"""The first numbered part of a module's name is its layer."""


def foreign_module(config: Mapping[str, Any], modules: Iterable[str]) -> tuple[str, str] | None:
    """The first module that the configuration does not name, and the key that leaves it out.

    Args:
        config: what ``adapter_config.json`` holds.
        modules: the adapted ones, by their names in the model.
    """
    for module in modules:
        for key, leaves_out in _RULES.items():
            if leaves_out(config, module):
                return module, key
    return None


def is_listed(config: Mapping[str, Any], module: str) -> bool:
    """Whether ``target_modules`` is a list, and names a module that no other key leaves out."""
    named = _named(config.get("target_modules"), module) is True
    return named and foreign_module(config, [module]) is None


def _is_excluded(config: Mapping[str, Any], module: str) -> bool:
    return _named(config.get("exclude_modules"), module) is True


def _is_no_target(config: Mapping[str, Any], module: str) -> bool:
    return _named(config.get("target_modules"), module) is False


def _is_other_layer(config: Mapping[str, Any], module: str) -> bool:
    """Layers are asked for where a target is an end of the name, and not the name itself."""
    layers, targets = config.get("layers_to_transform"), config.get("target_modules")
    if layers is None or layers == [] or not isinstance(targets, list) or module in targets:
        return False
    index = _layer(config.get("layers_pattern") or (), module)
    return index not in (layers if isinstance(layers, list) else [layers])


def _layer(pattern: Any, module: str) -> int | None:
    if not pattern:
        found = _INDEX.match(module)
        return int(found[1]) if found else None
    parts = module.split(".")
    names = pattern if isinstance(pattern, list) else [pattern]
    numbered = (int(b) for a, b in itertools.pairwise(parts) if a in names and b.isdigit())
    return next(numbered, None)


def _named(names: Any, module: str) -> bool | None:
    """Whether a list names a module, by its name or the end of it; None where there is no list."""
    if not isinstance(names, list) or not names:
        return None
    return any(module == name or module.endswith(f".{name}") for name in names)


_RULES = {
    "exclude_modules": _is_excluded,
    "target_modules": _is_no_target,
    "layers_to_transform": _is_other_layer,
}
