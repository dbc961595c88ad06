"""Every key of transformers' configuration classes has a place in our tables, and its default."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
from transformers import GenerationConfig, PretrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from lmkernel.families.family import Family, HfConfig
from lmkernel.plugins import FamilySpec, default_registry

if TYPE_CHECKING:
    from lmkernel.families.config_keys import ConfigKeys


def families() -> dict[str, Family]:
    return {name: spec.resolve()() for name, spec in default_registry().all(FamilySpec).items()}


FAMILIES = families()


def keys_of(name: str) -> ConfigKeys:
    keys = FAMILIES[name].keys
    assert keys is not None
    return keys


def fields_of(name: str) -> dict[str, dataclasses.Field[Any]]:
    return {field.name: field for field in dataclasses.fields(CONFIG_MAPPING[name])}


def default_of(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    assert field.default_factory is not dataclasses.MISSING
    return field.default_factory()


@pytest.mark.parametrize("name", FAMILIES)
def test_b04_every_key_of_the_class_has_a_place(name: str) -> None:
    written = CONFIG_MAPPING[name]().to_dict()
    everything = {**dict.fromkeys(fields_of(name)), **written}
    assert keys_of(name).unknown(HfConfig(everything)) == []


@pytest.mark.parametrize("name", FAMILIES)
def test_b04_every_default_is_that_of_the_class(name: str) -> None:
    fields, made = fields_of(name), CONFIG_MAPPING[name]()
    ours = dict(keys_of(name).read)
    for key, default in ours.items():
        if key in fields:
            assert default == default_of(fields[key]), key
        elif key == "rope_theta":
            # where there are several, each is the default of another key
            single = not isinstance(made.default_theta, dict)
            assert default == (made.default_theta if single else None)
        elif key == "partial_rotary_factor":
            assert default == made.rope_parameters[key]
        elif key == "num_labels":
            assert default == made.num_labels
        else:  # what only older files have, or what follows from others
            assert default is None, key


@pytest.mark.parametrize("name", FAMILIES)
def test_b04_what_is_refused_is_not_the_default(name: str) -> None:
    fields = fields_of(name)
    for key, usual in keys_of(name).refused.items():
        if key in fields:
            assert usual == default_of(fields[key]), key


@pytest.mark.parametrize("name", FAMILIES)
def test_b04_null_is_taken_where_the_class_takes_it(name: str) -> None:
    keys, fields = keys_of(name), fields_of(name)
    read = [key for key, default in keys.read.items() if key in fields and default is not None]
    assert {key for key in read if "None" in str(fields[key].type)} == keys.nullable


@pytest.mark.parametrize("name", FAMILIES)
def test_b04_other_names_of_keys_are_those_of_the_class(name: str) -> None:
    assert dict(keys_of(name).aliases) == CONFIG_MAPPING[name].attribute_map


@pytest.mark.parametrize("name", FAMILIES)
def test_b04_keys_that_all_classes_take_have_a_place(name: str) -> None:
    common = [field.name for field in dataclasses.fields(PretrainedConfig)]
    generation = GenerationConfig._get_default_generation_params()
    assert keys_of(name).unknown(HfConfig(dict.fromkeys([*common, *generation]))) == []


def test_a_key_without_a_place_is_found() -> None:
    assert keys_of("llama").unknown(HfConfig({"sliding_window": 3})) == ["sliding_window"]
