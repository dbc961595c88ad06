"""Documents in the order of how well they fit a query: by a cross-encoder, or by vectors."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.arguments import require_count, require_flag
from lmkernel.errors import CheckpointError, InputError, shown
from lmkernel.inspection.embeddings import embed, similarities
from lmkernel.inspection.sentence_rows import forward_rows, in_batches, probabilities, text_row
from lmkernel.inspection.sentence_settings import read_pair_settings, read_sentence_settings
from lmkernel.results import Line, Lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from lmkernel.language_model import LanguageModel

    Query = tuple[str, Sequence[str]]

__all__ = ["Ranked", "Ranking", "Rankings", "rerank"]

_PAIR = 2
_DOCUMENTS = ("document", "passage", "corpus")
"""The names under which a folder has a prompt for documents, as sentence-transformers looks."""
_SIGMOID = "torch.nn.modules.activation.Sigmoid"
_ACTIVATIONS: Mapping[str, bool] = MappingProxyType(
    {
        _SIGMOID: True,
        "torch.nn.Sigmoid": True,
        "torch.nn.modules.linear.Identity": False,
        "torch.nn.Identity": False,
    }
)
"""The names of what may follow a score, and whether that makes a probability of it."""


@final
@dataclass(frozen=True)
class Ranked:
    """A document in its place.

    Args:
        index: its number among those given, from 0.
        text: the document.
        score: how well it fits.
    """

    index: int
    text: str
    score: float

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {**vars(self), "score": round(self.score, 6)}


@final
@dataclass(frozen=True)
class Ranking(Line):
    """Documents in their order.

    Args:
        query: what they are ranked for.
        ranked: the best first.
    """

    query: str
    ranked: tuple[Ranked, ...]

    def json(self) -> dict[str, Any]:
        """The same as plain values."""
        return {"query": self.query, "ranked": [one.json() for one in self.ranked]}

    def cells(self) -> dict[str, str]:
        """Its row in a table."""
        best = self.ranked[0]
        return {"BEST": best.text, "SCORE": f"{best.score:.4f}", "QUERY": self.query}


@final
class Rankings(Lines[Ranking]):
    """Documents in their order for several queries."""


def rerank(
    model: LanguageModel,
    queries: Query | Sequence[Query],
    *,
    top: int | None = None,
    batch: int = 32,
    truncate: bool = False,
) -> Ranking | Rankings:
    """The documents of each query, the best first.

    A cross-encoder, which has one output for a pair of texts, reads query and document together;
    its score is a probability, unless its own files say that no sigmoid follows, and they may put a
    prompt before each query. Any other model makes a vector of each, by the prompts that its folder
    has for queries and documents, and the score is their similarity as the folder says, by default
    the cosine.

    Args:
        model: on any backend.
        queries: a query and its documents as a tuple, or several.
        top: only so many of the best.
        batch: how many are computed at once.
        truncate: cut pairs that are longer than the tokenizer says (``model_max_length``), or than
            the context, the longer text first. Where vectors are made, the folder says where texts
            are cut.

    Raises:
        InputError: no query, one without documents or too long, or a model that tells more than one
            class apart.
    """
    require_flag("truncate", truncate)
    lone = isinstance(queries, tuple) and len(queries) == _PAIR and isinstance(queries[0], str)
    if top is not None:
        require_count("top", top)
    head = model.config.head
    together = head is not None and head.pooling != "none" and head.activation == "none"
    if head is not None and together and head.size != 1:
        raise InputError(
            f"{model.origin.where}: expected a cross-encoder with one score, got a model of "
            f"{head.size} classes"
        )
    found = []
    for query, documents in _pairs([queries] if lone else queries):
        if together:
            plain, scores = _pair_scores(model, query, documents, batch, truncate=truncate)
        else:
            plain = scores = _vector_scores(model, query, documents, batch)
        order = [int(i) for i in np.argsort(-plain, kind="stable")[:top]]
        ranked = tuple(Ranked(i, documents[i], float(scores[i])) for i in order)
        found.append(Ranking(query, ranked))
    return found[0] if lone else Rankings(found)


def _pairs(queries: Any) -> list[tuple[str, list[str]]]:
    [every] = in_batches(queries, 1 << 60, "query") if not isinstance(queries, str) else [[queries]]
    found = []
    for one in every:
        pair = isinstance(one, tuple) and len(one) == _PAIR and not isinstance(one[1], str)
        documents = list(one[1]) if pair and hasattr(one[1], "__iter__") else []
        if not documents or not all(isinstance(text, str) for text in (one[0], *documents)):
            raise InputError(f"expected a query and its documents as a tuple, got {shown(one)}")
        found.append((one[0], documents))
    return found


def _pair_scores(
    model: LanguageModel, query: str, documents: Sequence[str], batch: int, *, truncate: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """What the documents are sorted by, and their scores, of which several may round to 1."""
    settings = read_pair_settings(model.files.sentence_folder)
    bounded, asked = _is_bounded(model, settings.activation), settings.prompt + query
    logits = [
        forward_rows(model, [text_row(model, (asked, text), truncate=truncate) for text in several])
        for several in in_batches(documents, batch, "document")
    ]
    whole = np.concatenate(logits)[:, 0]
    return whole, probabilities(whole, each=True) if bounded else whole


def _is_bounded(model: LanguageModel, activation: Any) -> bool:
    """Whether a sigmoid follows, as in sentence-transformers where nothing is said.

    Args:
        model: a cross-encoder.
        activation: what newer folders name beside ``config.json``, which goes before what that
            says; or None.
    """
    values: Mapping[str, Any] = model.origin.described.values
    said = values.get("sentence_transformers")
    own = said.get("activation_fn") if isinstance(said, dict) else None
    older = values.get("sbert_ce_default_activation_function")
    name = activation or own or older or _SIGMOID
    if not isinstance(name, str) or name not in _ACTIVATIONS:
        raise CheckpointError(
            f"{model.origin.where}: activation_fn: expected Sigmoid or Identity of torch, "
            f"got {shown(name)}"
        )
    return _ACTIVATIONS[name]


def _vector_scores(
    model: LanguageModel, query: str, documents: Sequence[str], batch: int
) -> NDArray[np.float64]:
    settings = read_sentence_settings(model.files.sentence_folder)
    asked = "query" if "query" in settings.prompts else None
    read = next((name for name in _DOCUMENTS if name in settings.prompts), None)
    vector = embed(model, query, batch=batch, prompt=asked)
    return similarities(
        vector, embed(model, documents, batch=batch, prompt=read), settings.similarity
    )
