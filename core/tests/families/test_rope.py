"""Rotary positions in configurations: where they stand, what each kind needs, and both ways."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import pytest
from small import HF_CONFIG, small_config

from lmkernel.errors import CheckpointError
from lmkernel.families.family import HfConfig
from lmkernel.families.llama import Llama
from lmkernel.families.sizes import Sizes
from lmkernel.plugins import FamilySpec, default_registry

if TYPE_CHECKING:
    from lmkernel.config import RotaryConfig
    from lmkernel.families.family import Family

LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0}
LINEAR = {"rope_type": "linear", "factor": 2.0}
LONG = {"rope_type": "longrope", "short_factor": [1.0] * 4, "long_factor": [2.0, 3, 4, 5]}
ORIGINAL = "original_max_position_embeddings"


def rotary(**changes: Any) -> RotaryConfig:
    found = small_config(**changes).embedding.rotary
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("scaling", "message"),
    [
        ({"rope_type": "linear"}, "the key 'factor' is missing"),
        ({"rope_type": "dynamic"}, "the key 'factor' is missing"),
        ({"rope_type": "yarn"}, "the key 'factor' is missing"),
        *(
            ({k: x for k, x in LLAMA3.items() if k != absent}, f"the key '{absent}' is missing")
            for absent in ("factor", "low_freq_factor", "high_freq_factor")
        ),
        (
            {**LLAMA3, "low_freq_factor": 4.0},
            "high_freq_factor: expected more than low_",
        ),
        ({**LLAMA3, "low_freq_factor": -1.0}, "low_freq_factor: expected a number above 0"),
        ({**LLAMA3, "low_freq_factor": 0}, "low_freq_factor: expected a number above 0"),
        ({**LLAMA3, "factor": "8"}, "factor: expected a number, got '8'"),
        ({"rope_type": "longrope", "short_factor": [1.0] * 4}, "long_factor: expected a list of 4"),
        ({**LONG, "short_factor": [1.0] * 3}, "short_factor: expected a list of 4 numbers"),
        ({**LONG, "short_factor": [1.0, 2.0, "3", 4.0]}, "short_factor: expected a number"),
        ({**LONG, ORIGINAL: 1}, f"{ORIGINAL}: expected an integer of at least 2, got 1"),
        ({**LINEAR, "partial_rotary_factor": 0.5}, "partial_rotary_factor: expected 1.0"),
        ({"full_attention": LINEAR}, "full_attention: expected one set of rotary parameters"),
    ],
)
def test_b01_what_a_kind_needs_is_missed_by_name(scaling: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError) as caught:
        rotary(rope_scaling=scaling)
    assert f"config.json, rope_scaling: {message}" in str(caught.value)


def test_b01_the_original_context_is_the_models_own_if_nothing_says_it() -> None:
    assert rotary(rope_scaling=LLAMA3).original_context == HF_CONFIG["max_position_embeddings"]
    assert rotary(rope_scaling={**LLAMA3, ORIGINAL: 9}).original_context == 9
    assert rotary(rope_scaling={**LLAMA3, ORIGINAL: 9}, **{ORIGINAL: 7}).original_context == 7


def test_b01_of_two_dictionaries_the_older_name_is_taken_unless_it_is_empty() -> None:
    new = {"rope_type": "linear", "factor": 9.0, "rope_theta": 30.0}
    assert rotary(rope_scaling=LINEAR, rope_parameters=new).factor == 2.0
    assert rotary(rope_scaling={}, rope_parameters=new).factor == 9.0
    assert rotary(rope_scaling=None, rope_parameters=new).factor == 9.0


def test_b01_a_base_in_the_dictionary_goes_before_one_beside_it() -> None:
    assert rotary(rope_theta=5.0, rope_parameters={"rope_theta": 7.0}).theta == 7.0
    assert rotary(rope_theta=5.0, rope_parameters={"rope_type": "default"}).theta == 5.0
    assert rotary(rope_theta=5.0, rope_scaling=LINEAR, rope_parameters={"rope_theta": 7}).theta == 5


def test_b01_the_name_of_today_goes_before_the_one_before() -> None:
    assert rotary(rope_scaling={"type": "linear", "factor": 2.0}).scaling == "linear"
    assert rotary(rope_scaling={"type": "linear", "rope_type": "default"}).scaling == "none"


@pytest.mark.parametrize(
    ("changes", "unused"),
    [
        ({"rope_scaling": LINEAR}, []),
        ({"rope_scaling": {"factor": 4.0}}, ["rope_scaling.factor"]),
        ({"rope_scaling": {**LINEAR, "mscale": 1.0}}, ["rope_scaling.mscale"]),
        ({"rope_scaling": LINEAR, "rope_parameters": LLAMA3}, ["rope_parameters"]),
        ({"rope_parameters": {"rope_theta": 7.0}}, ["rope_theta"]),
        ({"rope_parameters": {"rope_theta": HF_CONFIG["rope_theta"]}}, []),
    ],
)
def test_b01_what_is_not_used_is_said(changes: dict[str, Any], unused: list[str]) -> None:
    assert Llama.keys.unknown(HfConfig({**HF_CONFIG, **changes})) == unused


def test_yarns_factor_of_angles_follows_from_its_own() -> None:
    yarn = {"rope_type": "yarn", "factor": 16.0}
    assert rotary(rope_scaling=yarn).attention_factor == pytest.approx(1.2772588722239782)
    assert rotary(rope_scaling={**yarn, "attention_factor": 3.0}).attention_factor == 3.0
    parts = {"mscale": 1.0, "mscale_all_dim": 1.0}
    assert rotary(rope_scaling={**yarn, **parts}).attention_factor == 1.0
    assert rotary(rope_scaling={**yarn, "beta_fast": 0}).beta_fast == 32.0


def test_longropes_factor_of_angles_follows_from_the_contexts() -> None:
    context = HF_CONFIG["max_position_embeddings"]
    assert rotary(rope_scaling=LONG).attention_factor == 1.0
    long = rotary(rope_scaling=LONG, **{ORIGINAL: context // 4})
    assert long.attention_factor == pytest.approx(math.sqrt(1 + math.log(4) / math.log(12)))
    assert rotary(rope_scaling={**LONG, "attention_factor": 1.0}).attention_factor == 1.0


@pytest.mark.parametrize(
    "scaling",
    [
        LINEAR,
        LLAMA3,
        {**LLAMA3, ORIGINAL: 9},
        {"rope_type": "dynamic", "factor": 3.0},
        {"rope_type": "yarn", "factor": 4.0, "beta_fast": 20, ORIGINAL: 12, "truncate": False},
        {**LONG, ORIGINAL: 12},
        {**LONG, "attention_factor": 1.5},
    ],
)
def test_every_kind_survives_the_way_there_and_back(scaling: dict[str, Any]) -> None:
    config = small_config(rope_scaling=scaling)
    written = Llama().write(config)
    assert Llama().read(HfConfig(written)) == config
    assert Llama.keys.unknown(HfConfig(written)) == []


SHARES = {
    "glm": "partial_rotary_factor",
    "glm4": "partial_rotary_factor",
    "gpt_neox": "rotary_pct",
    "phi3": "partial_rotary_factor",
    "stablelm": "partial_rotary_factor",
}


def small(name: str, **changes: Any) -> tuple[Family, HfConfig]:
    """A family, and a small model of it with heads of 8 elements."""
    family = default_registry().get(FamilySpec, name).create()
    described = family.new(Sizes(width=32, layers=1, heads=4, inner=40, context=32, vocab=50))
    return family, HfConfig({"model_type": name, **described, **changes})


@pytest.mark.parametrize("name", SHARES)
@pytest.mark.parametrize("share", [0.0, -1.0, 2.0, 0.01])
def test_a_share_of_a_head_is_a_part_of_it(name: str, share: float) -> None:
    family, given = small(name, **{SHARES[name]: share})
    said = f"{SHARES[name]}: expected a share of 8 elements, above 0 and at most 1"
    with pytest.raises(CheckpointError, match=said):
        family.read(given)


@pytest.mark.parametrize("name", ["glm", "glm4", "phi3", "stablelm"])
def test_a_share_that_is_null_is_refused(name: str) -> None:
    family, given = small(name, partial_rotary_factor=None)
    with pytest.raises(CheckpointError, match="partial_rotary_factor: expected a value, such as"):
        family.read(given)


@pytest.mark.parametrize("name", ["falcon", "llama"])
def test_a_share_is_refused_where_all_of_a_head_turns(name: str) -> None:
    family, given = small(name, partial_rotary_factor=0.5, rope_scaling=LINEAR)
    with pytest.raises(CheckpointError, match=r"partial_rotary_factor: expected 1\.0"):
        family.read(given)


NEOX = {"rotary_pct": None, "rotary_emb_base": None}
BOTH = {"rope_theta": 777.0, "partial_rotary_factor": 0.5}
INSIDE = {"rope_type": "default", "rope_theta": 99.0, "partial_rotary_factor": 0.75}


@pytest.mark.parametrize(
    ("said", "theta", "turned", "told"),
    [
        ({}, 10000.0, 2, []),
        (BOTH, 10000.0, 2, ["rope_theta", "partial_rotary_factor"]),
        ({"rotary_emb_base": 555, "rotary_pct": 0.5}, 555.0, 4, []),
        ({"rotary_emb_base": 555, **BOTH}, 555.0, 2, ["rope_theta", "partial_rotary_factor"]),
        ({"rotary_emb_base": 777, "rotary_pct": 0.5, **BOTH}, 777.0, 4, []),
        ({"rope_scaling": LINEAR, **BOTH}, 10000.0, 2, ["rope_theta", "partial_rotary_factor"]),
        ({"rope_parameters": INSIDE}, 99.0, 6, []),
        ({"rope_parameters": INSIDE, "rotary_emb_base": 5}, 99.0, 6, ["rotary_emb_base"]),
        (
            {"rope_parameters": INSIDE, "rotary_pct": 0.5, **BOTH},
            *(99.0, 6, ["rope_theta", "partial_rotary_factor", "rotary_pct"]),
        ),
        ({"rope_parameters": INSIDE, "rope_theta": 99, "rotary_emb_base": 99}, 99.0, 6, []),
    ],
)
def test_gpt_neox_has_names_of_its_own_for_the_base_and_the_share(
    said: dict[str, Any], theta: float, turned: int, told: list[str]
) -> None:
    family, given = small("gpt_neox", **{**NEOX, **said})
    found = family.read(given).embedding.rotary
    assert found is not None
    assert (found.theta, found.dim) == (theta, turned)
    assert family.keys is not None
    assert family.keys.unknown(given) == told


def test_gpt_neox_names_its_base_in_a_complaint_and_keeps_it() -> None:
    family, given = small("gpt_neox", rotary_emb_base=1)
    with pytest.raises(CheckpointError, match="rotary_emb_base: expected a number above 1, got 1"):
        family.read(given)
    config = family.read(small("gpt_neox", rotary_emb_base=555, rotary_pct=0.5)[1])
    written = family.write(config)
    assert family.read(HfConfig(written)) == config
    assert family.keys is not None
    assert family.keys.unknown(HfConfig(written)) == []
