"""``lmkernel translate``: texts in another language."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from lmkernel.cli.options import read_items
from lmkernel.cli.rewriting import Rewrite

if TYPE_CHECKING:
    import argparse

    from lmkernel.language_model import LanguageModel

__all__ = ["Translate"]


@final
class Translate(Rewrite):
    """Lines of standard input, or arguments, or a column of data."""

    what, batch, metrics = "default: standard input, a text a line", 16, "bleu chrf"

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """And the languages."""
        parser.add_argument("--from", dest="source", metavar="LANGUAGE", help="as the model has it")
        parser.add_argument("--to", dest="target", metavar="LANGUAGE", help="the same")
        super().configure(parser)

    def read(self, args: argparse.Namespace) -> list[str]:
        """A text a line."""
        del args
        return read_items()

    def rewritten(self, model: LanguageModel, texts: list[str], args: argparse.Namespace) -> Any:
        """Translations."""
        from lmkernel.rewriting.verbs import translate

        languages = {"source": args.source, "target": args.target}
        return translate(model, texts, **languages, **self.shared_keywords(args))
