"""What a plugin's component builds is told by its kind if it is none."""

from __future__ import annotations

from typing import Any

import pytest

from lmkernel.backend import load_backend
from lmkernel.errors import InputError, PluginError
from lmkernel.factory import ComponentFactory
from lmkernel.interfaces import Loss, LossConfig
from lmkernel.plugins import ComponentSpec, Registry, hookimpl


class Plugin:
    @hookimpl
    def lmkernel_register_components(self) -> list[ComponentSpec]:
        return [
            ComponentSpec(name=name, interface="loss", contract="1.0", load=f"{__name__}:{load}")
            for name, load in {
                "leaving": "Leaving",
                "nothing": "Nothing",
                "saying": "Saying",
            }.items()
        ]


class Own(BaseException):
    pass


class Leaving(Loss):
    @classmethod
    def build(cls, *_: Any) -> Any:
        raise Own("built")


class Nothing(Loss):
    @classmethod
    def build(cls, *_: Any) -> Any:
        return None


class Saying(Loss):
    @classmethod
    def build(cls, *_: Any) -> Any:
        raise InputError("on purpose")


@pytest.mark.parametrize(
    ("kind", "error", "said"),
    [
        ("leaving", PluginError, r"^loss 'leaving', build: Own: built$"),
        ("nothing", PluginError, r"^loss 'nothing', build: expected Loss, got NoneType$"),
        ("saying", InputError, r"^on purpose$"),
    ],
)
def test_what_is_built_by_a_plugin(kind: str, error: type[Exception], said: str) -> None:
    registry = Registry()
    registry.register("own", Plugin())
    factory = ComponentFactory(load_backend("numpy", registry=registry))
    with pytest.raises(error, match=said):
        factory.create("loss", LossConfig(kind=kind))
