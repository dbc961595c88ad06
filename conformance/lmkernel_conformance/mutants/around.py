"""Classes that build the core's own component, with something about it changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.plugins import default_registry

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["around", "rebuilt"]


def _right(interface: str, kind: str, factory: Any, config: Any) -> Any:
    """The core's own component."""
    return default_registry().component(interface, kind).resolve().build(factory, config)


def rebuilt(base: type, interface: str, kind: str, change: Callable[[Any], Any]) -> type:
    """A class that builds the core's own component from a configuration that is changed."""

    def build(cls: Any, factory: Any, config: Any) -> Any:
        del cls
        return _right(interface, kind, factory, change(config))

    return type("Rebuilt", (base,), {"build": classmethod(build)})


@final
class _Around:
    """The core's own component, with one call of it changed."""

    def __init__(self, inner: Any, call: Callable[..., Any]) -> None:
        self._inner = inner
        self._call = call

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._call(self._inner, *args, **options)


def around(
    base: type, interface: str, kind: str, make_call: Callable[[Any, Any], Callable[..., Any]]
) -> type:
    """A class that builds the core's own component and changes its call."""

    def build(cls: Any, factory: Any, config: Any) -> Any:
        del cls
        inner = _right(interface, kind, factory, config)
        return _Around(inner, make_call(factory.ops, config))

    return type("Around", (base,), {"build": classmethod(build)})
