"""Something real is learnt: a small CLIP tells rendered shapes apart that it has never seen.

Constraint: captions make the classes, so a shape and its colour are right or wrong.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
from shapes import LABELS, TEMPLATE, learn_shapes, render

import lmkernel as lk

if TYPE_CHECKING:
    from pathlib import Path

HELD_OUT = 20
"""Pictures of each label."""


@pytest.mark.parametrize("backend", ["torch", "jax"])
def test_held_out_shapes_are_told_apart(backend: str, tmp_path: Path) -> None:
    folder = learn_shapes(tmp_path / "clip", backend, steps=900)
    drawn = np.random.default_rng(99)
    pictures = [render(label, drawn) for label in LABELS for _ in range(HELD_OUT)]
    asked = [label for label in LABELS for _ in range(HELD_OUT)]
    # asked on another backend than it was learnt on
    model = lk.load(folder, backend="numpy")
    found = model.classify_pictures(pictures, LABELS, template=TEMPLATE, batch=60)
    right = [one.label == label for one, label in zip(found, asked, strict=True)]
    assert np.mean(right) > 0.95
