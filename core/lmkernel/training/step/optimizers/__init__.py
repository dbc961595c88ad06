"""Optimizers: pure functions of parameters, gradients and a state."""

from lmkernel.training.step.optimizers.build import build_optimizer
from lmkernel.training.step.optimizers.decay import decayed
from lmkernel.training.step.optimizers.optimizer import Optimizer
from lmkernel.training.step.optimizers.settings import USUAL

__all__ = ["USUAL", "Optimizer", "build_optimizer", "decayed"]
