"""A twin of each family opens in transformers, and is verified there."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from typing import TYPE_CHECKING, Any

import pytest
from source_configs import CONFIGS, PARTS

import lmkernel as lk
from lmkernel.families.sizes import Sizes
from lmkernel.plugins import FamilySpec, default_registry

if TYPE_CHECKING:
    from pathlib import Path

FAMILIES = sorted(default_registry().all(FamilySpec))
SIZES = Sizes(width=256, layers=6, heads=8, inner=700, context=2048, vocab=3000)
# ALiBi has no context, so sizes do not describe a BLOOM
BLOOM = {"hidden_size": 256, "n_layer": 6, "n_head": 8, "vocab_size": 3000}


def described(name: str) -> dict[str, Any]:
    if name in CONFIGS:
        return CONFIGS[name]
    family = default_registry().get(FamilySpec, name).create()
    return {"model_type": name, **(BLOOM if name == "bloom" else family.new(SIZES))}


@pytest.mark.parametrize("name", FAMILIES)
def test_transformers_opens_a_twin_and_is_right(name: str, tmp_path: Path) -> None:
    import transformers

    family = default_registry().get(FamilySpec, name).create()
    config = tmp_path / "config.json"
    config.write_text(json.dumps(described(name)))
    made = lk.twin(config, tmp_path / "twin")
    written = json.loads((made.path / "config.json").read_text())
    kind: Any = getattr(transformers, written["architectures"][0])
    _, report = kind.from_pretrained(made.path, output_loading_info=True)
    # what transformers computes by itself, such as PEGASUS's sinusoids, it misses all the same
    computed = family.ignored(lk.load(made.path, backend="numpy", progress=False).config)
    missing = [k for k in report["missing_keys"] if not any(fnmatch(k, p) for p in computed)]
    assert not missing
    for part in PARTS.get(name, ("texts",)):
        found = lk.verify(
            made.path, subject="transformers", part=part, level="quick", progress=False
        )
        assert found.passed, found
