"""One seed gives the same bits: random streams, initial weights, and their transfer."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.config import FeedForwardConfig, ModelConfig
from lmkernel.config.embedding import EmbeddingConfig
from lmkernel.contract.trees import tree_map
from lmkernel.model import Model
from lmkernel.parameters import flatten
from lmkernel.random import normals, raw_words, uniforms
from lmkernel_conformance.cases.case import case

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

Host = Any

_WORDS = (11240621020750645622, 13684359415230132881, 9637113613160495966, 16275899977437301186)
_UNIFORMS = (
    "0x1.37fd6a86a9431p-1",
    "0x1.7bd138c54720ep-1",
    "0x1.0b7bcf8b09067p-1",
    "0x1.c3bf399795e09p-1",
)
_NORMALS = (
    "0x1.1c4d6b7df87f5p-2",
    "0x1.4c49a57143521p-1",
    "0x1.ccce62314e495p-5",
    "0x1.2fc8add97ad46p+0",
)
_WEIGHTS = "b4a084153f56fc72b5c1400171884682"


@case(level="document", id="random.streams", dtypes=("float64",), rows=(30,))
def streams(s: Subject) -> None:
    """Words, uniforms and normals of one stream, bit for bit."""
    s.demand("words", expected=_WORDS, got=tuple(map(int, raw_words(42, "conformance", 4))))
    s.demand("uniforms", expected=_UNIFORMS, got=_hex(uniforms(42, "conformance", 4)))
    s.demand("normals", expected=_NORMALS, got=_hex(normals(42, "conformance", 4)))


def _hex(x: Host) -> tuple[str, ...]:
    return tuple(float(value).hex() for value in x)


def _network() -> ModelConfig:
    """The tutorial's encoder and decoder in sequence."""
    return ModelConfig(
        embedding=EmbeddingConfig(kind="vectors", width=3),
        encoder=FeedForwardConfig(widths=(3, 128, 64, 32, 16)),
        decoder=FeedForwardConfig(widths=(16, 32, 64, 128, 3), final_activation="none"),
    )


@case(level="document", id="initial.weights", dtypes=("float32",), rows=(30,))
def initial_weights(s: Subject) -> None:
    """Seed 42 gives the tutorial's network the same weights on every backend, on the device too."""
    model = Model(s.backend, _network())
    hosts = model.initial(42)
    s.demand("digest", expected=_WEIGHTS, got=_digest(hosts))
    placed = flatten(tree_map(s.host, model.place(hosts)))
    s.demand("digest on the device", expected=_WEIGHTS, got=_digest(placed))


def _digest(values: dict[str, Host]) -> str:
    """BLAKE2b over the little-endian float32 of all parameters, in the order of their names."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(values):
        digest.update(name.encode())
        digest.update(np.ascontiguousarray(values[name], "<f4").tobytes())
    return digest.hexdigest()
