"""The catalogue of defects: what is probably wrong when a case fails.

Each row is a defect that was found in a public project. A case names the rows that it is made to
catch, so that its failure can point to them.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

__all__ = ["COMPILED", "DEFECTS", "likely"]

COMPILED = 28
"""The row of what compiling makes wrong."""

DEFECTS: Mapping[int, str] = MappingProxyType(
    {
        1: "the fused attention path is not causal",
        2: "a boolean mask is inverted: True means that a key is visible",
        3: "the causal mask is aligned at the top left: the last query belongs to the last key",
        4: "a row without a visible key gives NaN: it must give zeros, with finite gradients",
        5: "NaN in a hidden key leaks: multiply by zero does not remove it, select instead",
        6: "two mask minima are added and overflow to minus infinity: combine masks as booleans",
        7: "the scale of attention is missing or taken from the wrong width",
        8: "the padding of the encoder is ignored in cross-attention",
        9: "rotary pairs are interleaved, where halves are split, or turn the wrong way",
        10: "the base of rotary positions, or its scaling, is ignored",
        11: "padding on the left shifts positions, or is read",
        12: "epsilon is added outside the square root",
        13: "the variance is divided by n - 1 instead of n",
        14: "epsilon is a default instead of the one given",
        15: "the variance is E[x²] - E[x]², which cancels: subtract the mean first",
        16: "the norm's weight is taken as w where 1 + w is meant, or the reverse",
        17: "GELU by tanh and GELU by erf are exchanged",
        18: "softmax does not subtract the maximum, or along the wrong axis",
        19: "label smoothing or the count takes in targets that are ignored",
        20: "labels are shifted twice, or not at all",
        21: "accumulation averages means instead of dividing the sum by all targets",
        22: "Adam's epsilon is inside the root, or comes before the correction of bias",
        23: "weight decay is coupled with the gradient, or applies to norms and biases",
        24: "the optimizer's moments or steps are lost on resume",
        25: "decoding with the cache differs from decoding without it",
        26: "the scale of an embedding is rounded in 16 bits at the wrong moment",
        27: "the gates of a recurrent cell are in the wrong order",
        COMPILED: "the compiled function differs from the eager one, or has frozen a number",
        29: "float64 is computed in float32 somewhere on the way",
        30: "the random stream or what is made of it differs in its bits",
        31: "the pixels of a patch, or its colours, are taken in another order",
        32: "positions of patches are not interpolated for another grid as they were for learning",
        33: "the vectors of a picture are of another layer, joined in another order, or elsewhere",
        34: "a picture is cut, rescaled or normalised in another way",
        35: "a sound's ends are zeros, where they are mirrored, or its last frame is kept",
        36: "mel filters have another scale, area or window; silence is added by 30 s, not to it",
        37: "a convolution in time has other strides, edges or lengths, or padding is heard",
        38: "a transcript has other first tokens, suppressed ones, or times that go back",
        39: "windows of a long sound lose or repeat words, or silence and repetitions are taken",
        40: "a beam's score has another length, ended beams are lost, or the cache keeps its order",
        41: "a token that is forced or forbidden is not, or a decoder begins with another",
    }
)
"""The defects, by the number of the row that cases name."""


def likely(rows: Iterable[int]) -> list[str]:
    """The defects that the rows stand for, a line each; unknown rows are left out."""
    return [DEFECTS[row] for row in rows if row in DEFECTS]
