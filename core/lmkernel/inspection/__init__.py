"""Looking inside a model: what it computes on the way, and what it makes of a text.

Functions take a loaded model and give host arrays; they enter the backend's scope by themselves.
"""

from lmkernel.inspection.attention import attention_weights
from lmkernel.inspection.classification import Classification, Classifications, classify
from lmkernel.inspection.embeddings import embed
from lmkernel.inspection.hidden import hidden_states
from lmkernel.inspection.inputs import TokenRows, token_rows
from lmkernel.inspection.outputs import logits
from lmkernel.inspection.picture_classes import PictureClass, PictureClasses, classify_pictures
from lmkernel.inspection.pictures import embed_pictures
from lmkernel.inspection.run import Activation, activations
from lmkernel.inspection.scoring import LogProbs, log_probs

__all__ = [
    "Activation",
    "Classification",
    "Classifications",
    "LogProbs",
    "PictureClass",
    "PictureClasses",
    "TokenRows",
    "activations",
    "attention_weights",
    "classify",
    "classify_pictures",
    "embed",
    "embed_pictures",
    "hidden_states",
    "log_probs",
    "logits",
    "token_rows",
]
