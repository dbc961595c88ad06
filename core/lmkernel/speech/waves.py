"""What a model of samples is fed: a sound at its rate, with the mean 0 and the variance 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, final

import numpy as np

from lmkernel.checkpoints.json_files import read_object
from lmkernel.errors import CheckpointError, InputError
from lmkernel.files import is_folder

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from lmkernel.config import WaveConfig
    from lmkernel.origin import Origin
    from lmkernel.speech.sound_files import AnySound

__all__ = ["WaveSettings", "feature_document"]

_LEAST = 1e-7
"""Added to the variance, so that silence stays silent."""
_USUAL_RATE, _HIGHEST_RATE = 16000, 1 << 20


@final
@dataclass(frozen=True, kw_only=True)
class WaveSettings:
    """How a model hears.

    Args:
        waves: how it makes vectors of samples.
        rate: samples a second.
        normalized: whether samples are shifted to the mean 0 and scaled to the variance 1.
    """

    waves: WaveConfig
    rate: int = _USUAL_RATE
    normalized: bool = True

    @classmethod
    def of(cls, origin: Origin) -> Self:
        """What a model's files say.

        Raises:
            InputError: a model that reads no samples.
            CheckpointError: settings that make no sense, or ask for what is not supported.
        """
        waves = origin.config.embedding.waves
        if waves is None:
            raise InputError(
                "expected a model that reads samples, such as a Wav2Vec2 model, "
                f"got a {origin.model_type} model"
            )
        document, where = feature_document(origin), f"{origin.where}: preprocessor_config.json"
        for key, only in (("feature_size", 1), ("padding_value", 0)):
            if document.get(key, only) != only:
                raise CheckpointError(f"{where}: {key}: expected {only}, got {document[key]!r:.40}")
        rate = document.get("sampling_rate", _USUAL_RATE)
        if type(rate) is not int or not 0 < rate <= _HIGHEST_RATE:
            raise CheckpointError(
                f"{where}: sampling_rate: expected a rate in Hz, got {rate!r:.40}"
            )
        normalized = document.get("do_normalize", True)
        if type(normalized) is not bool:
            raise CheckpointError(
                f"{where}: do_normalize: expected true or false, got {normalized!r:.40}"
            )
        return cls(waves=waves, rate=rate, normalized=normalized)

    @property
    def step(self) -> float:
        """Seconds from one vector to the next."""
        return self.waves.stride / self.rate

    def samples(self, sound: AnySound) -> NDArray[np.float32]:
        """The samples ``(count,)`` of a sound at any rate, as the model takes them, at once."""
        return np.concatenate([*self.blocks(sound)])

    def blocks(self, sound: AnySound) -> Iterator[NDArray[np.float32]]:
        """The same, some at a time. For its mean and variance, a sound is listened to before."""
        if not self.normalized:
            yield from sound.blocks(self.rate)
            return
        mean, variance = _moments(sound.blocks(self.rate))
        for block in sound.blocks(self.rate):
            normal = (block.astype(np.float64) - mean) / np.sqrt(variance + _LEAST)
            yield normal.astype(np.float32)


def _moments(blocks: Iterable[NDArray[np.float32]]) -> tuple[float, float]:
    """Mean and variance of samples that come in blocks (Chan et al. 1979)."""
    count, mean, variance = 0, 0.0, 0.0
    for block in blocks:
        wide = block.astype(np.float64)
        count += len(wide)
        share, apart = len(wide) / count, float(wide.mean()) - mean
        variance += (float(wide.var()) - variance) * share + apart**2 * share * (1 - share)
        mean += apart * share
    return mean, variance


def feature_document(origin: Origin) -> Mapping[str, Any]:
    """What a model's files say of features: in a file of their own, or in the processor's."""
    folder = origin.own_files.path
    own = origin.own_files.preprocessor
    if own or not is_folder(folder):
        return own
    both = read_object(folder / "processor_config.json", required=False)
    inner = both.get("feature_extractor", both)
    return inner if isinstance(inner, dict) else {}
