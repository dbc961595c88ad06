"""Makes the components of a model: the backend's own where it has one, else the registered kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.components.guarded import GuardedLoss, GuardedTrainer
from lmkernel.errors import LmkernelError, PluginError
from lmkernel.interfaces import Attention, Decoder, Embedding, Encoder, Loss, Trainer
from lmkernel.plugins.guard import plugin_code
from lmkernel.plugins.guarded import require_kind

if TYPE_CHECKING:
    from collections.abc import Callable

    from lmkernel.backend import Backend
    from lmkernel.contract.optional import Ops
    from lmkernel.plugins.registry import Registry

__all__ = ["ComponentFactory"]

_CLASSES: dict[str, type] = {
    "attention": Attention,
    "decoder": Decoder,
    "embedding": Embedding,
    "encoder": Encoder,
    "loss": Loss,
    "trainer": Trainer,
}
_GUARDED: dict[type, Callable[[Any, str], Any]] = {Loss: GuardedLoss, Trainer: GuardedTrainer}
"""What stands before a plugin's part where it is called."""


@final
@dataclass(frozen=True)
class ComponentFactory:
    """Hands out implementations of the six interfaces by name.

    Args:
        backend: whose operations they call, and whose own components come first; the others are
            found among the plugins that it was found among.
    """

    backend: Backend

    @property
    def registry(self) -> Registry:
        """Where kinds are found by name."""
        return self.backend.registry

    @property
    def ops(self) -> Ops:
        """The backend's operations."""
        return self.backend.ops

    def create(self, interface: str, config: Any) -> Any:
        """The component of ``config.kind``.

        Raises:
            UnknownNameError: no plugin registers that kind.
            PluginError: what it registers is no implementation of the interface, or builds none.
        """
        kind, own = config.kind, True
        made = self.backend.components.get(f"{interface}:{kind}")
        if made is None:
            spec = self.registry.component(interface, kind)
            made, own = spec.resolve(), spec.load.startswith("lmkernel.")
        expected = _CLASSES[interface]
        if not (isinstance(made, type) and issubclass(made, expected)):
            raise PluginError(
                f"{interface} {kind!r}: expected a subclass of {expected.__name__}, got {made!r}"
            )
        build = made.build  # type: ignore[attr-defined]  # every interface has it
        if own:
            return build(self, config)
        return self._built(f"{interface} {kind!r}", expected, build, config)

    def _built(self, what: str, expected: type, build: Callable[..., Any], config: Any) -> Any:
        """What a plugin's class builds."""
        with plugin_code(f"{what}, build", LmkernelError):
            found = build(self, config)
        require_kind(f"{what}, build", found, expected)
        return _GUARDED[expected](found, what) if expected in _GUARDED else found
