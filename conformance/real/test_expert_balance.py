"""The loss that balances experts in training is transformers', in value and in every gradient.

A trainer takes one step of plain gradient descent in float64, so that the old weights less the new
ones are the gradient.
"""

from __future__ import annotations

import copy
import os
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from family_inputs import POSITIONS, REAL, TOKENS
from family_kinds import KINDS, as_modules_have_them
from training_samples import DOUBLE, constant, made_trainer

from lmkernel.backend import load_backend
from lmkernel.checkpoints.directory import open_model
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.names import from_ours, to_ours

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.model import Model

EVERYTHING = os.environ.get("LMKERNEL_FAMILIES") == "all"
BACKENDS = ("numpy", "torch", "tensorflow", "jax", "mlx") if EVERYTHING else ("numpy",)
MIXTURES = ("mixtral", "qwen2 moe", "qwen3 moe", "olmoe", "gpt oss")
WEIGHT = 0.7
"""So large that a loss which is not weighed, or not counted, is seen."""
TARGETS = np.where(REAL[:, 1:], TOKENS[:, 1:], -1).astype(np.int32)
ORDERS = ([0, 1, 2, 3], [3, 2, 1, 0], [2, 0, 3, 1])
"""Of the rows, in which transformers' own errors in float32 are taken."""


def losses(model: Any, order: list[int]) -> dict[str, np.ndarray]:
    """transformers' loss and gradients, by names, of tokens whose padding counts nowhere."""
    model.zero_grad()
    targets = torch.tensor(TARGETS[order].astype(np.int64)).reshape(-1)
    mask = torch.tensor(REAL[order, :-1].astype(np.int64))
    # the last position has no target, and the trainer is not fed it
    out = model(torch.tensor(TOKENS[order, :-1]), attention_mask=mask)
    logits = out.logits.reshape(len(targets), -1)  # their own mean is taken in float32
    mean = torch.nn.functional.cross_entropy(logits, targets, ignore_index=-1)
    loss = mean + model.router_aux_loss_coef * out.aux_loss
    loss.backward()
    named = ((name, p.grad) for name, p in model.named_parameters() if p.grad is not None)
    return {"loss": loss.detach().numpy(), **{name: grad.numpy().copy() for name, grad in named}}


def read(folder: Path) -> tuple[Any, Any, dict[str, Any]]:
    """A checkpoint's configuration, family and tensors by their names in the file."""
    files = open_model(folder)
    family = find_family(files.config["model_type"], str(folder))
    return family.read(HfConfig(files.config)), family, files.tensors


def descended(
    model: Model, values: dict[str, np.ndarray], after: dict[str, np.ndarray], family: Any
) -> dict[str, np.ndarray]:
    """By how much each weight has gone down, by the names of transformers' parameters."""
    slopes = {name: np.asarray(values[name]).astype(np.float64) - after[name] for name in values}
    written = from_ours(slopes, family.rules(model.config), model.declare())
    return as_modules_have_them(dict(written))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", MIXTURES)
def test_a_step_with_the_balance_is_transformers(name: str, backend: str, tmp_path: Path) -> None:
    kind = KINDS[name]
    asked = {"output_router_logits": True, "router_aux_loss_coef": WEIGHT}
    model = type(kind)(kind.config, kind.model, kind.auto, {**kind.options, **asked}).make()
    model.save_pretrained(tmp_path)
    expected = losses(copy.deepcopy(model).double(), ORDERS[0])
    honest = [losses(model, order) for order in ORDERS]
    config, family, tensors = read(tmp_path)
    trainer = made_trainer(
        config, backend=load_backend(backend), policy=DOUBLE, schedule=constant(1.0)
    )
    rules, declared = family.rules(config), trainer.declare()
    values = to_ours(tensors, rules, declared, where=name, ignored=family.ignored(config))
    batch = {"inputs": TOKENS[:, :-1].astype(np.int32), "targets": TARGETS}
    batch["positions"] = POSITIONS[:, :-1].astype(np.int32)
    state, result = trainer.step(trainer.start(values), [batch])
    found = descended(trainer.model, values, trainer.weights(state), family)
    found["loss"] = np.asarray(result.loss)
    assert set(found) == set(expected)
    for what, exact in expected.items():
        budget = 4 * max(np.abs(own[what] - exact).max() for own in honest)
        error = np.abs(found[what] - exact).max()
        message = f"{what}: expected an error of {budget:.2g} at most, got {error:.2g}"
        assert error <= budget, message
    assert family.read(HfConfig(family.write(config))).decoder == config.decoder
