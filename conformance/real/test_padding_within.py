"""Padding's id within a text: the positions after it are transformers', in each family."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
import transformers
from encoder_kinds import ENCODERS
from sequence_kinds import SEQUENCES

from lmkernel.backend import load_backend
from lmkernel.loading import open_language_model

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.language_model import LanguageModel

WITHIN = ("roberta", "xlm-roberta", "camembert", "mpnet", "bert", "electra", "albert", "distilbert")
"""Those that count without padding, and others, which do not."""
PAIRS = [(name, "numpy") for name in WITHIN]
PAIRS += [
    (name, other) for name in ("roberta", "mpnet") for other in ("torch", "tensorflow", "jax")
]


def made(config: str, model: str, options: dict[str, Any], folder: Path) -> Any:
    """A random model of transformers, saved; its rows of padding are no zeros."""
    torch.manual_seed(5)
    found: Any = getattr(transformers, model)(getattr(transformers, config)(**options)).eval()
    with torch.no_grad():
        for parameter in found.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.2)
    found.save_pretrained(folder)
    return found


def with_padding(padding: int, *, rows: int = 3, time: int = 11) -> np.ndarray:
    """Ids of which padding's is some in each row, at its ends too."""
    ids = np.random.default_rng(3).integers(4, 100, (rows, time))
    ids[0, [2, 3, 7]] = ids[1, [0, 5]] = ids[2, [4, time - 1]] = padding
    return ids


def forward(model: LanguageModel, ids: np.ndarray, target: np.ndarray | None = None) -> np.ndarray:
    own, backend = model.model, model.backend
    more = {}
    with backend.scope(), backend.inference():
        if target is not None:
            more["target"] = backend.ops.asarray(target, "int32")
        answer = own.forward(model.params, backend.ops.asarray(ids, "int32"), **more)
        return np.asarray(backend.ops.to_numpy(answer))


def judge(witness: Any, got: np.ndarray, ids: np.ndarray, **more: np.ndarray) -> None:
    tensors = {name: torch.tensor(x) for name, x in {"input_ids": ids, **more}.items()}
    with torch.inference_mode():
        plain = witness(**tensors).logits.numpy()
        exact = witness.double()(**tensors).logits.numpy()
        witness.float()
    budget = 8 * np.abs(plain - exact).max() + 8 * np.spacing(np.float32(np.abs(exact).max()))
    assert np.abs(got - exact).max() <= budget


@pytest.mark.parametrize(("name", "backend"), PAIRS)
def test_encoders_place_what_comes_after(name: str, backend: str, tmp_path: Path) -> None:
    config, model, options = ENCODERS.get(f"{name} MaskedLM") or (
        *("BertConfig", "BertForMaskedLM"),
        ENCODERS["roberta MaskedLM"][2],
    )
    witness = made(config, model, options, tmp_path)
    ids = with_padding(1)
    loaded = open_language_model(tmp_path, load_backend(backend))
    judge(witness, forward(loaded, ids), ids)


def test_another_id_of_padding(tmp_path: Path) -> None:
    config, model, options = ENCODERS["roberta padded"]
    witness = made(config, model, options, tmp_path)
    loaded = open_language_model(tmp_path, load_backend("numpy"))
    for ids in (with_padding(0), with_padding(1)):  # here 1 is a token like another
        judge(witness, forward(loaded, ids), ids)


@pytest.mark.parametrize("name", sorted(SEQUENCES))
def test_sources_and_targets_place_what_comes_after(name: str, tmp_path: Path) -> None:
    padding = SEQUENCES[name][2].get("pad_token_id", 0)
    witness = made(*SEQUENCES[name], tmp_path)
    ids, target = with_padding(padding), with_padding(padding, time=8)
    loaded = open_language_model(tmp_path, load_backend("numpy"))
    judge(witness, forward(loaded, ids, target), ids, decoder_input_ids=target)


@pytest.mark.parametrize("name", ["m2m 100", "pegasus"])
def test_steps_place_it_as_transformers_with_a_cache(name: str, tmp_path: Path) -> None:
    padding = SEQUENCES[name][2]["pad_token_id"]
    witness = made(*SEQUENCES[name], tmp_path)
    ids, target = with_padding(padding), with_padding(padding, time=8).astype("i4")
    loaded = open_language_model(tmp_path, load_backend("numpy"))
    own = loaded.model
    state = own.begin(loaded.params, 3, 8, memory=own.encode(loaded.params, ids.astype("i4")))
    cache = None
    for i in range(8):
        columns = target[:, i : i + 1]
        logits, state = own.step(loaded.params, columns, np.full((3, 1), i, "i4"), state)
        with torch.inference_mode():
            out = witness(
                input_ids=torch.tensor(ids),
                decoder_input_ids=torch.tensor(columns).long(),
                cache=cache,
                use_cache=True,
            )
        cache = out.cache
        np.testing.assert_allclose(logits, out.logits[:, -1].numpy(), atol=2e-4, rtol=1e-4)
