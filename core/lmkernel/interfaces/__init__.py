"""The six interfaces of a language model, and what their implementations share."""

from lmkernel.interfaces.component import Component, Factory, Init, Param, ParamTree, project
from lmkernel.interfaces.parts import (
    Attention,
    Decoder,
    Embedded,
    Embedding,
    Encoder,
    Loss,
    LossConfig,
    Memory,
    View,
)
from lmkernel.interfaces.trainer import Callback, StepResult, Trainer, TrainingState

__all__ = [
    "Attention",
    "Callback",
    "Component",
    "Decoder",
    "Embedded",
    "Embedding",
    "Encoder",
    "Factory",
    "Init",
    "Loss",
    "LossConfig",
    "Memory",
    "Param",
    "ParamTree",
    "StepResult",
    "Trainer",
    "TrainingState",
    "View",
    "project",
]
