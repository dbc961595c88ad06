"""Generation: from logits to tokens, from tokens to text."""

from lmkernel.generation.options import GenerationOptions
from lmkernel.generation.sampling import draw, sample
from lmkernel.generation.text import TextGeneration
from lmkernel.generation.tokens import generate_tokens

__all__ = ["GenerationOptions", "TextGeneration", "draw", "generate_tokens", "sample"]
