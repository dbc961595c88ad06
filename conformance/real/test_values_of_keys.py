"""Values of keys that few files have: transformers' logits, or a refusal by the key's name."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers
from family_kinds import KINDS, Kind, use_eager_experts
from transformers.models.falcon import modeling_falcon

from lmkernel import load
from lmkernel.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

IDS = np.random.default_rng(5).integers(1, 100, (1, 24))
NEAR = 3e-5
"""Of logits of about 4; what is read otherwise moves them by 0.3 and more."""


def described(kind: Kind, folder: Path, **changes: Any) -> Path:
    """A random model of transformers with other values of keys in its configuration."""
    kind.make().save_pretrained(folder)
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    return folder


def theirs(folder: Path, way: str = "eager") -> np.ndarray:
    kind = transformers.AutoModelForCausalLM
    model: Any = kind.from_pretrained(folder, attn_implementation=way).eval()
    use_eager_experts(model)
    with torch.inference_mode():
        return model(torch.tensor(IDS)).logits.numpy()


def ours(folder: Path) -> np.ndarray:
    return np.asarray(load(folder, backend="numpy").logits(IDS.tolist()))


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("falcon serial", {"parallel_attn": None, "alibi": False}),
        ("falcon", {"alibi": None, "bias": None, "new_decoder_architecture": None}),
        ("falcon serial", {"multi_query": None, "alibi": False}),
        ("deepseek v3", {"rope_interleave": None}),
        ("deepseek v3", {"norm_topk_prob": None}),
        ("gpt neox", {"head_dim": 4}),
        ("gpt neox", {"head_dim": 12}),
    ],
)
def test_it_means_what_it_means_there(tmp_path: Path, name: str, changes: dict[str, Any]) -> None:
    folder = described(KINDS[name], tmp_path, **changes)
    np.testing.assert_allclose(ours(folder), theirs(folder), atol=NEAR)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        *((name, {"is_causal": said}) for name in ("qwen3", "opt", "bloom") for said in (False, 0)),
        ("falcon", {"is_causal": None}),
        ("qwen3.5", {"hidden_act": "gelu"}),
    ],
)
def test_what_is_refused_would_be_another_model(
    tmp_path: Path, name: str, changes: dict[str, Any]
) -> None:
    plain = theirs(described(KINDS[name], tmp_path))
    changed = theirs(described(KINDS[name], tmp_path, **changes))
    assert np.abs(changed - plain).max() > 10 * NEAR
    with pytest.raises(CheckpointError, match=next(iter(changes))):
        ours(tmp_path)


def test_slopes_of_falcon_are_those_of_the_paper(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """transformers rounds them to bfloat16, and its eager attention adds the biases twice."""
    sizes = {"num_attention_heads": 16, "hidden_size": 64}
    kind = KINDS["falcon serial"]
    wide = Kind(kind.config, kind.model, kind.auto, {**kind.options, **sizes})
    folder = described(wide, tmp_path)
    rounded = theirs(folder, "sdpa")
    made = modeling_falcon.build_alibi_tensor

    def exact(*arguments: Any, **named: Any) -> torch.Tensor:
        with monkeypatch.context() as patch:
            patch.setattr(torch.Tensor, "bfloat16", lambda x: x)
            return made(*arguments, **named)

    monkeypatch.setattr(modeling_falcon, "build_alibi_tensor", exact)
    got, plain = ours(folder), theirs(folder, "sdpa")
    np.testing.assert_allclose(got, plain, atol=NEAR)
    assert np.abs(rounded - plain).max() > 10 * NEAR
    assert np.abs(theirs(folder, "eager") - plain).max() > 0.1
