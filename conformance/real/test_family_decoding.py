"""Every family of decoders decodes to what it gives for the whole at once, and far away as near."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from family_inputs import POSITIONS, TOKENS
from family_kinds import CAUSAL, KINDS

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import open_model
from lmkernel.config import PrecisionPolicy
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.names import to_ours
from lmkernel.model import Model

if TYPE_CHECKING:
    from pathlib import Path

DECODERS = sorted(name for name, kind in KINDS.items() if kind.auto == CAUSAL)
WIDE = PrecisionPolicy(params="float64", compute="float64", output="float64")
LEFT = np.argsort(POSITIONS >= 0, axis=1, kind="stable")
"""The columns of each row with its padding on the left."""
_BY_TABLE_OR_LENGTH = ("gpt2", "gpt2 untied", "opt", "opt after", "phi3 long")
BY_DISTANCE = [name for name in DECODERS if name not in _BY_TABLE_OR_LENGTH]
"""Not those that have a table of positions, nor that whose angles are others in longer rows."""
FAR = 131_072 - 5
"""So that rows of nine tokens lie on both sides of it."""


def opened(name: str, folder: Path, policy: PrecisionPolicy) -> tuple[Model, dict[str, Any]]:
    """A small checkpoint of a family, in the dtype of a policy, and its values."""
    KINDS[name].make().save_pretrained(folder)
    files = open_model(folder)
    family = find_family(files.config["model_type"], name)
    config = family.read(HfConfig(files.config))
    model = Model(load_backend(), config, policy)
    values = to_ours(
        files.tensors,
        family.rules(config),
        model.declare(),
        where=name,
        ignored=family.ignored(config),
    )
    return model, values


def forward(model: Model, values: dict[str, Any], tokens: Any, where: Any) -> Any:
    """The logits of all positions, on the host."""
    with model.backend:
        ops = model.backend.ops
        batch = [ops.asarray(x.astype(np.int32), "int32") for x in (tokens, where)]
        return ops.to_numpy(model.forward(model.place(values), batch[0], positions=batch[1]))


@pytest.mark.parametrize("name", DECODERS)
def test_decoding_equals_the_whole(name: str, tmp_path: Path) -> None:
    model, values = opened(name, tmp_path, WIDE)
    tokens, where = (np.take_along_axis(x, LEFT, 1).astype(np.int32) for x in (TOKENS, POSITIONS))
    whole = forward(model, values, tokens, where)
    params = model.pack(values)
    state, at = model.begin(params, len(tokens), 3), 0
    for size in (4, 1, 1, 2, 1):
        here = slice(at, at + size)
        got, state = model.step(params, tokens[:, here], where[:, here], state)
        at += size
        real = where[:, at - 1] >= 0
        error = np.abs(got - whole[:, at - 1])[real].max()
        assert error <= 1e-11 * np.abs(whole).max()


@pytest.mark.parametrize("name", BY_DISTANCE)
def test_far_positions_are_as_exact_as_near_ones(name: str, tmp_path: Path) -> None:
    """What positions do follows from their distances."""
    model, values = opened(name, tmp_path, WIDE)
    real, far = POSITIONS >= 0, np.where(POSITIONS >= 0, POSITIONS + FAR, -1)
    exact = forward(model, values, TOKENS, POSITIONS)[real]
    size = np.abs(exact).max()
    assert np.abs(forward(model, values, TOKENS, far)[real] - exact).max() <= 1e-11 * size
    narrow = Model(load_backend(), model.config)
    near, there = (forward(narrow, values, TOKENS, x)[real] for x in (POSITIONS, far))
    budget = 4 * np.abs(near - exact).max() + 4 * np.spacing(np.float32(size))
    assert np.abs(there - exact).max() <= budget
