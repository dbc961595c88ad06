"""Training data: files, tokens on disk, batches."""

from lmkernel.training.data.arrays import ArrayBatches
from lmkernel.training.data.batches import Batch, Batches
from lmkernel.training.data.causal_rows import CausalExample, CausalRows
from lmkernel.training.data.classified import Classified, ClassifiedExample
from lmkernel.training.data.masked import Masked, MaskingConfig
from lmkernel.training.data.packed import PackedCausal
from lmkernel.training.data.pairs import PairExample, SequencePairs
from lmkernel.training.data.prepare import OBJECTIVES, Preparation, Prepared
from lmkernel.training.data.settings import DataConfig
from lmkernel.training.data.tokens import Tokens

__all__ = [
    "OBJECTIVES",
    "ArrayBatches",
    "Batch",
    "Batches",
    "CausalExample",
    "CausalRows",
    "Classified",
    "ClassifiedExample",
    "DataConfig",
    "Masked",
    "MaskingConfig",
    "PackedCausal",
    "PairExample",
    "Preparation",
    "Prepared",
    "SequencePairs",
    "Tokens",
]
