"""Which token ends a text for CLIP: the one of its file, or the highest in its first files."""

from __future__ import annotations

from typing import Any

import pytest

from lmkernel.errors import CheckpointError
from lmkernel.families.family import HfConfig, find_family

TEXT = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4, "vocab_size": 60}
VISION = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 4}


def described(**said: Any) -> HfConfig:
    return HfConfig({"text_config": {**TEXT, **said}, "vision_config": VISION})


@pytest.mark.parametrize(
    ("said", "pooling", "token"),
    [
        ({"eos_token_id": 2}, "highest", None),
        ({"eos_token_id": 7}, "token", 7),
        ({}, "token", 49407),
    ],
)
def test_a_vector_is_made_at_the_end(said: dict[str, int], pooling: str, token: int) -> None:
    family = find_family("clip", "a test")
    config = family.read(described(**said))
    assert config.head is not None
    assert (config.head.pooling, config.head.token) == (pooling, token)
    written = family.write(config)
    assert written["text_config"]["eos_token_id"] == said.get("eos_token_id", 49407)
    assert family.read(HfConfig(written)) == config


@pytest.mark.parametrize("said", ["7", -1, [7], True])
def test_an_end_that_is_no_id_is_named(said: Any) -> None:
    with pytest.raises(CheckpointError, match="text_config: eos_token_id: expected an integer"):
        find_family("clip", "a test").read(described(eos_token_id=said))


def test_siglip_takes_the_last_position() -> None:
    head = find_family("siglip", "a test").read(described()).head
    assert head is not None
    assert (head.pooling, head.token, head.skipped) == ("last", None, None)
