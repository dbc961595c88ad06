"""Models of pictures and sounds beside transformers: defects placed and named, honest ones not."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import family_breaks as more
import port_breaks as wrong
import pytest
from asking_ports import verify_port
from broken_families import untouched
from source_configs import CONFIGS, PARTS

import lmkernel as lk

if TYPE_CHECKING:
    from pathlib import Path

    from port_breaks import Break

ATT, MLP, EMB = "layer 0 (attention)", "layer 0 (feed-forward)", "embedding"


def _tanh_gelu(x: Any) -> Any:
    from torch.nn import functional

    return functional.gelu(x, approximate="tanh")


def _take_columns(model: Any) -> None:
    """Patches that become one vector are taken column by column."""
    connector = model.model.connector
    own = connector.pixel_shuffle

    def shuffle(x: Any, scale: int) -> Any:
        made = own(x, scale)
        grid = made.view(*made.shape[:2], scale, scale, -1)
        return grid.transpose(2, 3).reshape(made.shape)

    connector.pixel_shuffle = shuffle


def _move_pictures(model: Any) -> None:
    """The first vector of a picture stands in the last one's place."""
    own = model.model.get_image_features

    def features(*given: Any, **named: Any) -> Any:
        made = own(*given, **named)
        made.pooler_output = [vectors.roll(1, 0) for vectors in made.pooler_output]
        return made

    model.model.get_image_features = features


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("twins")
    made = {}
    for name, values in CONFIGS.items():
        (folder / f"{name}.json").write_text(json.dumps(values))
        made[name] = lk.twin(folder / f"{name}.json", folder / name).path
    return made


BROKEN: list[tuple[str, str, Break, str, str]] = [
    ("vit", "texts", wrong.set_eps(1e-3), ATT, "norm.eps"),
    ("vit", "texts", more.activate(_tanh_gelu), MLP, "mlp.activation"),
    (
        "vit",
        "texts",
        more.change_weights("classifier.bias", lambda x: x * 0),
        "logits",
        "head.bias",
    ),
    (
        "vit",
        "texts",
        more.change_weights("position_embeddings", lambda x: x * 0),
        EMB,
        "embedding.no_positions",
    ),
    (
        "dinov2",
        "texts",
        more.change_weights("lambda1", lambda x: x * 0 + 1),
        ATT,
        "layer.scale",
    ),
    ("clip", "texts", more.activate(_tanh_gelu), MLP, "mlp.activation"),
    ("clip", "pictures", wrong.set_eps(1e-3), EMB, "norm.eps"),
    (
        "clip",
        "pictures",
        more.change_weights("position_embedding.weight", lambda x: x.roll(1, 0)),
        EMB,
        "embedding.positions",
    ),
    ("siglip", "pictures", more.change("self_attn", scale=1.0), ATT, "attention.scale"),
    ("smolvlm", "texts", wrong.set_eps(1e-3), ATT, "norm.eps"),
    (
        "smolvlm",
        "pictures",
        lambda m: wrong.set_eps(1e-5)(m.model.vision_model),
        "pictures layer 0 (attention)",
        "pictures.eps",
    ),
    ("smolvlm", "pictures", _take_columns, "pictures", "pictures.joined"),
    ("smolvlm", "pictures", _move_pictures, EMB, ""),
    (
        "llava",
        "pictures",
        wrong.set_config(vision_feature_layer=-1),
        "pictures",
        "pictures.depth",
    ),
    ("whisper", "texts", wrong.set_eps(1e-3), "encoder layer 0 (attention)", "norm.eps"),
    (
        "whisper",
        "texts",
        more.change_weights("decoder.embed_positions.weight", lambda x: x.roll(1, 0)),
        "decoder embedding",
        "embedding.positions",
    ),
    # the convolutions have norms, too, whose epsilon is a constant of the model
    ("wav2vec2", "texts", wrong.set_eps(1e-3), EMB, ""),
]


@pytest.mark.parametrize(("name", "part", "apply", "place", "looks"), BROKEN)
def test_a_broken_port_is_found_placed_and_named(
    name: str, part: str, apply: Break, place: str, looks: str, twins: dict[str, Path]
) -> None:
    found = verify_port(twins[name], apply, part=part)
    assert found.parts_at == place, found
    assert found.diagnoses[:1] == ((looks,) if looks else ()), found


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize(
    ("name", "part"), [(name, part) for name in CONFIGS for part in PARTS.get(name, ("texts",))]
)
def test_an_honest_port_in_16_bits_is_right(
    name: str, part: str, dtype: str, twins: dict[str, Path]
) -> None:
    found = verify_port(twins[name], untouched, dtype=dtype, part=part)
    assert found.passed, found
