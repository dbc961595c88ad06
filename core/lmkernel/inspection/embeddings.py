"""Sentence embeddings: one vector for a text, pooled from its last hidden states."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lmkernel.errors import InputError, UnknownNameError
from lmkernel.inspection.inputs import check_ids, single_stack
from lmkernel.inspection.outputs import check_finite, last_hidden_states
from lmkernel.inspection.sentence_settings import read_sentence_settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from lmkernel.language_model import LanguageModel

    Pool = Callable[[NDArray[np.float64]], NDArray[np.float64]]

__all__ = ["embed", "most_similar"]

POOLINGS: Mapping[str, Pool] = MappingProxyType(
    {
        "mean": lambda hidden: hidden.mean(0),
        "first": lambda hidden: hidden[0],
        "last": lambda hidden: hidden[-1],
        "max": lambda hidden: hidden.max(0),
        "mean_sqrt_len_tokens": lambda hidden: hidden.sum(0) / np.sqrt(len(hidden)),
        "weightedmean": lambda hidden: np.average(hidden, 0, np.arange(len(hidden)) + 1),
    }
)
"""From the hidden states of a text's tokens, ``(time, width)``, to its vector, ``(width,)``."""
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
            ``sentence_bert_config.json`` allows is truncated.
        pooling: ``"mean"``, ``"first"`` (the token ``[CLS]`` of an encoder), ``"last"``,
            ``"max"``, ``"weightedmean"`` (by the number of the token, from 1) or
            ``"mean_sqrt_len_tokens"`` (the sum over the root of the number of tokens). By default
            what the model's folder says, else ``"mean"`` for an encoder and ``"last"`` for a
            decoder.
        normalize: whether vectors have length 1; by default what the folder says, else not.
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
    if isinstance(texts, str):
        [vector] = embed(model, [texts], pooling, normalize, batch, prompt)
        return np.asarray(vector)
    single_stack(model.model.config)
    _check(texts, batch)
    settings = read_sentence_settings(model.files.path)
    usual = "last" if model.model.encoder is None else "mean"
    pool = _pool(pooling or settings.pooling or usual)
    before = settings.prompt(prompt)
    rows = [_ids(model, before + text, settings.limit) for text in texts]
    vectors: list[NDArray[np.float64]] = [np.empty(0)] * len(rows)
    # texts of similar length share a batch, so that little of it is padding
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    for begin in range(0, len(order), batch):
        chosen = order[begin : begin + batch]
        for i, hidden in zip(
            chosen, _hidden_vectors(model, [rows[i] for i in chosen]), strict=True
        ):
            vectors[i] = pool(hidden)
    whole = np.stack(vectors)
    for layer in settings.dense:
        whole = layer.apply(whole)
    check_finite(model, whole, "hidden states")
    if settings.normalize if normalize is None else normalize:
        whole /= np.maximum(np.linalg.norm(whole, axis=1, keepdims=True), _SHORTEST)
    return whole.astype(np.float32)


def _check(texts: object, batch: object) -> None:
    if not isinstance(texts, Sequence) or not len(texts):
        raise InputError(f"expected one text or more, got {texts!r:.60}")
    if not isinstance(batch, int) or batch < 1:
        raise InputError(f"expected batches of 1 or more, got {batch!r:.60}")


def _pool(name: object) -> Pool:
    if not isinstance(name, str) or name not in POOLINGS:
        raise UnknownNameError("pooling", str(name), POOLINGS)
    return POOLINGS[name]


def _ids(model: LanguageModel, text: str, limit: int | None) -> list[int]:
    ids = model.tokenizer.encode(text, limit=limit)
    check_ids(model.model.config, ids)
    return ids


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
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    unit = vectors / np.maximum(lengths, _SHORTEST)
    found = []
    for i, vector in enumerate(unit):  # a row at a time: all cosines might not fit in memory
        cosines = unit @ vector
        order = [int(j) for j in np.argsort(-cosines, kind="stable") if j != i]
        found.append([(j, float(cosines[j])) for j in order[:count]])
    return found
