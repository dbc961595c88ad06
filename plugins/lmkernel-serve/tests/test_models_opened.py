"""Which models the command opens, under which names, and how their weights are held."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, Any

import numpy as np
from lmkernel_serve.command import Serve, open_models

import lmkernel as lk
from lmkernel.checkpoints.safetensors_writer import write_safetensors
from lmkernel.plugins import default_registry

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel_serve.served import Served

ASKED: dict[str, Any] = {"prompt": "the cat", "max_tokens": 12, "temperature": 0}


def adapter(folder: Path, base: Path) -> Path:
    """A LoRA adapter of the small Llama's first queries, in PEFT's files."""
    folder.mkdir()
    random = np.random.default_rng(3)
    config = {
        "peft_type": "LORA",
        "base_model_name_or_path": str(base),
        "r": 2,
        "lora_alpha": 8,
        "target_modules": ["0.self_attn.q_proj"],
    }
    (folder / "adapter_config.json").write_text(json.dumps(config))
    name = "base_model.model.model.layers.0.self_attn.q_proj.lora_"
    sizes = {"A": (2, 24), "B": (48, 2)}
    tensors = [
        (f"{name}{which}.weight", random.normal(size=size).astype(np.float32))
        for which, size in sizes.items()
    ]
    write_safetensors(folder, tensors, dtype="float32", shard_bytes=1 << 20, stem="adapter_model")
    return folder


def models_of(*arguments: str) -> list[Served]:
    parser = argparse.ArgumentParser()
    Serve(default_registry()).configure(parser)
    return open_models(parser.parse_args(arguments))


def test_an_adapter_is_a_model_beside_its_base(
    tmp_path: Path, serving: Any, tiny: Any, post: Any
) -> None:
    base = tmp_path / "base"
    tiny(base)
    lora = adapter(tmp_path / "lora", base)
    models = models_of(str(base), f"tuned={lora}", "--max-batch", "2")
    with serving(*models) as address:
        answers = {
            name: post(address, "/v1/completions", {"model": name, **ASKED})[1]["choices"][0]
            for name in ("base", "tuned")
        }
    for name, folder in (("base", base), ("tuned", lora)):
        expected = lk.load(folder, dtype="float32").generate("the cat", max_new_tokens=12)
        assert answers[name]["text"] == expected.text
    assert answers["base"]["text"] != answers["tuned"]["text"]


def test_weights_are_held_with_few_bits(tmp_path: Path, serving: Any, tiny: Any, post: Any) -> None:
    tiny(tmp_path / "tiny")
    models = models_of(str(tmp_path / "tiny"), "--weights", "int8")
    assert models[0].model.holding is not None
    with serving(*models) as address:
        _, answer = post(address, "/v1/completions", {"model": "tiny", "logprobs": 0, **ASKED})
    expected = lk.load(tmp_path / "tiny", weights="int8").generate("the cat", max_new_tokens=12)
    found = answer["choices"][0]["logprobs"]["token_logprobs"]
    np.testing.assert_allclose(found, expected.log_probs, atol=1e-4)
    plain = lk.load(tmp_path / "tiny").generate("the cat", max_new_tokens=12)
    assert np.abs(np.subtract(found, plain.log_probs)).max() > 1e-3
