"""Pictures: patches, positions for other grids, and the vectors that a decoder is shown."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    FeedForwardConfig,
    MlpConfig,
    ModelConfig,
    NormConfig,
    PatchConfig,
    PrecisionPolicy,
    SightConfig,
    TransformerConfig,
)
from lmkernel.model import Model
from lmkernel.model.sight import row_pictures
from lmkernel.parameters import flatten, nest
from lmkernel.pictures.processor import PictureProcessor
from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.trial import Trial, trial
from lmkernel_conformance.cases.zoo import ZOO
from lmkernel_conformance.definitions import pictures as defined
from lmkernel_conformance.inputs import normal, parameters, uniform

if TYPE_CHECKING:
    from lmkernel_conformance.subject import Subject

Host = Any

_TOKEN = 7
_ROUNDED = 6
"""Units in the last place of 1 by which normalised values below 4 may differ."""
_LAYER = NormConfig(kind="layer", eps=1e-3)
_PATCHES = PatchConfig(height=4, width=6, patch_height=2, patch_width=3)
"""Two rows and two columns of patches that are not square, and the vector before them."""
_RESIZED = replace(_PATCHES, height=8, resized=True)
"""Four rows and two columns: for two rows and four columns, weights have no rounding."""
_PICTURES = normal("pictures.pixels", 2, 3, 4, 6)


def _patches(own: PatchConfig, pictures: Host, norm: NormConfig | None = None) -> Trial:
    config = EmbeddingConfig(kind="patches", width=5, patches=own, norm=norm)

    def native(s: Subject, t: dict[str, Any]) -> Any:
        component = s.factory.create("embedding", config)
        shape = {name: x for name, x in t.items() if name != "pictures"}
        params = nest(component.declare(), shape)
        got = component(params, t["pictures"], s.array(np.zeros((1, 1), int)))
        count = got.hidden.shape[1]
        places = np.broadcast_to(np.arange(count), (2, count))
        s.equal("positions", got.positions, places, "int32")
        return got.hidden

    def formula(ar: Any, t: dict[str, Host]) -> Host:
        named = {f"own.{name}": x for name, x in t.items()}
        return defined.embed_patches(ar, t["pictures"], named, "own", config)

    sizes = {
        "patches.weight": (5, own.values),
        "patches.bias": (5,),
        "positions.weight": (own.count, 5),
        "token.weight": (1, 5),
        "norm.weight": (5,),
        "norm.bias": (5,),
    }
    absent = {"token": not own.token, "norm": norm is None}
    inputs = {
        name: normal(f"pictures.{name}", *shape)
        for name, shape in sizes.items()
        if not absent.get(name.partition(".")[0])
    }
    return Trial(inputs={**inputs, "pictures": pictures}, native=native, formula=formula)


@trial(id="embedding.patches", level="components", rows=(31,))
def patches() -> Trial:
    """A vector before those of patches; red, green and blue of a patch one after the other."""
    return _patches(_PATCHES, _PICTURES)


@trial(id="embedding.patches.alone", level="components", rows=(31,))
def patches_alone() -> Trial:
    """Patches without a vector before them, and a norm; what remains of a picture is left out."""
    own = replace(_PATCHES, token=False, height=5, width=8)
    return _patches(own, normal("pictures.rest", 2, 3, 5, 8), _LAYER)


@trial(id="embedding.patches.other_grid", level="components", rows=(32,))
def other_grid() -> Trial:
    """Positions are interpolated for more columns and fewer rows; the first vector's is kept.

    There are as many patches as there are positions, in another grid.
    """
    return _patches(_RESIZED, normal("pictures.other", 2, 3, 4, 13))


def _seeing(**changes: Any) -> ModelConfig:
    """A decoder that is shown pictures of two rows and four columns of patches."""
    own = PatchConfig(height=4, width=12, patch_height=2, patch_width=3, token=False)
    token = bool(changes.get("skipped"))
    tower = ModelConfig(
        embedding=EmbeddingConfig(kind="patches", width=6, patches=replace(own, token=token)),
        encoder=TransformerConfig(
            width=6,
            layers=2,
            attention=AttentionConfig(width=6, heads=2, bias=True, out_bias=True),
            mlp=MlpConfig(hidden=7, activation="gelu_tanh", gated=False, bias=True),
            norm=_LAYER,
        ),
    )
    made = 6 * changes.get("joined", 1) ** 2
    connector = FeedForwardConfig(
        widths=(made, 8, 24), activation="gelu", final_activation="none", bias=True
    )
    sight = SightConfig(pictures=tower, connector=connector, token=_TOKEN, **changes)
    return replace(ZOO["llama"], sight=sight)


_SQUARES = _seeing(joined=2)
"""Four patches become one vector, of which a picture has two; all layers, and the norm."""
_EARLIER = _seeing(depth=1, skipped=1)
"""Each patch is a vector, of which a picture has eight, after one layer of two, without a norm."""
_SHOWN = normal("pictures.shown", 3, 3, 4, 12)
_COUNTS = (2, 1)


def _rows(each: int) -> tuple[Host, Host]:
    """Tokens and positions of two rows: two pictures beside each other, and one; padded."""
    long = [3, *[_TOKEN] * (2 * each), 5, 11, 2]
    short = [9, 4, *[_TOKEN] * each, 6]
    gap = len(long) - len(short)
    tokens = np.array([long, [0] * gap + short], np.int32)
    positions = np.array(
        [[*range(len(long))], [-1] * gap + [*range(len(short))]],
        np.int32,
    )
    return tokens, positions


def _check_shown(s: Subject, config: ModelConfig, pieces: tuple[int, ...]) -> None:
    """Feed rows with pictures in pieces, and judge the last output of each."""
    dtype: Any = s.dtype
    policy = PrecisionPolicy(params=dtype, compute=dtype, output=dtype)
    model = Model(s.backend, config, policy)
    hosts = s.round(parameters("zoo.pictures", flatten(model.declare())))
    params, pixels = model.pack(hosts), s.round(_SHOWN).astype(np.float32)
    assert config.sight is not None  # noqa: S101 - as they were made above
    tokens, positions = _rows(config.sight.count)
    limit = s.budgets(
        "outputs",
        lambda ar: defined.forward(
            ar,
            config,
            {n: ar.constant(x) for n, x in hosts.items()},
            tokens,
            positions,
            ar.constant(pixels),
        ),
    )[0]
    memory = row_pictures(model, params, np.split(pixels, np.cumsum(_COUNTS)[:-1]))
    state, begin = model.begin(params, len(tokens), 40, memory=memory), 0
    for size in (*pieces, tokens.shape[1] - sum(pieces)):
        end = begin + size
        got, state = model.step(params, tokens[:, begin:end], positions[:, begin:end], state)
        real = positions[:, end - 1] >= 0
        s.judge(f"output of position {end - 1}", got[real], limit.at((real, end - 1)))
        begin = end


@case(level="models", id="pictures.squares", dtypes=("float32",), rows=(33,))
def squares(s: Subject) -> None:
    """Squares of patches become one vector each; they stand in the places of a token, in order."""
    _check_shown(s, _SQUARES, ())


@case(level="models", id="pictures.earlier_layer", dtypes=("float32",), rows=(33,))
def earlier_layer(s: Subject) -> None:
    """Vectors of an earlier layer, without a norm and without the first, fed in pieces."""
    _check_shown(s, _EARLIER, (7,))


@case(level="components", id="pictures.processor", dtypes=("float32",), rows=(34,))
def processor(s: Subject) -> None:
    """The middle is cut out, values are rescaled, and each colour is normalised by its own."""
    mean, std = (0.25, 0.5, 0.125), (0.5, 0.25, 2.0)
    made = PictureProcessor(crop=(4, 3), factor=1 / 255, mean=mean, std=std)
    picture = uniform("pictures.bytes", 7, 6, 3, low=0, high=256).astype(np.uint8)
    cut = picture[1:5, 1:4].astype(np.float64)
    want = np.stack([(cut[..., i] / 255 - mean[i]) / std[i] for i in range(3)])
    s.demand("shape", expected=(3, 4, 3), got=made(picture).shape)
    # the quotient is rounded once before it is shifted, and the result twice
    apart = float(np.abs(made(picture) - want).max())
    limit = _ROUNDED * float(np.spacing(np.float32(1)))
    s.demand(f"differences of {limit:g} at most, got {apart:g}", expected=True, got=apart <= limit)


@case(level="components", id="pictures.margins", dtypes=("float32",), rows=(34,))
def margins(s: Subject) -> None:
    """A picture that is smaller than what is cut out stands in the middle of black margins."""
    picture = uniform("pictures.small", 2, 3, 3, low=1, high=256).astype(np.uint8)
    want = np.zeros((3, 4, 6))
    want[:, 1:3, 2:5] = picture.transpose(2, 0, 1)
    s.demand("values", expected=want.tolist(), got=PictureProcessor(crop=(4, 6))(picture).tolist())
