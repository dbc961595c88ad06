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


@final
class _Around:
    """The core's own component, with one call of it changed, or what it declares."""

    def __init__(
        self, inner: Any, call: Callable[..., Any], declare: Callable[[], Any] | None = None
    ) -> None:
        self._inner = inner
        self._call = call
        self.declare = declare or inner.declare

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def __call__(self, *args: Any, **options: Any) -> Any:
        return self._call(self._inner, *args, **options)


def rebuilt(base: type, interface: str, kind: str, change: Callable[[Any], Any]) -> type:
    """A class that builds the core's own component from a configuration that is changed.

    It declares what the right one declares: the defect is in what is done with the parameters.
    """

    def build(cls: Any, factory: Any, config: Any) -> Any:
        del cls
        wrong = _right(interface, kind, factory, change(config))
        return _Around(wrong, _plain_call, _right(interface, kind, factory, config).declare)

    return type("Rebuilt", (base,), {"build": classmethod(build)})


def _plain_call(inner: Any, *args: Any, **options: Any) -> Any:
    return inner(*args, **options)


def around(
    base: type, interface: str, kind: str, make_call: Callable[[Any, Any], Callable[..., Any]]
) -> type:
    """A class that builds the core's own component and changes its call."""

    def build(cls: Any, factory: Any, config: Any) -> Any:
        del cls
        inner = _right(interface, kind, factory, config)
        return _Around(inner, make_call(factory.ops, config))

    return type("Around", (base,), {"build": classmethod(build)})
