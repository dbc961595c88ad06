"""A token that takes no position: those after it count on without it, wherever it stands."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from encoder_kinds import ENCODERS
from sequence_models import described

from lmkernel.backend import load_backend
from lmkernel.components.embedding import TokenEmbedding
from lmkernel.components.positions import count_uncounted
from lmkernel.config import EmbeddingConfig
from lmkernel.errors import CheckpointError, ConfigError
from lmkernel.families.agreement import read_config
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.fixed_positions import sinusoid_rows

BACKEND = load_backend("numpy")
PADDING = 1
TOKENS = np.array([[0, 7, 1, 1, 8, 1, 9, 2], [1, 1, 0, 1, 7, 2, 4, 4], [1, 0, 7, 8, 2, 1, 1, 1]])
"""The second row has padding before it, the third after it, of an id that is also in the text."""
WHERE = np.array([[*range(8)], [-1, -1, 0, 1, 2, 3, 4, 5], [*range(6), -1, -1]])
PLACES = np.array([[2, 3, 1, 1, 4, 1, 5, 6], [0, 0, 2, 1, 3, 4, 5, 6], [1, 2, 3, 4, 5, 1, 0, 0]])
"""What transformers makes of each text alone, ``cumsum(ids != 1) * (ids != 1) + 1``; 0: padding."""
REAL = PLACES > 0


def embedded(tokens: np.ndarray, where: np.ndarray, **options: Any) -> np.ndarray:
    """What an embedding adds to vectors of tokens that are zero, in float64."""
    config = EmbeddingConfig(width=8, vocab=10, context=8, offset=2, **options)
    tables: dict[str, Any] = {"tokens": {"weight": np.zeros((10, 8))}}
    tables["positions"] = {"weight": np.repeat(np.arange(10.0)[:, None], 8, 1)}
    with BACKEND:
        made = TokenEmbedding(BACKEND.ops, config)
        inputs = (BACKEND.ops.asarray(x, "int32") for x in (tokens, where))
        return BACKEND.ops.to_numpy(made(tables, *inputs).hidden)


def test_rows_of_the_table_are_those_of_transformers() -> None:
    got = embedded(TOKENS, WHERE, positions="learned", uncounted=PADDING)[..., 0]
    np.testing.assert_array_equal(got[REAL], PLACES[REAL])
    plain = embedded(TOKENS, WHERE, positions="learned")[..., 0]
    np.testing.assert_array_equal(plain[REAL], WHERE[REAL] + 2)


@pytest.mark.parametrize("layout", ["pairs", "halves", "halves_to_last"])
def test_sinusoids_count_on_and_are_nothing_at_the_token(layout: str) -> None:
    options = {"positions": "sinusoidal", "sinusoids": layout}
    got = embedded(TOKENS, WHERE, uncounted=PADDING, **options)
    expected = sinusoid_rows(PLACES.reshape(-1), 8, layout).reshape(got.shape)
    expected[PLACES == PADDING] = 0.0
    np.testing.assert_allclose(got[REAL], expected[REAL], atol=1e-14)


@pytest.mark.parametrize("time", [1, 2, 700])
def test_counts_are_exact(time: int) -> None:
    tokens = np.random.default_rng(time).integers(0, 3, (4, time))
    where = np.broadcast_to(np.arange(time), (4, time))
    with BACKEND:
        arrays = (BACKEND.ops.asarray(x, "int32") for x in (tokens, where))
        there, count = map(BACKEND.ops.to_numpy, count_uncounted(BACKEND.ops, *arrays, PADDING))
    np.testing.assert_array_equal(there, tokens == PADDING)
    np.testing.assert_array_equal(count, np.cumsum(tokens == PADDING, 1))


def test_it_is_a_token_before_whose_positions_there_is_room() -> None:
    for wrong in ({"uncounted": 10}, {"uncounted": -1}, {"offset": 0}, {"positions": "none"}):
        options: dict[str, Any] = {"positions": "learned", "offset": 2, "uncounted": 1, **wrong}
        with pytest.raises(ConfigError, match=r"EmbeddingConfig\.uncounted: expected"):
            EmbeddingConfig(width=8, vocab=10, context=8, **options)


@pytest.mark.parametrize(
    ("model_type", "kind", "said", "token"),
    [
        ("roberta", "roberta MaskedLM", 3, 3),
        ("xlm-roberta", "xlm-roberta MaskedLM", 0, 0),
        ("camembert", "camembert MaskedLM", 1, 1),
        ("mpnet", "mpnet MaskedLM", 0, 1),  # 1, whatever the file says
        ("albert", "albert MaskedLM", 0, None),
        ("electra", "electra MaskedLM", 0, None),
    ],
)
def test_encoders_say_which_it_is(model_type: str, kind: str, said: int, token: int | None) -> None:
    _, architecture, options = ENCODERS[kind]
    values = {**options, "architectures": [architecture], "pad_token_id": said}
    config = find_family(model_type, "a test").read(HfConfig(values))
    assert config.embedding.uncounted == token


@pytest.mark.parametrize(("name", "token"), [("m2m 100", 3), ("pegasus", None), ("bart", None)])
def test_so_do_encoder_decoders(name: str, token: int | None) -> None:
    values = described(name, pad_token_id=3)
    config = find_family(values["model_type"], "a test").read(HfConfig(values))
    assert config.target_embedding is not None
    assert config.embedding.uncounted == config.target_embedding.uncounted == token


def test_an_id_beyond_the_vocabulary_is_named_by_its_key() -> None:
    values = described("m2m 100", pad_token_id=101)
    with pytest.raises(CheckpointError, match=r"config\.json: pad_token_id: expected a token's id"):
        read_config(find_family("m2m_100", "a test"), HfConfig(values))
