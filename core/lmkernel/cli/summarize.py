"""``lmkernel summarize``: what texts say, in fewer words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.cli.options import read_prompt
from lmkernel.cli.rewriting import Rewrite

if TYPE_CHECKING:
    import argparse

    from lmkernel.language_model import LanguageModel

__all__ = ["Summarize"]


@final
class Summarize(Rewrite):
    """All of standard input as one text, or arguments, or a column of data."""

    what, batch, metrics = "default: all of standard input", 4, "rouge1 rouge2 rougeL"

    def read(self, args: argparse.Namespace) -> list[str]:
        """One text."""
        del args
        return [read_prompt(None, "a text")]

    def rewritten(self, model: LanguageModel, texts: list[str], args: argparse.Namespace) -> Any:
        """Summaries."""
        from lmkernel.rewriting.verbs import summarize

        return summarize(model, texts, **self.shared_keywords(args))
