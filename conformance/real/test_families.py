"""Small random checkpoints of every family: written by transformers and read here, and back.

Constraint: transformers in float64 is the reference, its own error in float32 the measure: the
largest over 16 runs, in which rows come in other orders and attention is computed in two ways.
"""

from __future__ import annotations

import copy
import itertools
import os
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers
from family_inputs import (
    BATCH,
    ENDED,
    LENGTHS,
    POSITIONS,
    REAL,
    SAMPLES,
    SAMPLES_REAL,
    SEGMENTS,
    SOUND,
    SOURCE,
    SOURCE_POSITIONS,
    TIME,
    TOKENS,
)
from family_kinds import GPT2, GROWING, KINDS, LABELS, Kind, as_modules_have_them, use_eager_experts
from sight_kinds import PIXELS, TOKEN, as_seeing_modules_have_them
from vision_kinds import PICTURES, SQUARE_PICTURES, as_picture_modules_have_them
from vocabulary_samples import byte_level

from lmkernel import load
from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import open_model
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.files import save_model
from lmkernel.families.names import from_ours, to_ours
from lmkernel.generation import GenerationOptions
from lmkernel.loading import open_language_model
from lmkernel.model import Model
from lmkernel.model.pair import similarity
from lmkernel.model.sight import picture_places
from lmkernel.parameters import flatten
from lmkernel.tokenizers import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lmkernel.config import ModelConfig

EVERYTHING = os.environ.get("LMKERNEL_FAMILIES") == "all"
BACKENDS = ("numpy", "torch", "tensorflow", "jax", *(("mlx",) if EVERYTHING else ()))


@dataclass(frozen=True)
class Limit:
    """An exact result, and how far from it an honest one may be."""

    exact: np.ndarray
    honest: list[float] = field(default_factory=list)

    def judge(self, what: str, got: np.ndarray) -> None:
        budget = 4 * max(self.honest) + 4 * np.spacing(np.float32(np.abs(self.exact).max()))
        error = np.abs(got - self.exact).max()
        assert error <= budget, (
            f"{what}: expected an error of {budget:.3g} at most, got {error:.3g}"
        )


@dataclass(frozen=True)
class Witness:
    """A checkpoint, the model that it is of, and what that gives."""

    kind: Kind
    folder: Path
    model: Any
    output: Limit
    gradients: dict[str, Limit]

    @property
    def shown(self) -> np.ndarray:
        """Which outputs are real."""
        return shown(self.kind, self.output.exact)


def shown(kind: Kind, output: np.ndarray) -> np.ndarray:
    """Which outputs are real."""
    if kind.seen:
        return kind.seen.real
    return np.ones(BATCH, bool) if output.ndim == 2 or kind.pictures else REAL


def probe(kind: Kind, shape: tuple[int, ...]) -> np.ndarray:
    """Weighs every real output differently."""
    drawn = np.random.default_rng(23).normal(size=shape).astype(np.float32)
    real = kind.seen.real if kind.seen else REAL
    return drawn if len(shape) == 2 or kind.pictures else drawn * real[..., None]


def evaluated(kind: Kind, model: Any, rows: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Outputs, in the order of all rows, and the gradient of their weighted sum."""
    model.zero_grad()
    output = kind.output(model, rows)
    weights = torch.tensor(probe(kind, output.shape)[rows], dtype=output.dtype)
    (output * weights).sum().backward()
    tied = getattr(model.config, "tie_word_embeddings", False)
    same = (tied and model._tied_weights_keys) or {}
    named = ((same.get(name, name), p.grad) for name, p in model.named_parameters())
    used = [(name, grad) for name, grad in named if grad is not None]
    gradients = {name: grad.numpy().copy() for name, grad in used}
    return output.detach().numpy()[np.argsort(rows)], gradients


REPRESENTATIVES = (
    "gpt2",
    "bert masked",
    "bert classes",
    "qwen3 biased",
    "phi3 long",
    "gemma3",
    "olmo2",
    "granite",
    "cohere2",
    "qwen2 moe",
    "gpt oss",
    "deepseek v3",
    "falcon serial",
    "gpt neox",
    "modernbert biased SequenceClassification",
    "albert MaskedLM",
    "mpnet MaskedLM",
    "deberta-v2 MaskedLM",
    "umt5",
    "bart",
    "m2m 100",
    "dinov2 classes",
    "clip",
    "siglip",
    "smolvlm",
    "llava",
    "whisper",
    "wav2vec2 stable",
    "hubert",
)
"""Together they have every way in which layers differ; each is tried on each of ours."""
EVERYWHERE = sorted(KINDS) if EVERYTHING else REPRESENTATIVES
COMPILED = REPRESENTATIVES[::3]
"""Those that JAX compiles in ``tox`` as well, which takes most of the time here."""
LONG = {(name, "jax") for name in REPRESENTATIVES if name not in COMPILED}
PAIRS = [
    pytest.param(name, backend, marks=[pytest.mark.whole] if (name, backend) in LONG else [])
    for name in sorted(KINDS)
    for backend in (BACKENDS if name in EVERYWHERE else BACKENDS[:1])
]
on_backends = pytest.mark.parametrize(("witness", "backend"), PAIRS, indirect=["witness"])


@pytest.fixture(scope="module")
def witness(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Witness:
    kind = KINDS[request.param]
    model, folder = kind.make(), tmp_path_factory.mktemp("theirs")
    model.save_pretrained(folder, max_shard_size=kind.shards)
    assert len(list(folder.glob("*.safetensors"))) > 1 or kind.shards == "50GB"
    exact, slopes = evaluated(kind, copy.deepcopy(model).double(), np.arange(BATCH))
    output, gradients = Limit(exact), {name: Limit(g) for name, g in slopes.items()}
    real = shown(kind, exact)
    orders = list(itertools.permutations(range(BATCH)))[::3]
    ways = ("eager", "sdpa") if model._supports_sdpa else ("eager",)
    for order, way in itertools.product(orders, ways):
        model.set_attn_implementation(way)
        got, slopes = evaluated(kind, model, np.array(order))
        output.honest.append(np.abs(got - exact)[real].max())
        for name, limit in gradients.items():
            error = np.abs(slopes[name] - limit.exact).max()
            if name == "logit_scale":  # its slope is a sum of outputs, whose errors may add up
                error = np.abs((got - exact) * probe(kind, exact.shape)).sum()
            limit.honest.append(error)
    return Witness(kind, folder, model, output, gradients)


def read(folder: Path, backend: str = "numpy") -> tuple[Model, Any, dict[str, np.ndarray]]:
    """The model on a backend, its family, and its values."""
    files = open_model(folder)
    family = find_family(files.config["model_type"], str(folder))
    config = family.read(HfConfig(files.config))
    model = Model(load_backend(backend), config)
    values = to_ours(
        files.tensors,
        family.rules(config),
        model.declare(),
        where=str(folder),
        ignored=family.ignored(config),
    )
    return model, family, values


def fed(model: Model, kind: Kind) -> dict[str, Any]:
    """The batch on the backend."""
    ops = model.backend.ops
    if kind.pictures:
        return {"inputs": ops.asarray(PICTURES, "float32")}
    if kind.pair:
        positions = POSITIONS if kind.causal else np.broadcast_to(np.arange(TIME), ENDED.shape)
        tokens = {"inputs": ENDED, "positions": positions}
        texts = {name: ops.asarray(x.astype(np.int32), "int32") for name, x in tokens.items()}
        return {**texts, "pictures": ops.asarray(SQUARE_PICTURES, "float32")}
    named = {"inputs": TOKENS, "positions": POSITIONS}
    if kind.seen:
        named = {"inputs": kind.seen.tokens, "positions": kind.seen.positions, "pixels": PIXELS}
        named["places"] = picture_places(kind.seen.tokens, TOKEN)
    if kind.source:
        named = {"target": TOKENS, "target_positions": POSITIONS}
        named |= {"inputs": SOURCE, "positions": SOURCE_POSITIONS}
    if kind.sound:
        named.pop("positions")
        named["inputs"] = SOUND
    if kind.waves:
        steps = np.arange(SAMPLES_REAL.shape[1])
        named = {"inputs": SAMPLES[..., None], "positions": np.where(SAMPLES_REAL, steps, -1)}
    if kind.segments:
        named["segments"] = SEGMENTS
    dtypes = {name: "float32" if x.dtype.kind == "f" else "int32" for name, x in named.items()}
    return {name: ops.asarray(x, dtypes[name]) for name, x in named.items()}


def answer(model: Model, params: Any, batch: dict[str, Any]) -> Any:
    """A model's output; of a pair, how similar each picture is to each text."""
    if model.sight is not None:
        vectors = model.sight(params, batch["pixels"])
        flat = model.backend.ops.reshape(vectors, (-1, vectors.shape[-1]))
        told = {name: batch[name] for name in ("inputs", "positions")}
        return model.forward(params, **told, shown=(flat, batch["places"]))
    if model.pictures is None:
        return model.forward(params, **batch)
    texts = {name: x for name, x in batch.items() if name != "pictures"}
    vectors = model.pictures.forward(params["pictures"], batch["pictures"])
    return similarity(model.backend.ops, params["pair"], vectors, model.forward(params, **texts))


def whole(model: Model, f: Callable[..., Any]) -> Callable[..., Any]:
    """The function, compiled where each of its small operations would be compiled alone."""
    return model.backend.ops.compile(f) if model.backend.name == "jax" else f


def names_of(kind: Kind) -> Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]:
    """What gives a checkpoint's tensors the names of transformers' parameters."""
    if kind.seen:
        return as_seeing_modules_have_them
    return as_picture_modules_have_them if kind.pictures else as_modules_have_them


@on_backends
def test_outputs_equal(witness: Witness, backend: str) -> None:
    loaded = open_language_model(witness.folder, load_backend(backend))
    model = loaded.model
    with model.backend.scope(), model.backend.inference():
        forward = whole(model, lambda params, batch: answer(model, params, batch))
        got = forward(loaded.params, fed(model, witness.kind))
        host = model.backend.ops.to_numpy(got)
    assert host.shape == witness.output.exact.shape
    real = witness.shown
    replace(witness.output, exact=witness.output.exact[real]).judge("output", host[real])


@on_backends
def test_gradients_equal(witness: Witness, backend: str) -> None:
    model, family, values = read(witness.folder, backend)
    ops = model.backend.ops
    with model.backend.scope():
        weights = ops.asarray(probe(witness.kind, witness.output.exact.shape), "float32")

        def total(params: Any, batch: Any) -> Any:
            return ops.sum(ops.reshape(answer(model, params, batch) * weights, (-1,)), 0)

        slope = whole(model, ops.value_and_grad(total))
        _, found = slope(model.place(values), fed(model, witness.kind))
        slopes = {name: ops.to_numpy(x) for name, x in flatten(found).items()}
    written = dict(from_ours(slopes, family.rules(model.config), model.declare()))
    theirs = names_of(witness.kind)(written)
    # a bias for the choice alone has no gradient, and is no parameter there
    theirs = {n: x for n, x in theirs.items() if not n.endswith("e_score_correction_bias")}
    assert set(theirs) == set(witness.gradients)
    for name, limit in witness.gradients.items():
        limit.judge(f"gradient of {name}", theirs[name])


@pytest.mark.parametrize("witness", sorted(KINDS), indirect=True)
def test_what_is_written_opens_there(witness: Witness, tmp_path: Path) -> None:
    model, family, values = read(witness.folder)
    save_model(
        tmp_path / "ours",
        model.config,
        values,
        family,
        declared=model.declare(),
        shard_bytes=60_000,
        extra_config=open_model(witness.folder).config if witness.kind.pair else None,
    )
    assert len(list((tmp_path / "ours").glob("model-*.safetensors"))) > 1
    opened = getattr(transformers, witness.kind.auto).from_pretrained(tmp_path / "ours").eval()
    assert type(opened).__name__ == witness.kind.model
    use_eager_experts(opened)
    rows = np.arange(BATCH)
    with torch.inference_mode():
        expected = witness.kind.output(witness.model, rows)
        got = witness.kind.output(opened, rows)
    np.testing.assert_array_equal(got.numpy(), expected.numpy())


@pytest.mark.parametrize("name", ["phi3 long", "llama dynamic"])
def test_each_row_turns_by_its_own_length(name: str, tmp_path: Path) -> None:
    """transformers goes by the longest row of a batch; here a row is what it is alone."""
    kind = GROWING[name]
    model = kind.make()
    model.save_pretrained(tmp_path)
    loaded = load(tmp_path)
    for row, length in enumerate(LENGTHS):
        ids = torch.tensor(TOKENS[row : row + 1, :length])
        with torch.inference_mode():
            honest, exact = model(ids).logits[0].numpy(), copy.deepcopy(model).double()(ids).logits
        exact = exact[0].numpy()
        limit = Limit(exact, [np.abs(honest - exact).max()])
        with loaded.model.backend:
            got = loaded.model.forward(loaded.params, **fed(loaded.model, kind))
            host = loaded.model.backend.ops.to_numpy(got)[row, :length]
        limit.judge(f"row {row}", host)


def test_names_of_classes_survive(tmp_path: Path) -> None:
    KINDS["bert classes"].make().save_pretrained(tmp_path / "theirs")
    model, family, values = read(tmp_path / "theirs")
    assert model.config.head is not None
    assert model.config.head.labels == tuple(LABELS.values())
    save_model(tmp_path / "ours", model.config, values, family, declared=model.declare())
    config = transformers.AutoConfig.from_pretrained(tmp_path / "ours")
    assert config.id2label == LABELS
    assert config.label2id == {label: i for i, label in LABELS.items()}


BIGRAMS = {"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}


def tokenizer() -> Tokenizer:
    return Tokenizer(byte_level(), {"eos_token": "<|endoftext|>"})


def test_a_new_model_opens_there(tmp_path: Path) -> None:
    made = tokenizer()
    hf = HfConfig({**BIGRAMS, "vocab_size": made.vocab_size, "resid_pdrop": 0.05})
    family = find_family("gpt2", "a new model")
    config: ModelConfig = family.read(hf)
    model = Model(load_backend(), config)
    save_model(
        tmp_path / "new",
        config,
        model.initial(5),
        family,
        declared=model.declare(),
        tokenizer=made,
    )
    opened: Any = transformers.AutoModelForCausalLM.from_pretrained(tmp_path / "new")
    opened.eval()
    assert opened.config.resid_pdrop == 0.05
    assert opened.config.eos_token_id == 0
    ids = transformers.AutoTokenizer.from_pretrained(tmp_path / "new")("the cat")["input_ids"]
    assert ids == made.encode("the cat")
    with torch.inference_mode():
        theirs = opened(torch.tensor([ids])).logits.numpy()
    ours = load(tmp_path / "new").logits([ids])
    np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-6)


@pytest.mark.parametrize("backend", BACKENDS)
def test_greedy_text_of_a_model_with_learned_positions(backend: str, tmp_path: Path) -> None:
    made = tokenizer()
    options: dict[str, Any] = {**GPT2, "vocab_size": made.vocab_size, "n_positions": 64}
    options = {**options, "bos_token_id": None, "eos_token_id": 0}
    model = replace(KINDS["gpt2"], options=options).make()
    model.save_pretrained(tmp_path)
    made.save(tmp_path)
    prompt = "the hat of the cat"
    ids = made.encode(prompt)
    given = torch.tensor([ids])
    out = model.generate(
        given, attention_mask=torch.ones_like(given), max_new_tokens=40, do_sample=False,
        pad_token_id=0,
    )  # fmt: skip
    expected = out[0, len(ids) :].tolist()
    loaded = load(tmp_path, backend=backend)
    greedy = GenerationOptions(max_new_tokens=40, temperature=0)
    rows = loaded.generate_tokens([ids], greedy)
    assert [token for [token] in rows if token is not None] == [i for i in expected if i]
    text = "".join(loaded.generate(prompt, greedy))
    assert text == made.decode(expected)
