"""Registers the built-in optimizers; imports none of them."""

from __future__ import annotations

from lmkernel.plugins import OptimizerSpec, hookimpl

_KINDS = (
    ("sgd", "momentum:SGD"),
    ("adam", "adam:Adam"),
    ("adamw", "adam:AdamW"),
    ("adafactor", "adafactor:Adafactor"),
    ("lion", "momentum:Lion"),
    ("muon", "muon:Muon"),
)


@hookimpl
def lmkernel_register_optimizers() -> list[OptimizerSpec]:
    """Every kind that the core has itself."""
    return [
        OptimizerSpec(name=name, contract="1.0", load=f"lmkernel.training.step.optimizers.{where}")
        for name, where in _KINDS
    ]
