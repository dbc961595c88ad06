"""The table of diagnoses: defects that ports have had, each as a small change of our own model.

A candidate says what would be seen if the defect were there, and gives the changed model. None of
them knows a family: what it changes is in the configuration or the parameters of any model.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lmkernel.verification.defects.attention import attention_defects
from lmkernel.verification.defects.common import Candidate
from lmkernel.verification.defects.delta import delta_defects
from lmkernel.verification.defects.ends import end_defects
from lmkernel.verification.defects.experts import expert_defects
from lmkernel.verification.defects.layers import layer_defects, mlp_defects
from lmkernel.verification.defects.norms import norm_defects
from lmkernel.verification.defects.pictures import picture_defects
from lmkernel.verification.defects.precision import precision_defects
from lmkernel.verification.defects.rope import rope_defects, scaling_defects
from lmkernel.verification.defects.weights import lost_defects, order_defects, weight_defects

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig

__all__ = ["Candidate", "candidates"]

_GROUPS = (
    rope_defects,
    scaling_defects,
    norm_defects,
    attention_defects,
    delta_defects,
    mlp_defects,
    expert_defects,
    layer_defects,
    end_defects,
    weight_defects,
    order_defects,
    precision_defects,
)


def candidates(config: ModelConfig, first: int | None = None) -> list[Candidate]:
    """Those that fit a model: whatever would change nothing of it is left out.

    Args:
        config: the model.
        first: the layer at which the subject parts, where it is known.
    """
    # what reads the tokens has defects of its own, whatever it is shown
    tokens = replace(config, sight=None)
    made = [one for group in _GROUPS for one in group(tokens)]
    return [*made, *picture_defects(config), *lost_defects(tokens, first)]
