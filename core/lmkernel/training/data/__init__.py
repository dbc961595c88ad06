"""Training data: files, tokens on disk, batches."""

from lmkernel.training.data.batches import Batch, Batches

__all__ = ["Batch", "Batches"]
