"""What a plugin imports to supply an optimizer; the contract keeps this path."""

from lmkernel.training.step.optimizers import Optimizer, build_optimizer, decayed, usual_config

__all__ = ["Optimizer", "build_optimizer", "decayed", "usual_config"]
