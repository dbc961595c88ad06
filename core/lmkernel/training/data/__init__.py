"""Training data: files, tokens on disk, batches."""

from lmkernel.training.data.batches import ArrayBatches, Batch, Batches
from lmkernel.training.data.causal_rows import CausalExample, CausalRows
from lmkernel.training.data.classification import ClassifiedExample, ClassifiedRows
from lmkernel.training.data.pairs import PairExample, SequencePairs
from lmkernel.training.data.prepare import Preparation, RunData
from lmkernel.training.data.tokens import Tokens
from lmkernel.training.data.windows import MaskedWindows, MaskingConfig, PackedCausal

__all__ = [
    "ArrayBatches",
    "Batch",
    "Batches",
    "CausalExample",
    "CausalRows",
    "ClassifiedExample",
    "ClassifiedRows",
    "MaskedWindows",
    "MaskingConfig",
    "PackedCausal",
    "PairExample",
    "Preparation",
    "RunData",
    "SequencePairs",
    "Tokens",
]
