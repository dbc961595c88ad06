"""Every family of decoders decodes token by token to what it gives for the whole at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

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


@pytest.mark.parametrize("name", DECODERS)
def test_decoding_equals_the_whole(name: str, tmp_path: Path) -> None:
    KINDS[name].make().save_pretrained(tmp_path)
    files = open_model(tmp_path)
    family = find_family(files.config["model_type"], name)
    config = family.read(HfConfig(files.config))
    model = Model(load_backend(), config, WIDE)
    values = to_ours(
        files.tensors,
        family.rules(config),
        model.declare(),
        where=name,
        ignored=family.ignored(config),
    )
    tokens, where = (np.take_along_axis(x, LEFT, 1).astype(np.int32) for x in (TOKENS, POSITIONS))
    with model.backend:
        ops = model.backend.ops
        batch = [ops.asarray(x, "int32") for x in (tokens, where)]
        whole = ops.to_numpy(model.forward(model.place(values), batch[0], positions=batch[1]))
    params = model.pack(values)
    state, at = model.begin(params, len(tokens), 3), 0
    for size in (4, 1, 1, 2, 1):
        here = slice(at, at + size)
        got, state = model.step(params, tokens[:, here], where[:, here], state)
        at += size
        real = where[:, at - 1] >= 0
        error = np.abs(got - whole[:, at - 1])[real].max()
        assert error <= 1e-11 * np.abs(whole).max()
