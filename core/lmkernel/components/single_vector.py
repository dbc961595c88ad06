"""The tutorial's attention: weights softmax(W_a·h) from one vector (section 3.2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.components.configured import Configured
from lmkernel.components.primitives import declare_linear
from lmkernel.config import AttentionConfig
from lmkernel.interfaces import Attention, ParamTree, View, project

if TYPE_CHECKING:
    from lmkernel.contract.mandatory import Array, Tree

__all__ = ["SingleVectorAttention"]


@final
class SingleVectorAttention(Configured[AttentionConfig], Attention):
    """Each vector weighs its own elements; positions do not see one another, so no cache."""

    def declare(self) -> ParamTree:
        width = self._config.width
        return {"scores": declare_linear(width, width, ("embed", "embed"), bias=self._config.bias)}

    def scores(self, params: dict[str, Any], h: Array) -> Array:
        """W_a·h, ``(…, width) -> (…, width)``."""
        return project(self._ops, h, params["scores"])

    def weights(self, params: dict[str, Any], h: Array) -> Array:
        """softmax(W_a·h), ``(…, width) -> (…, width)``."""
        return self._ops.softmax(self.scores(params, h), -1)

    def __call__(
        self,
        params: dict[str, Any],
        x: Array,
        view: View,
        *,
        memory: Tree = None,
        cache: Tree = None,
    ) -> tuple[Array, Tree]:
        del view, memory
        return self.weights(params, x) * x, cache

    def remember(self, params: dict[str, Any], hidden: Array) -> Tree:
        del params
        return hidden

    def cache(self, batch: int, capacity: int, dtype: Any) -> Tree:
        """The smallest that can be grown with the others; nothing is written to it."""
        return self._ops.cache_create(batch, 1, 1, capacity, dtype)
