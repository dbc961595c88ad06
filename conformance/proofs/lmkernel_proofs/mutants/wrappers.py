"""Component classes that build the core's own component with one thing changed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.plugins import default_registry

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["with_call", "with_config"]


def _build_right(interface: str, kind: str, factory: Any, config: Any) -> Any:
    """Build the core's own component."""
    return default_registry().component(interface, kind).resolve().build(factory, config)


@final
class _Wrapper:
    """The core's own component, with another call or other declared parameters."""

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


def with_config(base: type, interface: str, kind: str, change: Callable[[Any], Any]) -> type:
    """A class that builds the core's own component from a changed configuration.

    It declares the parameters of the right one: the defect is in what is done with them.
    """

    def build(cls: Any, factory: Any, config: Any) -> Any:
        del cls
        wrong = _build_right(interface, kind, factory, change(config))
        return _Wrapper(wrong, _plain_call, _build_right(interface, kind, factory, config).declare)

    return type("WithConfig", (base,), {"build": classmethod(build)})


def _plain_call(inner: Any, *args: Any, **options: Any) -> Any:
    return inner(*args, **options)


def with_call(
    base: type, interface: str, kind: str, make_call: Callable[[Any, Any], Callable[..., Any]]
) -> type:
    """A class that builds the core's own component and calls it another way."""

    def build(cls: Any, factory: Any, config: Any) -> Any:
        del cls
        inner = _build_right(interface, kind, factory, config)
        return _Wrapper(inner, make_call(factory.ops, config))

    return type("WithCall", (base,), {"build": classmethod(build)})
