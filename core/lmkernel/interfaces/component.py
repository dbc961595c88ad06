"""What every implementation of an interface is: static in its configuration, pure in its calls.

Constraints: a component holds no arrays. It declares its parameters, and is called with them; it
does no host transfer and takes no branch on data, so that any backend can compile it.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self, final

from lmkernel.contract.fields import check_fields

if TYPE_CHECKING:
    from lmkernel.backend import Backend
    from lmkernel.contract.mandatory import Array
    from lmkernel.contract.optional import Ops
    from lmkernel.plugins.registry import Registry

__all__ = ["Component", "Factory", "Init", "Param", "ParamTree", "project"]

ParamTree = Any
"""A `Param`, or a dict or list of trees of them."""


@final
@dataclass(frozen=True)
class Init:
    """How a parameter is initialized.

    ``"zeros"``, ``"ones"`` (times ``scale``), ``"normal"`` (standard deviation ``scale``),
    ``"uniform"`` (±``scale``) or ``"glorot_uniform"`` (Glorot & Bengio 2010, eq. 16).

    Raises:
        PluginError: a field of another type; the message names it.
    """

    kind: Literal["zeros", "ones", "normal", "uniform", "glorot_uniform"] = "zeros"
    scale: float = 1.0

    def __post_init__(self) -> None:
        check_fields(self, Init, "Init.")


@final
@dataclass(frozen=True)
class Param:
    """One declared parameter.

    Args:
        shape: the extents; a weight of a product is (out, in).
        init: the initialization.
        axes: the logical name of each axis, such as ``("vocab", "embed")``.
        linear: whether `Ops.linear` alone uses the parameter, so that inference may pack it.
        fuse: a name under which siblings with the same one are packed together, rows after rows.

    Raises:
        PluginError: a field of another type; the message names it.
    """

    shape: tuple[int, ...]
    init: Init
    axes: tuple[str, ...]
    linear: bool = False
    fuse: str = ""

    def __post_init__(self) -> None:
        check_fields(self, Param, "Param.")


class Factory(Protocol):
    """Makes components: what `Component.build` is handed."""

    @property
    def ops(self) -> Ops:
        """The operations that the component calls."""
        ...

    @property
    def backend(self) -> Backend:
        """The backend; a trainer makes a model on it."""
        ...

    @property
    def registry(self) -> Registry | None:
        """Where kinds are found by name; None for all that is installed."""
        ...

    def create(self, interface: str, config: Any) -> Any:
        """The component of ``config.kind``: the backend's own, else the one registered."""
        ...


class Component(ABC):
    """A part of a model."""

    @classmethod
    @abstractmethod
    def build(cls, factory: Factory, config: Any) -> Self:
        """The component that ``config`` describes; makes its own parts through the factory."""

    @abstractmethod
    def declare(self) -> ParamTree:
        """The parameters that calls expect, as a nested mapping."""


def project(ops: Ops, x: Array, params: dict[str, Any]) -> Array:
    """``x`` through one linear layer, ``{"weight", "bias"?, "delta"?}``."""
    return ops.linear(x, params["weight"], params.get("bias"), params.get("delta"))
