"""Sounds: features, convolutions in time, and what may be written of them when."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.components.frames import FrameEmbedding
from lmkernel.components.waves import WaveEmbedding
from lmkernel.config import EmbeddingConfig, NormConfig, WaveConfig
from lmkernel.parameters import flatten, nest
from lmkernel.speech import chunks, segments, spelling
from lmkernel.speech import features as heard
from lmkernel.speech.features import FeatureSettings
from lmkernel.speech.hearing import compression_ratio
from lmkernel.speech.options import SpeechOptions
from lmkernel.speech.rules import SpeechRules
from lmkernel.speech.segments import Part, Window
from lmkernel.speech.spelling import Spelt
from lmkernel.speech.vocabulary import SpeechTokens
from lmkernel_conformance.cases.case import case
from lmkernel_conformance.cases.trial import Trial, trial
from lmkernel_conformance.definitions import sounds as defined
from lmkernel_conformance.inputs import normal, parameters

if TYPE_CHECKING:
    from lmkernel.interfaces import Embedded
    from lmkernel_conformance.subject import Subject

Host = Any

_LAYER = NormConfig(kind="layer", eps=1e-3)
_HEARD = np.array([[0, 1, 2, 3, 4, 5, 6], [0, 1, 2, 3, -1, -1, -1]])
"""Positions of seven frames, of which the second row has four."""


def _embedding(config: EmbeddingConfig, inputs: Host, positions: Host, own: Host) -> Trial:
    """A trial of an embedding of sounds; ``own`` are the positions that it is to give."""
    own_kind: Any = FrameEmbedding if config.kind == "frames" else WaveEmbedding
    declared = flatten(own_kind(None, config).declare())  # without a backend: sizes alone

    def native(s: Subject, t: dict[str, Any]) -> Any:
        component = s.factory.create("embedding", config)
        params = nest(component.declare(), {n: x for n, x in t.items() if n != "inputs"})
        got: Embedded = component(params, t["inputs"], s.array(positions))
        s.equal("positions", got.positions, own, "int32")
        return got.hidden

    def formula(ar: Any, t: dict[str, Host]) -> Host:
        named = {f"own.{name}": x for name, x in t.items()}
        if config.kind == "frames":
            return defined.frames(ar, t["inputs"], named, "own")
        return defined.waves(ar, t["inputs"], own >= 0, named, "own", config)

    hosts = parameters(f"sounds.{config.kind}", declared)
    return Trial(inputs={**hosts, "inputs": inputs}, native=native, formula=formula)


@trial(id="embedding.frames", level="components", rows=(37,))
def frames() -> Trial:
    """Each vector sees three pairs of frames around it; a padded row, and an odd number."""
    config = EmbeddingConfig(kind="frames", width=6, context=9, options={"bins": 5})
    own = np.array([[0, 1, 2, 3], [0, 1, -1, -1]])
    return _embedding(config, normal("sounds.frames", 2, 7, 5), _HEARD, own)


def _waves(norm: str, kernel: int, **more: Any) -> Trial:
    waves = WaveConfig(
        widths=(4, 6),
        kernels=(5, 2),
        strides=(3, 2),
        norm=norm,
        bias=norm == "layer",
        position_kernel=kernel,
        position_groups=2,
        **more,
    )
    config = EmbeddingConfig(kind="waves", width=8, waves=waves, norm=_LAYER)
    positions = np.array([[*range(29)], [*range(20), *[-1] * 9]])
    own = np.array([[0, 1, 2, 3], [0, 1, 2, -1]])
    return _embedding(config, normal("sounds.waves", 2, 29, 1), positions, own)


@trial(id="embedding.waves", level="components", rows=(37,))
def waves_layer() -> Trial:
    """Each vector normalised, an odd kernel of positions; the second row is padded."""
    return _waves("layer", 3, projected_norm=_LAYER)


@trial(id="embedding.waves.over_time", level="components", rows=(37,))
def waves_group() -> Trial:
    """The first convolution normalised over time, an even kernel of positions."""
    return _waves("group", 4)


_SETTINGS = FeatureSettings(bins=11, rate=16000, hop=40, window=100, seconds=1)
"""As Whisper's, with a quarter of the window."""


def _sound(count: int) -> Host:
    """A loud low tone, a quieter high one, and a click, -1 to 1."""
    t = np.arange(count) / _SETTINGS.rate
    tones = 0.6 * np.sin(2 * np.pi * 310 * t) + 0.05 * np.sin(2 * np.pi * 5150 * t)
    return (tones + 0.3 * (np.arange(count) == count // 2)).astype(np.float32)


def _heard(s: Subject, what: str, got: Host, samples: Host, bins: int) -> None:
    """Demand the features of samples."""
    own = _SETTINGS
    want = defined.features(
        samples.astype(np.float64), bins=bins, window=own.window, hop=own.hop, rate=own.rate
    )
    s.demand(f"{what}: shape", expected=want.shape, got=got.shape)
    # logarithms, sums and quotients are rounded to float32 once each, below 4
    apart = float(np.abs(got - want).max() / np.spacing(np.float32(4)))
    s.demand(f"{what}: within 4 units in the last place of 4", expected=True, got=apart <= 4)  # noqa: PLR2004


@case(level="components", id="sounds.features", dtypes=("float32",), rows=(35, 36))
def features(s: Subject) -> None:
    """Energies by mel bands: mirrored ends, Slaney's triangles, a frame for each whole hop."""
    for count in (379, 1600):
        for bins in (11, 16):
            own = FeatureSettings(
                bins=bins,
                rate=_SETTINGS.rate,
                hop=_SETTINGS.hop,
                window=_SETTINGS.window,
                seconds=1,
            )
            samples = _sound(count)
            _heard(s, f"{count} samples, {bins} bins", heard.log_mel(samples, own), samples, bins)


@case(level="components", id="sounds.window", dtypes=("float32",), rows=(35, 36))
def window(s: Subject) -> None:
    """A sound is padded to a window, not by one, and what is longer is cut."""
    for count in (900, 16000, 16500):
        samples = np.zeros(16000, np.float32)
        samples[:count] = _sound(count)[:16000]
        _heard(s, f"{count} samples", heard.one_window(_sound(count), _SETTINGS), samples, 11)


_END, _TIMES, _VOCAB = 10, 16, 26
_TOKENS = SpeechTokens(
    start=11,
    ends=frozenset({_END}),
    languages={"de": 12, "en": 13},
    tasks={"transcribe": 14, "translate": 9},
    no_timestamps=_TIMES - 1,
    previous=8,
    suppressed=(3, 11),
    first_suppressed=(4, _END),
    latest_first=5,
)


def _allowed(answer: list[int], *, timestamps: bool, likely: int = 1) -> list[int]:
    """What may be written after an answer, where one token is much likelier than all others."""
    scores = np.linspace(0, 0.01, _VOCAB)
    scores[likely] = 9
    changed = SpeechRules(_TOKENS, timestamps=timestamps)(scores, answer)
    return [int(t) for t in np.flatnonzero(np.isfinite(changed))]


def _but(*absent: int, upto: int = _VOCAB) -> list[int]:
    return [t for t in range(upto) if t not in absent]


@case(level="generation", id="sounds.suppressed", dtypes=("float32",), rows=(38,))
def suppressed(s: Subject) -> None:
    """Noise is never written, and what may not begin a text may follow."""
    first = _allowed([], timestamps=False)
    s.demand("first", expected=_but(3, 4, _END, 11), got=first)
    s.demand("later", expected=_but(3, 11), got=_allowed([1], timestamps=False))


@case(level="generation", id="sounds.timestamps", dtypes=("float32",), rows=(38,))
def timestamps(s: Subject) -> None:
    """Times come in pairs, never go back, and begin a text; they are written where likelier."""
    texts, begun = _but(3, 11, upto=_TIMES - 1), _TIMES + 2
    wanted: list[tuple[str, list[int], int, list[int]]] = [
        ("first, an early time", [], 1, [*range(_TIMES, _TIMES + 6)]),
        ("a text after a time", [begun], 1, texts),
        ("a later time after a text", [begun, 1], 1, [*texts, *range(begun + 1, _VOCAB)]),
        (
            "the next part begins no earlier, or nothing follows",
            [begun, 1, begun + 3],
            _END,
            [t for t in texts if t >= _END] + [*range(begun + 3, _VOCAB)],
        ),
        ("a text after a pair", [begun, 1, begun + 3, begun + 3], 1, texts),
    ]
    for what, answer, likely, expected in wanted:
        s.demand(what, expected=expected, got=_allowed(answer, timestamps=True, likely=likely))
    # six times of which each is less likely than the text, and which together are likelier
    scores = np.full(_VOCAB, -9.0)
    scores[1], scores[_VOCAB - 6 :] = 1.0, 0.0
    together = SpeechRules(_TOKENS, timestamps=True)(scores, [begun, 1])
    written = [int(t) for t in np.flatnonzero(together > scores.min())]
    s.demand("times together", expected=[*range(_VOCAB - 6, _VOCAB)], got=written)


@case(level="generation", id="sounds.prefix", dtypes=("float32",), rows=(38,))
def prefix(s: Subject) -> None:
    """A transcript begins with the language, the task, and that there are no times."""
    german = _TOKENS.prefix("de", "translate", timestamps=False)
    s.demand("without times", expected=[11, 12, 9, 15], got=german)
    english = _TOKENS.prefix("en", "transcribe", timestamps=True)
    s.demand("with times", expected=[11, 13, 14], got=english)


@case(level="generation", id="sounds.long", dtypes=("float32",), rows=(39,))
def long_sounds(s: Subject) -> None:
    """The next window begins where a part is unfinished; equal tokens of two are said once."""
    t = _TIMES
    unfinished = [t, 1, 2, t + 2, t + 2, 3, t + 4, t + 4, 5]
    parts, later = segments.window_parts(unfinished, t, Window(60, 40))
    want = [Part(30, 32, (t, 1, 2, t + 2)), Part(32, 34, (t + 2, 3, t + 4, t + 4))]
    s.demand("parts", expected=want, got=parts)
    s.demand("the next window begins later by frames", expected=8, got=later)
    parts, later = segments.window_parts([t + 1, 1, t + 2, t + 2, 3, t + 5], t, Window(60, 40))
    want = [Part(31, 32, (t + 1, 1, t + 2)), Part(32, 35, (t + 2, 3, t + 5))]
    s.demand("parts, of which the last is whole", expected=want, got=parts)
    s.demand("nothing was spoken after it, in frames", expected=40, got=later)
    said = chunks.joined_tokens([[1, 2, 3, 4, 5, 9], [8, 4, 5, 6, 7]])
    s.demand("windows that overlap", expected=[1, 2, 3, 4, 5, 6, 7], got=said)


@case(level="generation", id="sounds.silence", dtypes=("float32",), rows=(39,))
def silence(s: Subject) -> None:
    """Nothing is spoken where a text is unlikely and silence is not; repetitions are no text."""
    own = SpeechOptions(least_log_prob=-1.0, most_silent=0.6, most_repetitive=1.35)
    asked = [(-1.5, 0.7), (-0.5, 0.7), (-1.5, 0.5), (-1.0, 0.9)]
    got = [own.is_silent(*one) for one in asked]
    s.demand("silent", expected=[True, False, False, False], got=got)
    repeated = compression_ratio([5, 6] * 40, 400)
    varied = compression_ratio([(i * i * 7) % 397 for i in range(80)], 400)
    s.demand("repetitive", expected=True, got=own.is_repetitive(repeated))
    s.demand("not repetitive", expected=False, got=own.is_repetitive(varied))
    s.demand("likely", expected=[True, False], got=[own.is_likely(x) for x in (-1.0, -1.01)])


@case(level="generation", id="sounds.best_path", dtypes=("float32",), rows=(38,))
def path(s: Subject) -> None:
    """Repeated letters are one, but with a blank between them; blanks are none."""
    said = [0, 2, 2, 0, 2, 1, 1, 0, 0, 3]
    got = spelling.best_path(np.eye(4)[said], 0)
    want = [Spelt(2, 1, 3), Spelt(2, 4, 5), Spelt(1, 5, 7), Spelt(3, 9, 10)]
    s.demand("the path", expected=want, got=got)
