"""Layers after a model's last one, which predict further tokens (arXiv:2412.19437, §2.2)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from lmkernel.families.gated import decoder_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from lmkernel.config import ModelConfig
    from lmkernel.families.family import Family
    from lmkernel.families.hf_config import HfConfig

__all__ = ["further_layers"]

_KEY, _USUAL = "num_nextn_predict_layers", 1
_LAYER = re.compile(r"(?:model\.)?layers\.(\d{1,9})\.")


def further_layers(
    family: Family, described: HfConfig, config: ModelConfig, names: Iterable[str]
) -> tuple[str, ...]:
    """Patterns of the tensors of such layers, which nothing here computes with.

    They are as many as ``num_nextn_predict_layers`` says, in families that have this key; one
    where a file does not say.

    Args:
        family: the model's.
        described: the content of its ``config.json``.
        config: the same, as it is read here.
        names: those of the checkpoint's tensors.
    """
    if family.keys is None or _KEY not in family.keys.read:
        return ()
    first = decoder_of(config).layers
    end = first + family.keys.complete(described).whole(_KEY, _USUAL, least=0)
    found = filter(None, map(_LAYER.match, names))
    return tuple(sorted({f"{one[0]}*" for one in found if first <= int(one[1]) < end}))
