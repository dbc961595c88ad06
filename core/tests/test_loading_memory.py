"""A model is never in memory twice: the peak while it is loaded and answers, as a ratio."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import numpy as np
import pytest
from small import HF_CONFIG

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import write_directory
from lmkernel.families.family import HfConfig
from lmkernel.families.llama import Llama
from lmkernel.families.names import from_ours
from lmkernel.model import Model
from lmkernel.parameters import flatten

if TYPE_CHECKING:
    from pathlib import Path

CONFIG = {
    **HF_CONFIG,
    "hidden_size": 512,
    "intermediate_size": 1408,
    "num_hidden_layers": 14,
    "num_attention_heads": 8,
    "num_key_value_heads": 8,
    "head_dim": 64,
    "vocab_size": 2000,
}
LIMIT = 1.15
USUAL = 24_000_000
"""Bytes that a short answer takes besides the weights: the cache, a weight as it is read."""

ANSWER = """
import re, sys
from lmkernel.backend import load_backend
from lmkernel.generation import GenerationOptions, generate_tokens
from lmkernel.loading import open_language_model

def kibibytes(name):
    return int(re.search(name + r":\\s+(\\d+)", open("/proc/self/status").read())[1])

backend = load_backend("numpy")
before = kibibytes("VmRSS")
model = open_language_model(sys.argv[1], backend)
options = GenerationOptions(max_new_tokens=3)
list(generate_tokens(model.model, model.params, [[1, 2, 3]], options))
print((kibibytes("VmHWM") - before) * 1024)
"""


def write_apart(folder: Path, dtype: str) -> int:
    """Write a model of which siblings do not lie side by side; returns its bytes in float32."""
    config = Llama().read(HfConfig(CONFIG))
    model = Model(load_backend("numpy"), config)
    declared = flatten(model.declare())
    values = {name: np.full(p.shape, 0.01, np.float32) for name, p in declared.items()}
    tensors = dict(from_ours(values, Llama().rules(config), model.declare()))
    # in the order of names, as most files have it: k, o, q, v
    write_directory(folder, config=CONFIG, tensors=sorted(tensors.items()), dtype=dtype)
    return sum(value.nbytes for value in values.values())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.skipif(sys.platform != "linux", reason="the peak of a process is read from /proc")
def test_a_model_is_in_memory_once(tmp_path: Path, dtype: str) -> None:
    size = write_apart(tmp_path / "model", dtype)
    done = subprocess.run(
        [sys.executable, "-c", ANSWER, str(tmp_path / "model")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout) < LIMIT * size + USUAL, int(done.stdout) / size
