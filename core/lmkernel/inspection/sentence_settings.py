"""How a folder says that sentences become vectors, in the files of sentence-transformers.

``modules.json`` lists what follows the model (a pooling, maybe dense layers and norms),
``1_Pooling/config.json`` how it pools, ``sentence_bert_config.json`` how long a text may be, and
``config_sentence_transformers.json`` what may be put before a text, how much of a vector is kept,
and what follows the score of a cross-encoder.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import PurePath
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

from lmkernel.arguments import require_known
from lmkernel.checkpoints.json_files import read_list, read_object
from lmkernel.checkpoints.sentence_files import ABOUT, MODULES, TEXTS
from lmkernel.errors import CheckpointError
from lmkernel.files import is_there
from lmkernel.inspection.dense import Dense, Norm, read_dense, read_norm

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

__all__ = ["SentenceSettings", "read_pair_settings", "read_sentence_settings"]

_LAYERS: Mapping[str, Callable[[Path], Dense | Norm]] = MappingProxyType(
    {"Dense": read_dense, "LayerNorm": read_norm}
)
_ORDER = (("Transformer",), ("Pooling",), (*_LAYERS, "Dropout"), ("Normalize",))
"""Of dropout nothing is read: it does nothing when vectors are made."""
_BETWEEN = 2
_POOLINGS: Mapping[str, str] = MappingProxyType(
    {
        "mean": "mean",
        "cls": "first",
        "lasttoken": "last",
        "max": "max",
        "mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
        "weightedmean": "weightedmean",
    }
)
SIMILARITIES = ("cosine", "dot", "euclidean", "manhattan")
_FLAGS: Mapping[str, str] = MappingProxyType(
    {
        "pooling_mode_cls_token": "cls",
        "pooling_mode_max_tokens": "max",
        "pooling_mode_mean_tokens": "mean",
        "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
        "pooling_mode_weightedmean_tokens": "weightedmean",
        "pooling_mode_lasttoken": "lasttoken",
    }
)
"""What older folders say in place of ``pooling_mode``, one flag for each."""


@final
@dataclass(frozen=True)
class SentenceSettings:
    """What a folder says.

    Args:
        pooling: one of `lmkernel.inspection.embeddings.POOLINGS`, or several with a plus sign
            between; None if it does not say.
        normalize: whether vectors have length 1; None if it does not say.
        limit: the largest number of tokens, special ones included; longer texts are truncated.
            None if it does not say.
        dense: dense layers and norms after the pooling, in their order.
        prompts: texts that may be put before a text, by name.
        usual_prompt: the name of the one that is, unless another is asked for; None for none.
        pools_prompt: whether the tokens of a prompt are pooled with those of the text.
        lower: whether texts are put into lower case.
        similarity: how similar two vectors are: one of `SIMILARITIES`.
        size: how many of a vector's numbers are kept, the first ones; None for all.
    """

    pooling: str | None = None
    normalize: bool | None = None
    limit: int | None = None
    dense: tuple[Dense | Norm, ...] = ()
    prompts: Mapping[str, str] = field(default_factory=dict)
    usual_prompt: str | None = None
    pools_prompt: bool = True
    lower: bool = False
    similarity: str = "cosine"
    size: int | None = None

    def prompt(self, name: str | None) -> str:
        """What to put before a text.

        Raises:
            UnknownNameError: there is no prompt of that name.
        """
        wanted = self.usual_prompt if name is None else name
        if wanted is None:
            return ""
        require_known("prompt", wanted, self.prompts)
        return self.prompts[wanted]


@final
@dataclass(frozen=True)
class PairSettings:
    """What a folder says of a cross-encoder.

    Args:
        prompt: what is put before the first text of each pair.
        activation: the name of what follows the score; None if it does not say.
    """

    prompt: str = ""
    activation: Any = None


def read_pair_settings(folder: Path) -> PairSettings:
    """What the file of sentence-transformers in a cross-encoder's folder says.

    Raises:
        CheckpointError: it is damaged.
    """
    about = folder / ABOUT
    if not is_there(about):
        return PairSettings()
    prompts, usual = _prompts(about)
    activation = read_object(about, required=True).get("activation_fn")
    return PairSettings("" if usual is None else prompts[usual], activation)


def read_sentence_settings(folder: Path) -> SentenceSettings:
    """What the files in a model's folder say; nothing where there are none.

    Raises:
        CheckpointError: a file is damaged, or asks for what is not done here.
    """
    if not is_there(folder / MODULES):
        return SentenceSettings()
    modules = _modules(folder / MODULES)
    pooling = dict(modules).get("Pooling")
    about = folder / ABOUT
    prompts, usual = _prompts(about)
    texts = _about_texts(folder)
    return SentenceSettings(
        pooling=None if pooling is None else _pooling(folder / pooling / "config.json"),
        normalize="Normalize" in dict(modules),
        dense=tuple(_LAYERS[name](folder / place) for name, place in modules if name in _LAYERS),
        prompts=prompts,
        usual_prompt=usual,
        pools_prompt=pooling is None or _pools_prompts(folder / pooling / "config.json"),
        limit=_limit(folder, texts),
        lower=read_object(texts, required=False).get("do_lower_case") is True,
        similarity=_similarity(about),
        size=_size(about),
    )


def _modules(path: Path) -> list[tuple[str, str]]:
    """The name of the class of each module and its folder, in their order."""
    modules = [_module(path, entry) for entry in read_list(path)]
    order = -1
    for name, place in modules:
        # a dense layer may follow another; everything else is there once
        now = next((at for at, names in enumerate(_ORDER) if name in names), -1)
        if now < order or (now == order and now != _BETWEEN) or (place == "") != (now == 0):
            raise CheckpointError(
                f"{path}: expected the folder's own Transformer, a Pooling, {', '.join(_LAYERS)} "
                f"or Dropout layers and a Normalize, in this order, got {name!r} in {place!r}"
            )
        order = now
    return modules


def _module(path: Path, entry: object) -> tuple[str, str]:
    kind, place = (entry.get("type"), entry.get("path")) if isinstance(entry, dict) else (0, 0)
    if not isinstance(kind, str) or not isinstance(place, str):
        raise CheckpointError(f"{path}: expected modules with type and path, got {entry!r}")
    beside = PurePath(place)
    if beside.parts and (len(beside.parts) > 1 or beside.name in ("", "..") or "\0" in place):
        raise CheckpointError(f"{path}: expected a folder beside this file, got {place!r}")
    return kind.rpartition(".")[2], place


def _pooling(path: Path) -> str:
    config = read_object(path, required=True)
    mode: Any = config.get("pooling_mode")
    if mode is None:
        flags = [mode for flag, mode in _FLAGS.items() if config.get(flag)]
        mode = flags or "mean"
    modes = mode if isinstance(mode, list) and mode else [mode]
    for one in modes:
        if not isinstance(one, str) or one not in _POOLINGS:
            raise CheckpointError(f"{path}: expected one of {', '.join(_POOLINGS)}, got {one!r}")
    return "+".join(_POOLINGS[one] for one in modes)


def _about_texts(folder: Path) -> Path:
    """The file that says how texts are read, whether or not it is there."""
    paths = [folder / name for name in TEXTS]
    return next((path for path in paths if read_object(path, required=False)), paths[0])


def _limit(folder: Path, path: Path) -> int | None:
    """The most tokens of a text: older folders say so in a file, newer ones by the tokenizer."""
    limit = read_object(path, required=False).get("max_seq_length")
    if limit is not None and (type(limit) is not int or limit < 1):
        raise CheckpointError(f"{path}: max_seq_length: expected 1 or more, got {limit!r}")
    if limit is not None:
        return limit
    most = read_object(folder / "tokenizer_config.json", required=False).get("model_max_length")
    rows = read_object(folder / "config.json", required=False).get("max_position_embeddings")
    found = [n for n in (most, rows) if type(n) is int and n > 0]
    return min(found) if type(most) is int and most > 0 else None


def _prompts(path: Path) -> tuple[dict[str, str], str | None]:
    """The prompts by name, and the name of the usual one."""
    config = read_object(path, required=False)
    prompts, usual = config.get("prompts") or {}, config.get("default_prompt_name")
    texts = isinstance(prompts, dict) and all(isinstance(text, str) for text in prompts.values())
    if not texts:
        raise CheckpointError(f"{path}: prompts: expected texts by name, got {prompts!r:.80}")
    if not isinstance(usual, str | None) or (usual is not None and usual not in prompts):
        expected = f"one of {', '.join(prompts) or 'no prompts'}"
        raise CheckpointError(f"{path}: default_prompt_name: expected {expected}, got {usual!r}")
    return prompts, usual


def _similarity(path: Path) -> str:
    name = read_object(path, required=False).get("similarity_fn_name") or SIMILARITIES[0]
    if name not in SIMILARITIES:
        expected = f"one of {', '.join(SIMILARITIES)}"
        raise CheckpointError(f"{path}: similarity_fn_name: expected {expected}, got {name!r}")
    return str(name)


def _size(path: Path) -> int | None:
    size = read_object(path, required=False).get("truncate_dim")
    if size is not None and (type(size) is not int or size < 1):
        raise CheckpointError(f"{path}: truncate_dim: expected 1 or more, got {size!r}")
    return size


def _pools_prompts(path: Path) -> bool:
    return read_object(path, required=True).get("include_prompt") is not False
