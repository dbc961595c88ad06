"""Checkpoints that other trainers write in parts, read by the programs of the page on clusters."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from several_runs import TINY, run

import lmkernel as lk
from lmkernel.distribution.launch import launch

if TYPE_CHECKING:
    from numpy.typing import NDArray

PAGE = Path(__file__).parents[3] / "docs" / "cluster.md"
IDS = [5, 9, 3, 7]
FSDP = """
import os
import sys
import torch
from safetensors.torch import load_file
from torch import distributed, nn
from torch.distributed import checkpoint
from torch.distributed.checkpoint.state_dict import get_model_state_dict
from torch.distributed.fsdp import fully_shard

distributed.init_process_group("gloo")
model = nn.Module()
for name, x in load_file("model/model.safetensors").items():
    *path, leaf = name.split(".")
    inner = model
    for part in path:
        if not hasattr(inner, part):
            inner.add_module(part, nn.Module())
        inner = getattr(inner, part)
    inner.register_parameter(leaf, nn.Parameter(x + 0.5))
fully_shard(model)
checkpoint.save({"model": get_model_state_dict(model)}, checkpoint_id="checkpoint")
distributed.destroy_process_group()
"""
ORBAX = """
import os
import sys
from pathlib import Path
import jax
import lmkernel
import orbax.checkpoint

jax.config.update("jax_num_cpu_devices", 2)
mesh = jax.make_mesh((2,), ("x",))
_, params = lmkernel.load("model", backend="jax").as_function()
parts = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("x"))
moved = jax.tree.map(lambda p: jax.device_put(p + 0.5, parts), params)
with orbax.checkpoint.StandardCheckpointer() as writer:
    writer.save(Path("checkpoint").absolute(), moved)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a model in it, in which programs run."""
    run("--backend", "torch", *TINY, "--steps", "1", "--out", str(tmp_path / "run"))
    (tmp_path / "run" / "model").rename(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def programs() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text("utf-8"), re.DOTALL)


def moved(model: str) -> dict[str, NDArray[np.float32]]:
    """The parameters of the model before, half a unit larger."""
    return {name: x + np.float32(0.5) for name, x in lk.load(model).parameters().items()}


def assert_is(model: str, expected: dict[str, NDArray[np.float32]]) -> None:
    found = lk.load(model)
    got = found.parameters()
    assert got.keys() == expected.keys()
    for name, x in expected.items():
        np.testing.assert_array_equal(got[name], x, err_msg=name)
    assert np.isfinite(found.logits(IDS)).all()


def test_one_that_fsdp_wrote_in_two_processes_is_read(folder: Path) -> None:
    expected = moved("model")
    (folder / "train.py").write_text(FSDP)
    assert launch([sys.executable, "train.py"], 2) == 0
    assert len([*(folder / "checkpoint").glob("*.distcp")]) == 2
    subprocess.run([sys.executable, "-c", programs()[0]], check=True)
    assert_is("model", expected)


def test_one_that_orbax_wrote_over_two_devices_is_read(folder: Path) -> None:
    expected = moved("model")
    (folder / "train.py").write_text(ORBAX)
    for program in (["train.py"], ["-c", programs()[1]]):
        subprocess.run([sys.executable, *program], check=True)
    assert_is("trained", expected)
