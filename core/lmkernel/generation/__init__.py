"""Generation: from logits to tokens, from tokens to text."""

from lmkernel.generation.options import GenerationChanges, GenerationOptions
from lmkernel.generation.requests import (
    Adjust,
    Drawn,
    Event,
    Failed,
    PromptScored,
    Request,
    ScoredToken,
)
from lmkernel.generation.sampling import draw, sample
from lmkernel.generation.scheduler import Scheduler
from lmkernel.generation.text import TextGeneration
from lmkernel.generation.tokens import generate_steps, generate_tokens

__all__ = [
    "Adjust",
    "Drawn",
    "Event",
    "Failed",
    "GenerationChanges",
    "GenerationOptions",
    "PromptScored",
    "Request",
    "Scheduler",
    "ScoredToken",
    "TextGeneration",
    "draw",
    "generate_steps",
    "generate_tokens",
    "sample",
]
