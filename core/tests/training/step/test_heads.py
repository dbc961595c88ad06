"""Heads that a process cannot have as its own are refused; others, and other engines, are not."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from training_samples import made_trainer, small_gpt2

from lmkernel.backend import load_backend
from lmkernel.composed.alone import Alone
from lmkernel.config import AttentionConfig, LayerConfig
from lmkernel.contract.distribution import Mesh
from lmkernel.errors import ConfigError
from lmkernel.training.step.heads import require_even_heads

if TYPE_CHECKING:
    from lmkernel.config import ModelConfig

SIX = small_gpt2(n_embd=24, n_head=6)
ONE = small_gpt2(n_embd=24, n_head=1).decoder


class Parted(Alone):  # type: ignore[misc]  # final, but for this test
    """An engine whose computations see a process's own part."""

    @property
    def looks_whole(self) -> bool:
        return False


def arranged(engine: type[Alone], mesh: str) -> Alone:
    made = engine(load_backend("numpy").ops)
    made.mesh = Mesh.parse(mesh)
    return made


def with_cross(heads: int) -> ModelConfig:
    assert SIX.decoder is not None
    cross = AttentionConfig(width=24, heads=heads, memory_width=24)
    return replace(SIX, encoder=SIX.decoder, decoder=replace(SIX.decoder, cross=cross))


def with_a_second_layer(heads: int) -> ModelConfig:
    assert SIX.decoder is not None
    own = LayerConfig(attention=AttentionConfig(width=24, heads=heads))
    different = (LayerConfig(), own)
    return replace(SIX, decoder=replace(SIX.decoder, layers=2, different=different))


def test_the_layer_and_what_fits_are_named() -> None:
    said = (
        r"mesh data=2,model=4: expected heads that divide by model=4 .* "
        r"decoder\.layers\.0\.attention has 6; they fit model=2, model=3, model=6, data or fsdp$"
    )
    with pytest.raises(ConfigError, match=said):
        require_even_heads(SIX, arranged(Parted, "data=2,model=4"))


@pytest.mark.parametrize(
    ("config", "where"),
    [
        (with_cross(3), r"decoder\.layers\.0\.cross has 3"),
        (with_a_second_layer(1), r"decoder\.layers\.1\.attention has 1; they fit data or fsdp"),
        (replace(SIX, encoder=ONE, decoder=None), r"encoder\.layers\.0\.attention has 1"),
    ],
)
def test_every_attention_is_looked_at(config: ModelConfig, where: str) -> None:
    with pytest.raises(ConfigError, match=where):
        require_even_heads(config, arranged(Parted, "model=2"))


@pytest.mark.parametrize(
    ("engine", "mesh"), [(Parted, "model=3"), (Parted, "data=2,fsdp=2"), (Alone, "model=4")]
)
def test_what_divides_or_is_seen_whole_is_not_refused(engine: type[Alone], mesh: str) -> None:
    require_even_heads(SIX, arranged(engine, mesh))


def test_a_trainer_is_not_made_of_them() -> None:
    backend = replace(load_backend("numpy"), engine=arranged(Parted, "model=4"))
    with pytest.raises(ConfigError, match="heads that divide by model=4"):
        made_trainer(SIX, backend=backend)
