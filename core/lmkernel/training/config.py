"""How a model is trained, described: frozen, validated, free of arrays and of frameworks."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, final

from lmkernel.config import TransformerConfig
from lmkernel.config.check import frozen_options, one_of, positive, require
from lmkernel.config.model import PrecisionPolicy
from lmkernel.errors import ConfigError
from lmkernel.interfaces import LossConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lmkernel.config import ModelConfig

__all__ = ["LoraConfig", "OptimizerConfig", "ScheduleConfig", "TrainerConfig"]

SCHEDULES = ("constant", "linear", "cosine", "wsd")


@final
@dataclass(frozen=True, kw_only=True)
class OptimizerConfig:
    """An optimizer of some kind, such as ``"adamw"``.

    Args:
        kind: ``"sgd"``, ``"adam"``, ``"adamw"``, ``"adafactor"``, ``"lion"``, ``"muon"``, or one
            that a plugin registers.
        beta1, beta2: decay of the running means; each kind has its own usual values.
        eps: added to the root of the second moment, outside the root.
        momentum: of ``"sgd"`` and ``"muon"``.
        nesterov: whether the momentum looks ahead.
        weight_decay: decoupled (arXiv:1711.05101), of weights alone: neither of biases nor of
            normalisations.
        options: free for kinds from plugins.
    """

    kind: str = "adamw"
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    momentum: float = 0.0
    nesterov: bool = False
    weight_decay: float = 0.0
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        frozen_options(self)
        for name in ("beta1", "beta2", "momentum"):
            require(self, name, "a number in [0, 1)", ok=0 <= getattr(self, name) < 1)
        require(self, "eps", "a positive, finite number", ok=0 < self.eps < math.inf)
        decay = 0 <= self.weight_decay < math.inf
        require(self, "weight_decay", "a finite number of 0 or more", ok=decay)


@final
@dataclass(frozen=True, kw_only=True)
class ScheduleConfig:
    """The learning rate at each step: up to ``rate`` over ``warmup`` steps, then by ``kind``.

    Args:
        kind: ``"constant"``; ``"linear"`` or ``"cosine"`` down to ``floor`` at the last step;
            ``"wsd"``, constant until the last ``cooldown`` steps, then linear down to ``floor``.
        rate: the highest learning rate.
        warmup: steps from 0 up to ``rate``.
        floor: share of ``rate`` at the end.
        cooldown: steps of the fall of ``"wsd"``.
    """

    kind: str = "constant"
    rate: float = 1e-3
    warmup: int = 0
    floor: float = 0.0
    cooldown: int = 0

    def __post_init__(self) -> None:
        one_of(self, "kind", SCHEDULES)
        require(self, "rate", "a positive, finite number", ok=0 < self.rate < math.inf)
        require(self, "warmup", "0 or more", ok=self.warmup >= 0)
        require(self, "cooldown", "0 or more", ok=self.cooldown >= 0)
        require(self, "floor", "a share in [0, 1]", ok=0 <= self.floor <= 1)


@final
@dataclass(frozen=True, kw_only=True)
class LoraConfig:
    """Low-rank adapters beside frozen weights (arXiv:2106.09685).

    Args:
        rank: of each adapter.
        alpha: the product is scaled by ``alpha / rank``.
        targets: last parts of the names of the linear layers of encoder and decoder that are
            adapted, such as ``("q", "v")``; by default all of them.
    """

    rank: int = 8
    alpha: float = 16.0
    targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        positive(self, "rank")
        require(self, "alpha", "a positive, finite number", ok=0 < self.alpha < math.inf)


@final
@dataclass(frozen=True, kw_only=True)
class TrainerConfig:
    """What a trainer needs to know to take one step; the kind of trainer is ``kind``.

    Args:
        model: what is trained.
        loss: what is made small.
        optimizer: how.
        schedule: how fast.
        steps: of the whole run, which the schedule is laid over.
        policy: dtypes; ``compute`` below ``params`` is mixed precision.
        clip: largest global norm of the gradient, or 0 for no limit.
        remat: gradient checkpointing: whether each layer's inner values are computed again in the
            backward pass, which saves memory (arXiv:1604.06174).
        lora: adapters to be trained in place of the weights, or None.
        seed: of dropout.
    """

    kind: str = "composed"
    model: ModelConfig
    loss: LossConfig = field(default_factory=lambda: LossConfig(kind="cross_entropy"))
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    steps: int
    policy: PrecisionPolicy = field(default_factory=PrecisionPolicy)
    clip: float = 0.0
    remat: bool = False
    lora: LoraConfig | None = None
    seed: int = 0
    options: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        frozen_options(self)
        positive(self, "steps")
        require(self, "clip", "0 or more", ok=self.clip >= 0)
        require(self, "seed", "0 to 2**64 - 1", ok=0 <= self.seed < 1 << 64)

    def model_in_training(self) -> ModelConfig:
        """The model; with ``remat``, its transformer layers save memory as that says.

        Raises:
            ConfigError: ``remat`` of a model without such layers.
        """
        if not self.remat:
            return self.model
        stacks = {"encoder": self.model.encoder, "decoder": self.model.decoder}
        changed: dict[str, Any] = {
            name: replace(stack, remat=True)
            for name, stack in stacks.items()
            if isinstance(stack, TransformerConfig)
        }
        if not changed:
            raise ConfigError("TrainerConfig.remat: expected a model with transformer layers")
        return replace(self.model, **changed)
