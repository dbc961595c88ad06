"""One checkpoint on several backends: do the same tokens come out, and how far are the logits?"""

from lmkernel.comparison.greedy import Decoded, decode_greedily
from lmkernel.comparison.prompts import PROMPTS
from lmkernel.comparison.verdict import Comparison, Parting, compare

__all__ = ["PROMPTS", "Comparison", "Decoded", "Parting", "compare", "decode_greedily"]
