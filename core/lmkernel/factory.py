"""Makes the components of a model: the backend's own where it has one, else the registered kind."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, final

from lmkernel.errors import PluginError
from lmkernel.interfaces import Attention, Decoder, Embedding, Encoder, Loss, Trainer

if TYPE_CHECKING:
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
            PluginError: what it registers is no implementation of the interface.
        """
        kind = config.kind
        made = self.backend.components.get(f"{interface}:{kind}")
        if made is None:
            made = self.registry.component(interface, kind).resolve()
        expected = _CLASSES[interface]
        if not (isinstance(made, type) and issubclass(made, expected)):
            raise PluginError(
                f"{interface} {kind!r}: expected a subclass of {expected.__name__}, got {made!r}"
            )
        return made.build(self, config)  # type: ignore[attr-defined]  # every interface has build
