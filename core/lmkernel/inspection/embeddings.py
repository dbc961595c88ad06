"""Sentence embeddings: one vector for a text, pooled from its last hidden states."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.arguments import is_absent, is_empty, require_count, require_flag, require_known
from lmkernel.errors import InputError, shown
from lmkernel.inspection.inputs import check_ids, refuse_long, single_stack
from lmkernel.inspection.outputs import check_finite, last_hidden_states
from lmkernel.inspection.pair_texts import text_vectors
from lmkernel.inspection.sentence_settings import SentenceSettings, read_sentence_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from lmkernel.language_model import LanguageModel

    Pool = Callable[[NDArray[np.float64], int], NDArray[np.float64]]

__all__ = ["embed", "most_similar", "pool_hidden", "similarities", "unit_vectors"]

POOLINGS: Mapping[str, Pool] = MappingProxyType(
    {
        "mean": lambda hidden, skip: hidden[skip:].mean(0),
        "first": lambda hidden, skip: hidden[skip],
        "last": lambda hidden, _: hidden[-1],
        "max": lambda hidden, skip: hidden[skip:].max(0),
        "mean_sqrt_len_tokens": lambda hidden, skip: (
            hidden[skip:].sum(0) / np.sqrt(len(hidden) - skip)
        ),
        "weightedmean": lambda hidden, skip: np.average(
            hidden[skip:], 0, np.arange(skip, len(hidden)) + 1
        ),
    }
)
"""From the hidden states of a text's tokens, ``(time, width)``, to its vector, ``(width,)``,
without those of so many tokens at its beginning."""
_SHORTEST = 1e-12
"""A shorter vector than this is divided by it, so that zeros stay zeros."""


def embed(
    model: LanguageModel,
    texts: str | Sequence[str],
    pooling: str | None = None,
    normalize: bool | None = None,
    batch: int = 32,
    prompt: str | None = None,
) -> NDArray[np.float32]:
    """One vector for each text, as sentence-transformers makes them (arXiv:1908.10084, §3).

    Args:
        model: with an encoder or a decoder, on any backend.
        texts: tokenised with special tokens. A text that is longer than the folder's
            ``sentence_bert_config.json`` allows, or its like of older names, is truncated.
        pooling: ``"mean"``, ``"first"`` (the token ``[CLS]`` of an encoder), ``"last"``,
            ``"max"``, ``"weightedmean"`` (by the number of the token, from 1) or
            ``"mean_sqrt_len_tokens"`` (the sum over the root of the number of tokens); several are
            put one after the other, as in ``"first+mean"``. By default
            what the model's folder says, else ``"mean"`` for an encoder and ``"last"`` for a
            decoder.
        normalize: whether vectors have length 1; by default what the folder says, else not. A
            folder that keeps the first numbers of each (``truncate_dim``) has them cut after its
            own normalisation.
        batch: how many texts are computed at once.
        prompt: the name of one of the folder's prompts, which is put before each text; by default
            the one that the folder says, if any.

    Returns:
        ``(texts, width)``; ``(width,)`` for a lone text.

    Raises:
        InputError: no text, one without tokens or longer than the context, or a model with an
            encoder and a decoder.
        UnknownNameError: a pooling or a prompt that there is not.
        CheckpointError: the folder's settings are damaged, or ask for what is not done here.
        NotFiniteError: the model's hidden states are NaN or infinite.
    """
    if normalize is not None:
        require_flag("normalize", normalize)
    if isinstance(texts, str):
        [vector] = embed(model, [texts], pooling, normalize, batch, prompt)
        return np.asarray(vector)
    single_stack(model.model.config)
    _check(texts, batch)
    if model.config.pair is not None:
        own = bool(normalize)
        return _embed_beside_pictures(
            model, texts, batch, normalize=own, pooling=pooling, prompt=prompt
        )
    settings = read_sentence_settings(model.files.sentence_folder)
    usual = "last" if model.model.encoder is None else "mean"
    pools = _pools((settings.pooling or usual) if is_absent(pooling) else pooling)
    before = settings.prompt(prompt)
    rows = [_ids(model, before + text, settings) for text in texts]
    skip = 0 if settings.pools_prompt or not before else _prompt_length(model, before, settings)
    if shorter := [text for text, row in zip(texts, rows, strict=True) if len(row) <= skip]:
        raise InputError(f"{shown(shorter[0])}: the prompt leaves no token to pool")
    vectors: list[NDArray[np.float64]] = [np.empty(0)] * len(rows)
    # texts of similar length share a batch, so that little of it is padding
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    for begin in range(0, len(order), batch):
        chosen = order[begin : begin + batch]
        for i, hidden in zip(
            chosen, _hidden_vectors(model, [rows[i] for i in chosen]), strict=True
        ):
            vectors[i] = np.concatenate([pool(hidden, skip) for pool in pools])
    whole = np.stack(vectors)
    for layer in settings.dense:
        whole = layer.apply(whole)
    check_finite(model, whole, "hidden states")
    if settings.normalize and normalize is None:
        whole = unit_vectors(whole)
    # as the folder's own normalisation is a module of the model, what is left of a vector is no
    # longer of length 1, unless that is asked for
    whole = whole[:, : settings.size]
    return (unit_vectors(whole) if normalize else whole).astype(np.float32)


def _embed_beside_pictures(
    model: LanguageModel, texts: Sequence[str], batch: int, *, normalize: bool, **others: str | None
) -> NDArray[np.float32]:
    """Vectors of texts that are compared with those of pictures."""
    for name, value in others.items():
        if value is not None:
            raise InputError(f"{name}: the model has its own, got {shown(value)}")
    whole = text_vectors(model, texts, batch)
    return (unit_vectors(whole) if normalize else whole).astype(np.float32)


def pool_hidden(hidden: NDArray[np.float64], pooling: str) -> NDArray[np.float64]:
    """The vector of hidden states ``(time, width)``; `UnknownNameError` for no such pooling."""
    return np.concatenate([pool(hidden, 0) for pool in _pools(pooling)])


def unit_vectors(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """The same ``(…, width)`` with length 1."""
    lengths = np.linalg.norm(vectors, axis=-1, keepdims=True)
    unit: NDArray[np.float64] = vectors / np.maximum(lengths, _SHORTEST)
    return unit


def _check(texts: object, batch: object) -> None:
    if not isinstance(texts, Sequence) or is_empty(texts):
        raise InputError(f"expected one text or more, got {shown(texts)}")
    for text in texts:
        if not isinstance(text, str):
            raise InputError(f"expected texts, got {shown(text)}")
    require_count("batch", batch)


def _pools(name: object) -> list[Pool]:
    names: list[Any] = name.split("+") if isinstance(name, str) else [name]
    for one in names:
        require_known("pooling", one, POOLINGS)
    return [POOLINGS[one] for one in names]


def _ids(model: LanguageModel, text: str, settings: SentenceSettings) -> list[int]:
    own = text.lower() if settings.lower else text
    if settings.limit is None:
        refuse_long(model, own)
    ids = model.tokenizer.encode(own, limit=settings.limit)
    check_ids(model.model.config, ids)
    return ids


def _prompt_length(model: LanguageModel, prompt: str, settings: SentenceSettings) -> int:
    """How many tokens a prompt is, with the special ones before it."""
    ids = _ids(model, prompt, settings)
    return len(ids) - (ids[-1] in model.tokenizer.special_ids)


def _hidden_vectors(model: LanguageModel, rows: list[list[int]]) -> list[NDArray[np.float64]]:
    """The last hidden states of each row's tokens, ``(time, width)``."""
    own, backend = model.model, model.model.backend
    # a compiled backend gets the few lengths that prompts have
    time = own.slots(max(len(row) for row in rows))
    ids = np.zeros((len(rows), time), np.int32)
    positions = np.full((len(rows), time), -1, np.int32)
    for i, row in enumerate(rows):
        ids[i, : len(row)] = row
        positions[i, : len(row)] = np.arange(len(row))
    with backend.scope(), backend.inference():
        inputs = (backend.ops.asarray(x, "int32") for x in (ids, positions))
        embedded = own.embed(model.params, *inputs)
        hidden: NDArray[Any] = backend.ops.to_numpy(last_hidden_states(own, model.params, embedded))
    return [x[: len(row)].astype(np.float64) for x, row in zip(hidden, rows, strict=True)]


def most_similar(vectors: NDArray[Any], count: int) -> list[list[tuple[int, float]]]:
    """For each vector, the others that are nearest to it by the cosine, the nearest first.

    Args:
        vectors: ``(texts, width)``.
        count: how many for each, at most.

    Returns:
        For each, the numbers of the others from 0, each with its cosine.
    """
    unit = unit_vectors(vectors.astype(np.float64))
    found = []
    for i, vector in enumerate(unit):  # a row at a time: all cosines might not fit in memory
        cosines = unit @ vector
        order = [int(j) for j in np.argsort(-cosines, kind="stable") if j != i]
        found.append([(j, float(cosines[j])) for j in order[:count]])
    return found


def similarities(vector: NDArray[Any], others: NDArray[Any], kind: str) -> NDArray[np.float64]:
    """How similar a vector is to each of others, ``(width,)`` and ``(texts, width)``.

    ``kind`` is a ``similarity_fn_name`` of sentence-transformers: ``"cosine"``, ``"dot"``, or the
    distances ``"euclidean"`` and ``"manhattan"``, negative so that more is nearer.
    """
    one, many = vector.astype(np.float64), others.astype(np.float64)
    if kind in ("euclidean", "manhattan"):
        order = 1 if kind == "manhattan" else 2
        far: NDArray[np.float64] = np.linalg.norm(many - one, ord=order, axis=1)
        return -far
    found: NDArray[np.float64] = many @ one
    if kind == "cosine":
        found /= np.maximum(np.linalg.norm(many, axis=1) * np.linalg.norm(one), _SHORTEST)
    return found
