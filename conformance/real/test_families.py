"""Small random checkpoints of every family: written by transformers and read here, and back.

Constraint: every family is tried on NumPy, representatives of them on each backend; all on each
where ``LMKERNEL_FAMILIES`` is ``all``.
"""

from __future__ import annotations

import copy
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers
from family_inputs import BATCH, LENGTHS, TOKENS
from family_kinds import GROWING, KINDS, LABELS, use_eager_experts
from family_witness import Witness, answer, fed, names_of, probe, read, whole, witness_of
from honest_limits import Limit

from lmkernel import load
from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import open_model
from lmkernel.families.files import save_model
from lmkernel.families.names import from_ours
from lmkernel.loading import open_language_model
from lmkernel.parameters import flatten

if TYPE_CHECKING:
    from pathlib import Path

EVERYTHING = os.environ.get("LMKERNEL_FAMILIES") == "all"
BACKENDS = ("numpy", "torch", "tensorflow", "jax", *(("mlx",) if EVERYTHING else ()))
REPRESENTATIVES = (
    "gpt2",
    "bert masked",
    "bert classes",
    "qwen3 biased",
    "qwen3.5",
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
    return witness_of(KINDS[request.param], tmp_path_factory.mktemp("theirs"))


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
