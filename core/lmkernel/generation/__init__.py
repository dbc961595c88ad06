"""Generation: from logits to tokens, from tokens to text."""

from lmkernel.generation.options import GenerationChanges, GenerationOptions
from lmkernel.generation.sampling import draw, sample
from lmkernel.generation.text import TextGeneration
from lmkernel.generation.tokens import generate_steps, generate_tokens

__all__ = [
    "GenerationChanges",
    "GenerationOptions",
    "TextGeneration",
    "draw",
    "generate_steps",
    "generate_tokens",
    "sample",
]
