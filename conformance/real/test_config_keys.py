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


@dataclasses.dataclass(frozen=True)
class Table:
    """What a family makes of the keys of one class of transformers."""

    keys: ConfigKeys
    kind: type[PretrainedConfig]

    @property
    def fields(self) -> dict[str, dataclasses.Field[Any]]:
        """The class's own fields, by name."""
        return {field.name: field for field in dataclasses.fields(self.kind)}


def families() -> dict[str, Family]:
    return {name: spec.resolve()() for name, spec in default_registry().all(FamilySpec).items()}


def tables() -> dict[str, Table]:
    """The table of each family, and of each part of a configuration that it has a table for."""
    found: dict[str, Table] = {}
    for name, family in families().items():
        keys, kind = family.keys, CONFIG_MAPPING[name]
        assert keys is not None, name
        found[name] = Table(keys, kind)
        parts = {key: type(getattr(kind(), key)) for key in keys.parts}
        found |= {f"{name} {key}": Table(keys.parts[key], parts[key]) for key in parts}
    return found


TABLES = tables()
NO_MODEL = {"image_size", "patch_size", "layer_norm_eps"}
"""What the classes of towers let be null, though then they make no model, or one that fails."""


def default_of(field: dataclasses.Field[Any]) -> Any:
    if field.default is not dataclasses.MISSING:
        return field.default
    assert field.default_factory is not dataclasses.MISSING
    return field.default_factory()


def test_parts_of_configurations_are_looked_at_too() -> None:
    assert {"clip text_config", "siglip vision_config", "llava text_config"} <= TABLES.keys()


@pytest.mark.parametrize("name", TABLES)
def test_b04_every_key_of_the_class_has_a_place(name: str) -> None:
    table = TABLES[name]
    everything = {**dict.fromkeys(table.fields), **table.kind().to_dict()}
    assert table.keys.unknown(HfConfig(everything)) == []


@pytest.mark.parametrize("name", TABLES)
def test_b04_every_default_is_that_of_the_class(name: str) -> None:
    table = TABLES[name]
    fields, made = table.fields, table.kind()
    for key, default in table.keys.read.items():
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


@pytest.mark.parametrize("name", TABLES)
def test_b04_what_is_refused_is_not_the_default(name: str) -> None:
    fields = TABLES[name].fields
    for key, usual in TABLES[name].keys.refused.items():
        if key in fields:
            assert usual == default_of(fields[key]), key


@pytest.mark.parametrize("name", TABLES)
def test_b04_null_is_taken_where_the_class_takes_it(name: str) -> None:
    keys, fields = TABLES[name].keys, TABLES[name].fields
    read = [key for key, default in keys.read.items() if key in fields and default is not None]
    may = {key for key in read if "None" in str(fields[key].type)}
    assert may - (NO_MODEL if " " in name else set()) == keys.nullable


@pytest.mark.parametrize("name", TABLES)
def test_b04_other_names_of_keys_are_those_of_the_class(name: str) -> None:
    assert dict(TABLES[name].keys.aliases) == TABLES[name].kind.attribute_map


@pytest.mark.parametrize("name", TABLES)
def test_b04_keys_that_all_classes_take_have_a_place(name: str) -> None:
    common = [field.name for field in dataclasses.fields(PretrainedConfig)]
    generation = GenerationConfig._get_default_generation_params()
    assert TABLES[name].keys.unknown(HfConfig(dict.fromkeys([*common, *generation]))) == []


def test_a_key_without_a_place_is_found() -> None:
    assert TABLES["llama"].keys.unknown(HfConfig({"sliding_window": 3})) == ["sliding_window"]
