"""Forward hooks that keep what a module is given, or what it makes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import ExitStack

__all__ = ["given", "hook", "made"]


_AXES = 3


def hook(hooks: ExitStack, module: Any, what: Callable[..., None], *, before: bool = False) -> None:
    """Register a hook that goes with the stack, before or after the module."""
    if before:
        handle = module.register_forward_pre_hook(what, with_kwargs=True)
    else:
        handle = module.register_forward_hook(what)
    hooks.callback(handle.remove)


def made(kept: dict[str, Any], name: str) -> Callable[..., None]:
    """Keeps what a module makes, the first of several."""

    def keep(_module: Any, _inputs: Any, output: Any) -> None:
        values = output[0] if isinstance(output, tuple) else output
        if values.ndim == _AXES:  # a norm may be of one vector of each row alone
            kept[name] = values

    return keep


def given(kept: dict[str, Any], name: str) -> Callable[..., None]:
    """Keeps the hidden vectors that a module is given."""

    def keep(_module: Any, inputs: Any, named: Any) -> None:
        kept[name] = inputs[0] if inputs else named["hidden_states"]

    return keep
