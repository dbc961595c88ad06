"""Patches of pictures: a convolution as a product, and positions for other grids."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from lmkernel.backend import load_backend
from lmkernel.components.patches import bicubic
from lmkernel.config import EmbeddingConfig, ModelConfig, NormConfig, PatchConfig
from lmkernel.errors import ConfigError, InputError
from lmkernel.model import Model

PATCHES = PatchConfig(height=6, width=9, patch_height=2, patch_width=3, channels=2)
CONFIG = EmbeddingConfig(kind="patches", width=5, positions="learned", context=10, patches=PATCHES)
PICTURES = np.random.default_rng(3).normal(size=(2, 2, 6, 9))


def embedded(
    config: EmbeddingConfig, pictures: np.ndarray = PICTURES
) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
    """Parameters, vectors and positions."""
    model = Model(load_backend(), ModelConfig(embedding=config))
    values = {name: x + 1 for name, x in model.initial(7).items()}
    with model.backend.scope(), model.backend.inference():
        ops = model.backend.ops
        found = model.embed(model.place(values), ops.asarray(pictures, "float32"))
        return values, ops.to_numpy(found.hidden), ops.to_numpy(found.positions)


def test_a_convolution_by_hand() -> None:
    values, hidden, positions = embedded(CONFIG)
    kernel = values["embedding.patches.weight"].reshape(5, 2, 2, 3)
    bias, table = values["embedding.patches.bias"], values["embedding.positions.weight"]
    expected = np.empty((2, 10, 5))
    expected[:, 0] = values["embedding.token.weight"]
    for row in range(3):
        for column in range(3):
            patch = PICTURES[:, :, 2 * row : 2 * row + 2, 3 * column : 3 * column + 3]
            product = np.einsum("bchw,kchw->bk", patch, kernel) + bias
            expected[:, 1 + 3 * row + column] = product
    np.testing.assert_allclose(hidden, expected + table, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(positions, [[*range(10)]] * 2)


def test_without_a_token_and_with_a_norm() -> None:
    plain = replace(PATCHES, token=False, bias=False)
    config = replace(CONFIG, patches=plain, context=9, norm=NormConfig(kind="layer"))
    values, hidden, positions = embedded(config)
    assert hidden.shape == (2, 9, 5)
    assert positions.shape == (2, 9)
    assert not {"embedding.token.weight", "embedding.patches.bias"} & values.keys()


def test_what_remains_of_a_picture_is_left_out() -> None:
    config = replace(CONFIG, patches=replace(PATCHES, resized=True))
    wider = np.pad(PICTURES, ((0, 0), (0, 0), (0, 1), (0, 2)), constant_values=9)
    np.testing.assert_array_equal(embedded(config, wider)[1], embedded(config)[1])


def test_another_grid_has_positions_between() -> None:
    config = replace(CONFIG, patches=replace(PATCHES, resized=True))
    taller = np.random.default_rng(4).normal(size=(1, 2, 10, 6))
    values, hidden, _ = embedded(config, taller)
    assert hidden.shape == (1, 1 + 5 * 2, 5)
    table = values["embedding.positions.weight"]
    grid = table[1:].reshape(3, 3, 5)
    between = np.einsum("ir,jc,rcd->ijd", bicubic(3, 5), bicubic(3, 2), grid)
    unmoved = embedded(config, taller)[1] - np.concatenate([table[:1], between.reshape(10, 5)])
    flat = np.einsum(
        "bchwij,kcij->bhwk",
        taller.reshape(1, 2, 5, 2, 2, 3).transpose(0, 1, 2, 4, 3, 5),
        values["embedding.patches.weight"].reshape(5, 2, 2, 3),
    )
    expected = flat.reshape(1, 10, 5) + values["embedding.patches.bias"]
    np.testing.assert_allclose(unmoved[:, 1:], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(("old", "new"), [(7, 7), (37, 16), (5, 12), (1, 4), (9, 1)])
def test_weights_of_interpolation(old: int, new: int) -> None:
    weights = bicubic(old, new)
    np.testing.assert_allclose(weights.sum(1), 1, atol=1e-12)
    np.testing.assert_allclose(weights, weights[::-1, ::-1], atol=1e-12)
    if old == new:
        np.testing.assert_allclose(weights, np.eye(old), atol=1e-12)


def test_weights_by_hand() -> None:
    # at 0.25 between elements 0 and 1 of four: Keys's kernel with a = -0.75
    np.testing.assert_allclose(
        bicubic(4, 8)[3], [-0.10546875, 0.87890625, 0.26171875, -0.03515625], atol=1e-15
    )


@pytest.mark.parametrize("shape", [(2, 2, 6, 8), (2, 3, 6, 9), (2, 6, 9), (2, 2, 12, 9)])
def test_pictures_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InputError, match=r"expected pictures \(batch, 2, 6, 9\), got"):
        embedded(CONFIG, np.zeros(shape))


def test_pictures_smaller_than_a_patch_are_refused() -> None:
    config = replace(CONFIG, patches=replace(PATCHES, resized=True))
    with pytest.raises(InputError, match="smaller than a patch"):
        embedded(config, np.zeros((1, 2, 1, 9)))


def test_a_configuration_without_patches_is_refused() -> None:
    with pytest.raises(ConfigError, match="patches: expected a PatchConfig exactly for its kind"):
        EmbeddingConfig(kind="patches", width=4)
    with pytest.raises(ConfigError, match="height: expected a patch at least"):
        PatchConfig(height=3, width=9, patch_height=4, patch_width=3)
