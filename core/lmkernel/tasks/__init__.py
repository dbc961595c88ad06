"""Tasks by name: what a model of a kind is asked for, each with its results as JSON lines.

Functions take a loaded model and give host values; `lmkernel.verbs` loads one by its name.
"""

from lmkernel.tasks.answering import Answer, Answers, answer
from lmkernel.tasks.filling import Filling, Fillings, Guess, fill
from lmkernel.tasks.perplexities import Perplexities, Perplexity, perplexity
from lmkernel.tasks.ranking import Ranked, Ranking, Rankings, rerank
from lmkernel.tasks.tagging import Tagged, Tagging, Taggings, tag

__all__ = [
    "Answer",
    "Answers",
    "Filling",
    "Fillings",
    "Guess",
    "Perplexities",
    "Perplexity",
    "Ranked",
    "Ranking",
    "Rankings",
    "Tagged",
    "Tagging",
    "Taggings",
    "answer",
    "fill",
    "perplexity",
    "rerank",
    "tag",
]
