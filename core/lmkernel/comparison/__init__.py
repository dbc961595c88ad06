"""One checkpoint on several backends: which tokens, how far the logits, and where they part."""

from lmkernel.comparison.greedy import Decoded, decode_greedily
from lmkernel.comparison.layers import Limit, Reading, limits, parted, readings, trace
from lmkernel.comparison.places import places
from lmkernel.comparison.prompts import PROMPTS
from lmkernel.comparison.verdict import Comparison, Parting, compare

__all__ = [
    "PROMPTS",
    "Comparison",
    "Decoded",
    "Limit",
    "Parting",
    "Reading",
    "compare",
    "decode_greedily",
    "limits",
    "parted",
    "places",
    "readings",
    "trace",
]
