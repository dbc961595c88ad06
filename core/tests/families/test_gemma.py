"""What the keys of Gemma's files mean in transformers (5.24), where they say something else."""

from __future__ import annotations

from typing import Any

import pytest
from small import HF_CONFIG

from lmkernel.config import TransformerConfig
from lmkernel.families.family import Family, HfConfig
from lmkernel.families.gemma import Gemma, Gemma2
from lmkernel.families.gemma3 import Gemma3

LEAST = {k: v for k, v in HF_CONFIG.items() if k not in ("model_type", "hidden_act")}


def stack(family: Family, **changes: Any) -> TransformerConfig:
    found = family.read(HfConfig({**LEAST, **changes})).decoder
    assert isinstance(found, TransformerConfig)
    return found


@pytest.mark.parametrize(
    ("changes", "activation"),
    [
        # GemmaConfig.__post_init__ turns this value alone, and reads no hidden_activation
        ({"hidden_act": "gelu"}, "gelu_tanh"),
        ({"hidden_act": "gelu", "hidden_activation": None}, "gelu_tanh"),
        ({"hidden_act": "gelu", "hidden_activation": "gelu"}, "gelu_tanh"),
        ({"hidden_act": "gelu_pytorch_tanh", "hidden_activation": "gelu"}, "gelu_tanh"),
        ({"hidden_activation": "relu"}, "gelu_tanh"),
        ({}, "gelu_tanh"),
        ({"hidden_act": "relu", "hidden_activation": "gelu_pytorch_tanh"}, "relu"),
    ],
)
def test_the_activation_of_gemma_is_that_of_transformers(
    changes: dict[str, Any], activation: str
) -> None:
    assert stack(Gemma(), **changes).mlp.activation == activation


@pytest.mark.parametrize("family", [Gemma2(), Gemma3()])
def test_later_files_mean_the_exact_gelu(family: Family) -> None:
    assert stack(family, hidden_activation="gelu").mlp.activation == "gelu"


@pytest.mark.parametrize(("family", "bound"), [(Gemma2(), 3.0), (Gemma3(), None)])
def test_the_scores_of_gemma_2_alone_are_bounded(family: Family, bound: float | None) -> None:
    # Gemma3Attention.forward passes no softcap on
    assert stack(family, attn_logit_softcapping=3.0).attention.softcap == bound
