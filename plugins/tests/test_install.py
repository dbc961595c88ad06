"""Both plugins, installed beside lmkernel: found, selected and used from an empty folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import write_directory
from lmkernel.families.family import HfConfig
from lmkernel.families.llama import Llama
from lmkernel.families.names import from_ours
from lmkernel.model import Model

if TYPE_CHECKING:
    from pathlib import Path

WORDS = 61
CONFIG: dict[str, Any] = {
    "architectures": ["LlamaForCausalLM"],
    "model_type": "llama",
    "hidden_size": 24,
    "intermediate_size": 40,
    "num_hidden_layers": 2,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "rms_norm_eps": 1e-5,
    "rope_theta": 500.0,
    "vocab_size": WORDS,
    "max_position_embeddings": 48,
    "tie_word_embeddings": True,
}
BY_NAME = """
from lmkernel.backend import load_backend
from lmkernel.config import AttentionConfig
from lmkernel.factory import ComponentFactory
from lmkernel.interfaces import LossConfig
factory = ComponentFactory(load_backend())
attention = factory.create("attention", AttentionConfig(kind="alibi", width=8, heads=2))
loss = factory.create("loss", LossConfig(kind="focal"))
print(type(attention).__name__, loss)
"""


def python(folder: Path, *arguments: str, backend: str = "") -> subprocess.CompletedProcess[str]:
    """Run Python in ``folder`` with LMKERNEL_BACKEND set to ``backend``."""
    environment = {**os.environ, "LMKERNEL_BACKEND": backend}
    command = [sys.executable, *arguments]
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def lmkernel(folder: Path, *arguments: str, backend: str = "") -> str:
    """Run a command that must succeed; returns what it prints."""
    done = python(folder, "-m", "lmkernel.cli", *arguments, backend=backend)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small Llama with a tokenizer of one token a word, weights so large that none come close."""
    folder = tmp_path_factory.mktemp("models") / "llama"
    model = Model(load_backend("numpy"), Llama().read(HfConfig(CONFIG)))
    values = {n: v * (1 if "norm" in n else 6) for n, v in model.initial(5).items()}
    tensors = from_ours(values, Llama().rules(model.config), model.declare())
    write_directory(folder, config=CONFIG, tensors=tensors)
    words = Tokenizer(models.WordLevel({f"w{i}": i for i in range(WORDS)}, unk_token="w0"))  # noqa: S106 - a token of text
    words.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    words.save(str(folder / "tokenizer.json"))
    return str(folder)


def test_backend_is_listed_with_what_it_lacks(tmp_path: Path) -> None:
    rows = {row["name"]: row for row in json.loads(lmkernel(tmp_path, "backends", "--json"))}
    minimal = rows["minimal"]
    assert minimal["installed"]
    assert not minimal["selected"]
    assert minimal["unsupported"] == {"value_and_grad": "it is for inference alone"}


def test_plugins_give_no_cause_for_warning(tmp_path: Path) -> None:
    done = python(tmp_path, "-m", "lmkernel.cli", "backends", backend="minimal")
    assert (done.returncode, done.stderr) == (0, "")
    assert "*  minimal" in done.stdout
    assert "minimal does not support value_and_grad: it is for inference alone" in done.stdout


def test_backend_is_selected_by_option_and_by_environment(tmp_path: Path, llama: str) -> None:
    generate = ["generate", llama, "w5 w17 w3", "--max-new-tokens", "20", "--json"]
    default = json.loads(lmkernel(tmp_path, *generate))
    option = json.loads(lmkernel(tmp_path, *generate, "--backend", "minimal"))
    environment = json.loads(lmkernel(tmp_path, *generate, backend="minimal"))
    assert [d["backend"] for d in (default, option, environment)] == ["numpy", "minimal", "minimal"]
    assert option["tokens"] == environment["tokens"] == default["tokens"]
    assert len(set(default["tokens"])) > 1


def test_backend_stays_within_the_budget_of_compare(tmp_path: Path, llama: str) -> None:
    options = ["--backends", "numpy,minimal", "--prompt", "w8 w2 w44", "--max-new-tokens", "20"]
    result = json.loads(lmkernel(tmp_path, "compare", llama, *options, "--json"))
    assert [(b["backend"], b["passed"]) for b in result["backends"]] == [
        ("numpy", True),
        ("minimal", True),
    ]


def test_misspelt_name_is_corrected(tmp_path: Path, llama: str) -> None:
    done = python(tmp_path, "-m", "lmkernel.cli", "generate", llama, "w1", "--backend", "minmal")
    assert done.returncode == 1
    assert "unknown backend 'minmal'. Did you mean 'minimal'?" in done.stderr


@pytest.mark.parametrize("backend", ["", "minimal"])
def test_kinds_are_used_by_name(tmp_path: Path, backend: str) -> None:
    done = python(tmp_path, "-c", BY_NAME, backend=backend)
    assert (done.returncode, done.stdout, done.stderr) == (
        0,
        "AlibiAttention <loss 'focal': FocalLoss>\n",
        "",
    )


def test_backend_passes_the_suite_for_inference(tmp_path: Path) -> None:
    lmkernel(tmp_path, "certify", "minimal", "--profile", "inference")
