"""Optimizers: pure functions of parameters, gradients and a state."""

from lmkernel.training.optimizers.build import build_optimizer
from lmkernel.training.optimizers.decay import decayed
from lmkernel.training.optimizers.optimizer import Optimizer
from lmkernel.training.optimizers.settings import USUAL

__all__ = ["USUAL", "Optimizer", "build_optimizer", "decayed"]
