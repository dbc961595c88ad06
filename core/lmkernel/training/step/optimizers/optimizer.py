"""The interface of an optimizer, pure over parameters by dotted name, and how one is built.

Constraints: what varies from step to step without being an array, such as the learning rate and the
corrections of a running mean, is computed on the host in float64 by `scalars` and comes back to
`update` as 0-d arrays, so that a compiled step never compiles twice.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Self

from lmkernel.config.check import require
from lmkernel.errors import LmkernelError, PluginError, shown
from lmkernel.plugins.guard import plugin_code
from lmkernel.training.config import OptimizerConfig

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.contract.optional import Ops
    from lmkernel.interfaces import Factory, Param
    from lmkernel.plugins.registry import Registry

__all__ = ["Optimizer", "build_optimizer", "require_known_options", "usual_config"]


class Optimizer(ABC):
    """Turns gradients into new parameters; found by the name that it is registered under.

    `elementwise` says whether each number's step follows from its own gradient and state alone, so
    that parts of a parameter can be updated apart.
    """

    elementwise: ClassVar[bool] = False

    @classmethod
    @abstractmethod
    def build(cls, ops: Ops, config: OptimizerConfig, declared: Mapping[str, Param]) -> Self:
        """The optimizer for the declared parameters, by dotted name.

        Raises:
            ConfigError: the configuration asks for what this kind cannot do.
        """

    @classmethod
    def usual(cls) -> Mapping[str, Any]:
        """Fields of `OptimizerConfig` whose usual value for this kind is not their default."""
        return {}

    @abstractmethod
    def init(self, params: Mapping[str, Array]) -> Tree:
        """The state before the first step: non-empty mappings by dotted name, all arrays."""

    @abstractmethod
    def scalars(self, step: int, rate: float) -> dict[str, float]:
        """The numbers of one step, on the host; ``step`` counts from 1, ``"rate"`` is among them.

        ``"grad_scale"`` is not: it is the caller's.
        """

    @abstractmethod
    def update(
        self,
        params: Mapping[str, Array],
        grads: Mapping[str, Array],
        state: Tree,
        scalars: Mapping[str, Array],
    ) -> tuple[dict[str, Array], Tree]:
        """The new parameters, and a state of the same structure; all but ``scalars`` is consumed.

        Pure and without branches on data, so that it can be compiled. Gradients are in the dtype
        of the parameters. What `scalars` gave comes as 0-d arrays of that dtype, and with it
        ``"grad_scale"``, by which every gradient is to be multiplied: clipping and the mean over
        targets are in it, so that they need no pass of their own.
        """


def usual_config(kind: str, **changes: Any) -> OptimizerConfig:
    """The configuration that is usual for a kind of optimizer.

    Args:
        kind: its name.
        changes: fields with other values than the usual ones.

    Raises:
        UnknownNameError: no plugin registers the kind.
        ConfigError: a value that the field cannot have.
    """
    with plugin_code(f"optimizer {kind!r}, usual", LmkernelError):
        usual = dict(_optimizer_class(kind)[0].usual())
    return OptimizerConfig(**{"kind": kind, **usual, **changes})


def build_optimizer(
    factory: Factory, config: OptimizerConfig, declared: Mapping[str, Param]
) -> Optimizer:
    """The optimizer of ``config.kind`` for parameters declared by dotted name.

    One from a plugin is guarded.

    Raises:
        UnknownNameError: no plugin registers the kind.
        ConfigError: the configuration asks for what the kind cannot do.
        PluginError: what is registered is no optimizer, or fails.
    """
    from lmkernel.training.step.optimizers.guarded import GuardedOptimizer

    kind, own = _optimizer_class(config.kind, factory.registry)
    with plugin_code(f"optimizer {config.kind!r}, build", LmkernelError):
        made = kind.build(factory.ops, config, declared)
    return made if own else GuardedOptimizer(made, config.kind)


def _optimizer_class(kind: str, among: Registry | None = None) -> tuple[type[Optimizer], bool]:
    """The class of that name, and whether it is one of ours."""
    from lmkernel.plugins import OptimizerSpec, default_registry

    spec = (among or default_registry()).get(OptimizerSpec, kind)
    found = spec.resolve()
    if not (isinstance(found, type) and issubclass(found, Optimizer)):
        raise PluginError(
            f"optimizer {kind!r}: expected {spec.load} to be an Optimizer, got {shown(found)}"
        )
    return found, spec.load.startswith("lmkernel.")


def require_known_options(config: OptimizerConfig, known: Collection[str]) -> None:
    """Raise `ConfigError` where there is a free option that the kind does not know."""
    expected = "names among " + ", ".join(known) if known else "none"
    require(config, "options", expected, ok=set(config.options) <= set(known))
