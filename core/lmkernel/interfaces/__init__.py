"""The six interfaces of a language model, and what their implementations share."""

from lmkernel.interfaces.attention import Attention, View
from lmkernel.interfaces.component import Component, Factory, Init, Param, ParamTree, project
from lmkernel.interfaces.decoder import Decoder
from lmkernel.interfaces.embedding import Embedded, Embedding
from lmkernel.interfaces.encoder import Encoder, Memory
from lmkernel.interfaces.loss import Loss, LossConfig
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
