"""Optimizers: pure functions of parameters, gradients and a state."""

from lmkernel.training.optimizers.optimizer import Optimizer

__all__ = ["Optimizer"]
