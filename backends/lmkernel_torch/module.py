"""A model as a `torch.nn.Module`: its own parameters, everything else from the core.

Constraints: parameters are looked up at each call, so that `torch.func.functional_call`,
parametrizations and whatever else replaces them work. The description of the model holds no
parameters; copies of a module share it.
"""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, final

import torch
from torch import nn

from lmkernel.backend import load_backend
from lmkernel.config import PrecisionPolicy
from lmkernel.model import Model
from lmkernel.native import KEY_WORD, host_values, native_outputs, trainable_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from lmkernel.config import ModelConfig
    from lmkernel.contract.capabilities import DType
    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.language_model import LanguageModel

__all__ = ["LanguageModule", "as_module"]


def as_module(model: LanguageModel) -> LanguageModule:
    """The module of a loaded model, with a copy of its parameters; in evaluation mode, as loaded.

    Its parameters are float32, or float64 in a model of float64, and all of them are trained.
    """
    composition = trainable_model(model.model)
    module = LanguageModule(composition, composition.place(model.parameters()))
    module.eval()
    return module


@final
class _Params(nn.Module):
    """A dict or a list of parameters and of other such, under their own names."""

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
class _Composition:
    """A model without parameters, where and in which dtype the parameters are.

    A copy of a module shares it; what is pickled is its description, and the backend is looked up
    among all that is installed when it is read.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._made = getattr(torch, model.policy.params)
        self._others: dict[tuple[torch.device, torch.dtype], Model] = {}

    def model(self, device: torch.device, dtype: torch.dtype) -> Model:
        """The model for parameters that are there; one that was moved computes in their dtype."""
        here = torch.device(self._model.backend.device)
        if dtype == self._made and (device.type, device.index or 0) == (here.type, here.index or 0):
            return self._model
        if (device, dtype) not in self._others:
            self._others[device, dtype] = self._moved(device, dtype)
        return self._others[device, dtype]

    def _moved(self, device: torch.device, dtype: torch.dtype) -> Model:
        model = self._model
        policy = model.policy
        if dtype != self._made:
            name: DType = str(dtype).removeprefix("torch.")  # type: ignore[assignment]  # the same names
            output: DType = "float64" if name == "float64" else "float32"
            policy = PrecisionPolicy(params=name, compute=name, output=output)
        backend = model.backend
        loaded = load_backend(backend.name, device=str(device), registry=backend.registry)
        return Model(loaded, model.config, policy)

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        backend, config = self._model.backend, _Described(self._model.config)
        return _restored, (backend.name, backend.device, config, self._model.policy)


def _restored(
    backend: str, device: str, config: ModelConfig, policy: PrecisionPolicy
) -> _Composition:
    return _Composition(Model(load_backend(backend, device=device), config, policy))


@final
class _Described:
    """A configuration on its way into a pickle, which takes no read-only mapping."""

    def __init__(self, config: Any) -> None:
        self._config = config

    def __reduce__(self) -> tuple[Any, ...]:
        values = {f.name: getattr(self._config, f.name) for f in fields(self._config)}
        return _configured, (type(self._config), {n: _picklable(x) for n, x in values.items()})


def _picklable(value: Any) -> Any:
    if isinstance(value, MappingProxyType):
        return dict(value)
    return _Described(value) if is_dataclass(value) else value


def _configured(kind: type, values: dict[str, Any]) -> Any:
    return kind(**values)


@final
class LanguageModule(nn.Module):
    """A model of lmkernel as a module; parameters have the model's dotted names, ``(out, in)``.

    ``train()`` turns dropout on, with a key that each call draws from torch's default generator,
    so that `torch.manual_seed` repeats it. After ``to(dtype)`` it computes in that dtype, after
    ``to(device)`` there; the backend must have both.

    Args:
        model: what computes.
        params: native and nested, as `Model.place` makes them; they become parameters.
    """

    def __init__(self, model: Model, params: Tree) -> None:
        super().__init__()
        self._composition = _Composition(model)
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
        return native_outputs(
            self._model(),
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
        self._model()  # loads the backend there now, for it can't be while a call is traced
        return self

    def _model(self) -> Model:
        first = next(self.parameters())
        return self._composition.model(first.device, first.dtype)

    def tree(self) -> Tree:
        """The parameters, nested as the model declares them."""
        return {name: getattr(self, name).tree() for name in self._names}

    def host_values(self) -> dict[str, NDArray[Any]]:
        """The parameters on the host by dotted name, as `LanguageModel.save` takes them."""
        return host_values(self._model(), self.tree())


def _dropout_key() -> Array:
    """A fresh key, from the generator of the processor: it is read on the host."""
    below, times = KEY_WORD
    return torch.randint(0, below, (2,), dtype=torch.int32) * times
