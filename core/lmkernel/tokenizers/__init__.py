"""Tokenizers: text to ids and back, streams of text, chat templates."""

from lmkernel.tokenizers.load import load_tokenizer
from lmkernel.tokenizers.stream import TextStream
from lmkernel.tokenizers.tokenizer import Tokenizer

__all__ = ["TextStream", "Tokenizer", "load_tokenizer"]
