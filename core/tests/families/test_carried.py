"""Keys that stand for one field each: every one is read, checked by its default's type, written."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any

import pytest
from small import HF_CONFIG

from lmkernel.errors import CheckpointError
from lmkernel.families.carried import values_of_keys
from lmkernel.families.family import HfConfig
from lmkernel.families.gated import GATED_KEYS, GatedFamily
from lmkernel.plugins import FamilySpec, default_registry


class Plain(GatedFamily):
    """A family with a key of each type."""

    model_type, class_name = "plain", "PlainForCausalLM"
    keys = GATED_KEYS.but(
        biased=False, scale_of_scores=0.5, embd_pdrop=0.0, window=8, nullable=("window",)
    )
    carried = MappingProxyType(
        {
            "biased": ("decoder.attention.bias", "decoder.mlp.bias"),
            "scale_of_scores": "decoder.attention.scale",
            "embd_pdrop": "embedding.dropout",
            "window": "decoder.attention.window",
        }
    )
    fixed = MappingProxyType({"decoder.parallel": True})


OWN = {"biased": True, "scale_of_scores": 0.25, "embd_pdrop": 0.1, "window": None}


def read(**changes: Any) -> Any:
    return Plain().read(HfConfig({**HF_CONFIG, **OWN, **changes}))


def test_each_key_reaches_every_field_that_it_stands_for() -> None:
    model = read()
    assert (model.decoder.attention.bias, model.decoder.mlp.bias) == (True, True)
    assert model.decoder.attention.scale == 0.25
    assert model.embedding.dropout == 0.1
    assert model.decoder.attention.window is None
    assert model.decoder.parallel


def test_what_is_written_is_what_was_read() -> None:
    written = Plain().write(read(window=3))
    assert {key: written[key] for key in OWN} == {**OWN, "window": 3}
    assert Plain().read(HfConfig(written)) == read(window=3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"biased": 1}, "biased: expected true or false, got 1"),
        ({"biased": None}, "biased: expected a value, such as False, got None"),
        ({"scale_of_scores": "0.5"}, "scale_of_scores: expected a number"),
        ({"embd_pdrop": 1.0}, r"embd_pdrop: expected a rate in \[0, 1\)"),
        ({"window": 0}, "window: expected a positive integer"),
    ],
)
def test_a_value_of_another_type_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError, match=message):
        read(**changes)


def test_what_is_carried_has_a_default() -> None:
    made = {name: s.create() for name, s in default_registry().all(FamilySpec).items()}
    gated = {name: family for name, family in made.items() if isinstance(family, GatedFamily)}
    assert len(gated) > 10
    for name, family in gated.items():
        keys = family.keys or GATED_KEYS
        assert set(family.carried) <= set(keys.read), name


def test_paths_are_read_from_the_model() -> None:
    assert values_of_keys(read(), {"a": "decoder.attention.scale"}) == {"a": 0.25}
