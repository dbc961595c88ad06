"""``lmkernel embed``: a vector for each text or picture, or those that are nearest to each."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from lmkernel.arguments import require_count
from lmkernel.atomic import require_writable
from lmkernel.cli.command import Command
from lmkernel.cli.options import add_loading_options, load
from lmkernel.cli.screen import note
from lmkernel.cli.texts import add_text_arguments, batches, read_texts, results
from lmkernel.errors import InputError
from lmkernel.files import is_file
from lmkernel.paths import user_path

if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import NDArray

    from lmkernel.language_model import LanguageModel

__all__ = ["Embed"]

_FILES = (".npy", ".npz")
_NEAREST = 5


@final
class Embed(Command):
    """A JSON object a text or picture, as they are computed; or all vectors in a file of NumPy."""

    def configure(self, parser: argparse.ArgumentParser) -> None:
        """The model, the texts, and what becomes of the vectors."""
        parser.add_argument("model", metavar="MODEL", help="a name, a folder or a GGUF file")
        add_text_arguments(parser)
        parser.add_argument(
            "--pictures",
            action="store_true",
            help="the texts are files of pictures, for a model of both (CLIP, SigLIP)",
        )
        parser.add_argument(
            "--pooling",
            metavar="NAME",
            help="mean, first, last, max, …; default: what the model's folder says",
        )
        parser.add_argument(
            "--prompt", metavar="NAME", help="one of the folder's prompts, put before each text"
        )
        parser.add_argument("--normalize", action="store_true", default=None, help="to length 1")
        parser.add_argument(
            "--out",
            metavar="FILE",
            help=".npy: the vectors, a row a text; .npz: `vectors` and `texts`, or `pictures`",
        )
        parser.add_argument(
            "--similar",
            type=int,
            nargs="?",
            const=_NEAREST,
            metavar="N",
            help=f"print the N others that are nearest to each text instead; default {_NEAREST}",
        )
        add_loading_options(parser)

    def run(self, args: argparse.Namespace) -> int:
        """Embed."""
        import numpy as np

        _check(args)
        out = None if args.out is None else user_path(args.out)
        if out is not None:
            require_writable(out, InputError)
        texts, model = read_texts(args), load(args)
        what = _what(model, args)
        _note_files(model, args.texts if what == "text" else [])

        def find(some: list[Any]) -> tuple[list[Any], NDArray[np.float32]]:
            return some, _vectors(model, some, args)

        if out is None and args.similar is None:
            for several in batches(texts, args.batch):
                for some, vectors in results(several, find):
                    _print_vectors(some, vectors, what)
            return 0
        found = list(results(list(texts), find)) or [find([])]
        every = [text for some, _ in found for text in some]
        vectors = np.concatenate([vectors for _, vectors in found])
        if out is not None:
            _write(out, every, vectors, what)
        if args.similar is not None:
            _print_similar(every, vectors, args.similar, what)
        return 0


def _check(args: argparse.Namespace) -> None:
    if args.out is not None and Path(args.out).suffix not in _FILES:
        raise InputError(f"--out: expected a name that ends in .npy or .npz, got {args.out!r}")
    if args.similar is not None:
        require_count("--similar", args.similar)
    if args.truncate:
        raise InputError("--truncate: the model's folder says where longer texts are cut")


def _what(model: LanguageModel, args: argparse.Namespace) -> str:
    """Whether the texts are texts, or files of pictures."""
    from lmkernel.inspection.pictures import reads_pictures

    readable = reads_pictures(model)
    if args.pictures and not readable:
        raise InputError("--pictures: expected a model that reads pictures, got one of texts alone")
    found = "picture" if readable and (args.pictures or model.config.pair is None) else "text"
    if found == "picture" and args.prompt is not None:
        raise InputError("--prompt: expected none before pictures")
    return found


def _note_files(model: LanguageModel, texts: Sequence[str]) -> None:
    """Say so where a model of both is given a file's name as a text."""
    from lmkernel.inspection.pictures import reads_pictures

    named = next((text for text in texts if is_file(Path(text))), None)
    if named is not None and reads_pictures(model):
        note(f"{named}: taken as a text; with --pictures, the picture in this file is embedded")


def _vectors(
    model: LanguageModel, texts: Sequence[Any], args: argparse.Namespace
) -> NDArray[np.float32]:
    from lmkernel.inspection import embed

    if any(not isinstance(text, str) for text in texts):
        raise InputError("expected lone texts to embed, got pairs: leave the column second out")
    if _what(model, args) == "picture":
        own = bool(args.normalize)
        return model.embed_pictures(list(texts), args.pooling, normalize=own, batch=args.batch)
    return embed(
        model,
        texts,
        args.pooling,
        normalize=args.normalize,
        batch=args.batch,
        prompt=args.prompt,
    )


def _print_vectors(texts: Sequence[str], vectors: NDArray[np.float32], what: str) -> None:
    for text, vector in zip(texts, vectors, strict=True):
        # nine digits tell any two float32 apart
        numbers = [float(f"{number:.9g}") for number in vector]
        print(json.dumps({what: text, "vector": numbers}))
    sys.stdout.flush()


def _print_similar(
    texts: Sequence[str], vectors: NDArray[np.float32], count: int, what: str
) -> None:
    from lmkernel.inspection.embeddings import most_similar

    for text, near in zip(texts, most_similar(vectors, count), strict=True):
        found = [{what: texts[i], "score": round(score, 6)} for i, score in near]
        print(json.dumps({what: text, "similar": found}))


def _write(path: Path, texts: Sequence[str], vectors: NDArray[np.float32], what: str) -> None:
    import io

    import numpy as np

    from lmkernel.atomic import write_whole

    made = io.BytesIO()
    if path.suffix == ".npy":
        np.save(made, vectors)
    else:
        named: dict[str, Any] = {f"{what}s": np.array(texts)}
        np.savez(made, vectors=vectors, **named)
    write_whole(path, made.getvalue(), InputError)
