"""Sources of models, and the folder of this machine that keeps what was pulled from them."""

from lmkernel.progress import Progress
from lmkernel.sources.home import home
from lmkernel.sources.resolve import find_model, known_models, pull
from lmkernel.sources.source import Source

__all__ = ["Progress", "Source", "find_model", "home", "known_models", "pull"]
