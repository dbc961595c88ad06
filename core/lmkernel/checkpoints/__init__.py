"""Checkpoint files: Hugging Face directories, read and written, and GGUF files, read."""

from lmkernel.checkpoints.directory import (
    ModelFiles,
    convert_gguf,
    open_model,
    read_directory,
    write_directory,
)
from lmkernel.checkpoints.tensors import Tensors

__all__ = [
    "ModelFiles",
    "Tensors",
    "convert_gguf",
    "open_model",
    "read_directory",
    "write_directory",
]
