"""The table of diagnoses: defects that ports have had, each as a small change of our own model.

A candidate says what would be seen if the defect were there, and gives the changed model. None of
them knows a family: what it changes is in the configuration or the parameters of any model.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmkernel.verification.defects.common import Candidate
from lmkernel.verification.defects.layers import attention_defects, mlp_defects, norm_defects
from lmkernel.verification.defects.rope import rope_defects, scaling_defects
from lmkernel.verification.defects.weights import end_defects, order_defects, weight_defects

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig

__all__ = ["Candidate", "candidates"]

_GROUPS = (
    rope_defects,
    scaling_defects,
    norm_defects,
    attention_defects,
    mlp_defects,
    end_defects,
    weight_defects,
    order_defects,
)


def candidates(config: ModelConfig) -> list[Candidate]:
    """Those that fit a model: whatever would change nothing of it is left out."""
    return [one for group in _GROUPS for one in group(config)]
