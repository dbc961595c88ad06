"""Sums over two processes of arrays that share memory, in messages shorter than they are."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

from lmkernel.distribution.launch import launch

if TYPE_CHECKING:
    from pathlib import Path

SUMS = """
import json, sys
from pathlib import Path

import torch
from lmkernel.backend import load_distributed
from lmkernel.contract.distribution import Mesh
from lmkernel.distribution.environment import find_processes
from lmkernel_torch import distribution

distribution._BUCKET = 4
processes = find_processes()
tier = load_distributed("torch", Mesh.parse("data=2"), processes).distribution
x = torch.arange(6.0)
sums = tier.total([x, x, x[:3], torch.arange(4.0)], [(), (), (), ()])
if processes.rank == 0:
    Path(sys.argv[1]).write_text(json.dumps([one.tolist() for one in sums]))
tier.close()
"""


def test_what_shares_memory_is_added_up_once(tmp_path: Path) -> None:
    out = tmp_path / "sums.json"
    assert launch([sys.executable, "-c", SUMS, str(out)], 2) == 0
    twice = [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]
    assert json.loads(out.read_text()) == [twice, twice, twice[:3], twice[:4]]
