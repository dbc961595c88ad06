"""The model: input → embedding → encoder → decoder → output, on one backend."""

from lmkernel.model.model import Model
from lmkernel.model.state import DecodingState

__all__ = ["DecodingState", "Model"]
