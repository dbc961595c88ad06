"""Optimizers: pure functions of parameters, gradients and a state."""

from lmkernel.training.step.optimizers.decay import decayed
from lmkernel.training.step.optimizers.optimizer import (
    Optimizer,
    build_optimizer,
    usual_config,
)

__all__ = ["Optimizer", "build_optimizer", "decayed", "usual_config"]
