"""A model as a `torch.nn.Module`: its own parameters, everything else from the core.

Constraints: parameters are looked up at each call, so that `torch.func.functional_call`,
parametrizations and whatever else replaces them work. The description of the model holds no
parameters; copies of a module share it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, final

import torch
from torch import nn

from lmkernel.native import KEY_WORD, NativeModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from lmkernel.contract.mandatory import Array, Tree

__all__ = ["LanguageModule", "as_module"]


def as_module(model: NativeModel, values: Mapping[str, NDArray[Any]]) -> LanguageModule:
    """The module of a loaded model, with a copy of its parameters; in evaluation mode, as loaded.

    All parameters are trained.
    """
    module = LanguageModule(model, model.place(values))
    module.eval()
    return module


@final
class _Params(nn.Module):
    """A dict or list of parameters, or of further dicts and lists, under their own names."""

    def __init__(self, tree: Tree) -> None:
        super().__init__()
        self._listed = isinstance(tree, list)
        self._own: list[str] = []
        for key, child in enumerate(tree) if self._listed else tree.items():
            name = str(key)
            if isinstance(child, (dict, list)):
                # not by `add_module`: the layers of a recurrent part are named forward and backward
                self._modules[name] = _Params(child)
            else:
                self.register_parameter(name, nn.Parameter(child))
                self._own.append(name)

    def tree(self) -> Tree:
        """What it was made of, with the parameters as they are now."""
        inner = {name: x.tree() for name, x in self._modules.items() if isinstance(x, _Params)}
        if self._listed:
            return list(inner.values())
        return inner | {name: getattr(self, name) for name in self._own}


@final
class LanguageModule(nn.Module):
    """A model of lmkernel as a module; parameters have the model's dotted names, ``(out, in)``.

    ``train()`` turns dropout on, with a key that each call draws from torch's default generator,
    so that `torch.manual_seed` repeats it. After ``to(dtype)`` it computes in that dtype, after
    ``to(device)`` there; the backend must have both.

    Args:
        model: the model that computes.
        params: native and nested, as `NativeModel.place` makes them; they become parameters.
    """

    def __init__(self, model: NativeModel, params: Tree) -> None:
        super().__init__()
        self._model = model
        self._names = tuple(params)
        for name, child in params.items():
            self.add_module(name, _Params(child))

    def forward(
        self,
        input_ids: Array,
        attention_mask: Array | None = None,
        token_type_ids: Array | None = None,
        position_ids: Array | None = None,
    ) -> Array:
        """Logits ``(batch, time, size)``, or ``(batch, size)`` where the head pools.

        Args:
            input_ids: integers ``(batch, time)``, on the parameters' device.
            attention_mask: ``(batch, time)``, 1 for a token and 0 for padding, on either side.
            token_type_ids: the segment of each token, ``(batch, time)``.
            position_ids: ``(batch, time)``; by default the tokens of a row are numbered from 0.
        """
        return self._model(
            self.tree(),
            input_ids,
            attention_mask,
            token_type_ids,
            position_ids,
            key=_dropout_key() if self.training else None,
            cumsum=torch.cumsum,
        )

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        super()._apply(fn, recurse)  # what `to` and its likes come down to
        first = next(self.parameters())
        name: Any = str(first.dtype).removeprefix("torch.")
        if (name, first.device) != (self._model.policy.params, torch.device(self._model.device)):
            self._model = self._model.on(str(first.device), name)
        return self

    def tree(self) -> Tree:
        """The parameters, nested as the model declares them."""
        return {name: getattr(self, name).tree() for name in self._names}

    def host_values(self) -> dict[str, NDArray[Any]]:
        """The parameters on the host by dotted name, as `LanguageModel.save` takes them."""
        return self._model.host_values(self.tree())


def _dropout_key() -> Array:
    """A fresh key, from the generator of the processor: it is read on the host."""
    below, times = KEY_WORD
    return torch.randint(0, below, (2,), dtype=torch.int32) * times
