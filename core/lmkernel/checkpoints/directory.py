"""Models on disk: a Hugging Face directory, read and written, or a GGUF file, read.

Both come as `ModelFiles`, in Hugging Face's vocabulary: a configuration, tensors, a tokenizer.
Opening reads headers and small JSON files only; a directory that is written appears whole.
"""

from __future__ import annotations

import functools
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from lmkernel.atomic import new_directory
from lmkernel.checkpoints.adapter import AdaptedTensors
from lmkernel.checkpoints.adapter_files import ADAPTER_CONFIG, ADAPTER_TENSORS, AdapterFiles
from lmkernel.checkpoints.folder_tokenizer import (
    adapters_tokenizer,
    folder_tokenizer,
    holds_tokenizer,
)
from lmkernel.checkpoints.json_files import read_object, write_object
from lmkernel.checkpoints.memory_map import is_pickle, refuse_pickle
from lmkernel.checkpoints.mxfp4 import without_mxfp4
from lmkernel.checkpoints.quantised import without_quantisation
from lmkernel.checkpoints.quantised_tensors import open_quantised
from lmkernel.checkpoints.safetensors import open_safetensors
from lmkernel.checkpoints.safetensors_writer import write_safetensors
from lmkernel.checkpoints.sentence_files import sentence_files
from lmkernel.errors import CheckpointError, InputError, PullError, UnknownNameError
from lmkernel.files import is_file, is_folder, is_there, open_regular
from lmkernel.paths import path_text, user_path

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Mapping

    from numpy.typing import NDArray

    from lmkernel.checkpoints.tensors import Tensors
    from lmkernel.tokenizers.tokenizer import Tokenizer

__all__ = [
    "PREPROCESSOR",
    "SHARD_BYTES",
    "ModelFiles",
    "convert_gguf",
    "fill_directory",
    "open_model",
    "read_directory",
    "write_directory",
]

PREPROCESSOR = "preprocessor_config.json"
"""The file that says how pictures are prepared."""
PROCESSOR = "processor_config.json"
"""The file of what joins a tokenizer and pictures or sounds elsewhere, which is kept as it is."""
SHARD_BYTES = 5_000_000_000
"""More data than this is written in several files, unless told otherwise."""


@final
@dataclass(frozen=True)
class ModelFiles:
    """What a model's files hold.

    Args:
        path: the directory or file.
        config: the content of ``config.json``.
        tensors: the weights, under Hugging Face names.
        generation_config: the content of ``generation_config.json``, empty if there is none.
        preprocessor: how pictures are prepared, as ``preprocessor_config.json`` says, or
            ``processor_config.json`` among other things; empty if neither does.
        processor: the content of ``processor_config.json``, empty if there is none.
        load_tokenizer: the function that loads the tokenizer, called when one is asked for.
        has_tokenizer: whether there is one to load.
        sentences: the folder whose files of sentence-transformers it has, if another than its own.
    """

    path: Path
    config: dict[str, Any]
    tensors: Tensors
    generation_config: dict[str, Any]
    load_tokenizer: Callable[[], Tokenizer] = field(repr=False)
    has_tokenizer: bool = True
    preprocessor: Mapping[str, Any] = field(default_factory=dict)
    processor: Mapping[str, Any] = field(default_factory=dict)
    sentences: Path | None = None

    @property
    def sentence_folder(self) -> Path:
        """Where the files of sentence-transformers lie, if there are any."""
        return self.sentences or self.path

    def tokenizer(self) -> Tokenizer:
        """The tokenizer; `CheckpointError` if the model has none."""
        return self.load_tokenizer()


def open_model(
    path: str | os.PathLike[str],
    find: Callable[[str], Path] | None = None,
    *,
    above: tuple[Path, ...] = (),
) -> ModelFiles:
    """The model in a Hugging Face directory, a GGUF file, or a directory of LoRA adapters.

    Args:
        path: the directory or file.
        find: the function that finds the model that adapters name; by default the name is a path.
        above: folders of adapters whose model it is, the outermost first.

    Raises:
        CheckpointError: there is no such model, it is damaged, it is a pickle, or adapters are
            their own model.
    """
    location = user_path(path, CheckpointError)
    if _holds_adapters(location):
        return _open_adapters(location, find or Path, above)
    if is_folder(location):
        return read_directory(location)
    if not is_there(location):
        raise CheckpointError(f"{location}: no such directory or file")
    if location.suffix.lower() == ".safetensors":
        raise CheckpointError(
            f"{location}: expected the directory that holds it and its config.json"
        )
    return _open_gguf(location)


def read_directory(path: str | os.PathLike[str]) -> ModelFiles:
    """The model in a Hugging Face directory: ``config.json``, safetensors, maybe a tokenizer.

    Raises:
        CheckpointError: a file is missing or damaged, or the weights are there only as a pickle or
            quantised by a method that is not read.
    """
    folder = user_path(path, CheckpointError)
    config = read_object(folder / "config.json", required=True)
    config, tensors = without_mxfp4(config, _open_tensors(folder), str(folder))
    processor = read_object(folder / PROCESSOR, required=False)
    return ModelFiles(
        path=folder,
        config=without_quantisation(config),
        tensors=open_quantised(tensors, config, f"{folder / 'config.json'}"),
        generation_config=read_object(folder / "generation_config.json", required=False),
        load_tokenizer=functools.cache(functools.partial(folder_tokenizer, folder)),
        has_tokenizer=holds_tokenizer(folder),
        preprocessor=_preprocessor(folder, processor),
        processor=processor,
    )


def _preprocessor(folder: Path, processor: Mapping[str, Any]) -> dict[str, Any]:
    """What says how pictures are prepared: a file of its own, or a part of one."""
    own, part = read_object(folder / PREPROCESSOR, required=False), processor.get("image_processor")
    return own or (part if isinstance(part, dict) else {})


def write_directory(
    path: str | os.PathLike[str],
    *,
    config: Mapping[str, Any],
    tensors: Iterable[tuple[str, NDArray[Any]]],
    dtype: str = "float32",
    shard_bytes: int = SHARD_BYTES,
    tokenizer: Tokenizer | None = None,
    generation_config: Mapping[str, Any] | None = None,
    preprocessor: Mapping[str, Any] | None = None,
    processor: Mapping[str, Any] | None = None,
    others: Mapping[str, Path] | None = None,
    progress: Callable[[int], None] | None = None,
    overwrite: bool = False,
) -> None:
    """Write a Hugging Face directory, all of it or nothing.

    Args:
        path: the directory to make; an old one stays untouched until the new one is complete.
        config: the content of ``config.json``; its ``torch_dtype`` is set to ``dtype``.
        tensors: names and values in the order to keep; one is in memory at a time.
        dtype: the dtype of floating tensors in the file: float32, bfloat16 (nearest even) or
            float16.
        shard_bytes: the most bytes in one file; more are written in several, with an index.
        tokenizer: the tokenizer to write beside the weights, if any.
        generation_config: the content of ``generation_config.json``, if given.
        preprocessor: the content of ``preprocessor_config.json``, if given.
        processor: the content of ``processor_config.json``, if given.
        others: further files, which are copied, by their paths below the directory.
        progress: a function called with the number of bytes of tensors just written.
        overwrite: whether to replace a directory that exists and is not empty.

    Raises:
        CheckpointError: the directory is there, the disk refuses, or a tensor cannot be written.
        InputError: the path is none.
    """
    place = user_path(path_text(path, "directory"), CheckpointError).absolute()
    with new_directory(place, overwrite=overwrite) as folder:
        fill_directory(
            folder,
            config=config,
            tensors=tensors,
            dtype=dtype,
            shard_bytes=shard_bytes,
            tokenizer=tokenizer,
            generation_config=generation_config,
            preprocessor=preprocessor,
            processor=processor,
            others=others,
            progress=progress,
        )


def fill_directory(
    folder: Path,
    *,
    config: Mapping[str, Any],
    tensors: Iterable[tuple[str, NDArray[Any]]],
    dtype: str = "float32",
    shard_bytes: int = SHARD_BYTES,
    tokenizer: Tokenizer | None = None,
    generation_config: Mapping[str, Any] | None = None,
    preprocessor: Mapping[str, Any] | None = None,
    processor: Mapping[str, Any] | None = None,
    others: Mapping[str, Path] | None = None,
    progress: Callable[[int], None] | None = None,
) -> None:
    """Write the files of `write_directory` into a folder that is not in its place yet."""
    write_safetensors(folder, tensors, dtype=dtype, shard_bytes=shard_bytes, progress=progress)
    write_object(folder / "config.json", {**config, "torch_dtype": dtype})
    if generation_config is not None:
        write_object(folder / "generation_config.json", generation_config)
    if preprocessor is not None:
        write_object(folder / PREPROCESSOR, preprocessor)
    if processor is not None:
        write_object(folder / PROCESSOR, processor)
    if tokenizer is not None:
        tokenizer.save(folder)
    for name, source in (others or {}).items():
        (folder / name).parent.mkdir(exist_ok=True)
        with open_regular(source) as opened, (folder / name).open("xb") as copied:
            shutil.copyfileobj(opened, copied)


def convert_gguf(
    source: str | os.PathLike[str],
    directory: str | os.PathLike[str],
    progress: Callable[[int], None] | None = None,
    *,
    overwrite: bool = False,
) -> None:
    """Write a GGUF file's model as a Hugging Face directory in float32.

    Args:
        source: the GGUF file.
        directory: the directory to make.
        progress: a function called with the number of bytes of tensors just written.
        overwrite: whether to replace a directory that exists and is not empty.
    """
    model = _open_gguf(user_path(source, CheckpointError))
    write_directory(
        directory,
        config=model.config,
        tensors=((name, model.tensors.read(name)) for name in model.tensors.names()),
        tokenizer=model.tokenizer(),
        generation_config=model.generation_config,
        progress=progress,
        overwrite=overwrite,
    )


def _open_tensors(folder: Path) -> Tensors:
    tensors = open_safetensors(folder)
    if tensors is not None:
        return tensors
    for file in sorted(folder.iterdir()):
        if is_pickle(file, b""):
            raise refuse_pickle(file)
    raise CheckpointError(f"{folder}: expected model.safetensors, or its shards and their index")


def _holds_adapters(folder: Path) -> bool:
    """Whether it is adapters that a folder holds; the files of a model may lie beside them."""
    if not is_there(folder / ADAPTER_CONFIG):
        return False
    weights = ("model.safetensors", "model.safetensors.index.json")
    whole = is_there(folder / "config.json") and any(is_there(folder / w) for w in weights)
    return not whole or is_there(folder / ADAPTER_TENSORS)


def _open_adapters(
    folder: Path, find: Callable[[str], Path], above: tuple[Path, ...]
) -> ModelFiles:
    """The model that the adapters name, with them merged into its weights as they are read.

    The folder's own tokenizer, chat template, options of generation and files of
    sentence-transformers go before the model's.
    """
    adapters = AdapterFiles(folder)  # looked at before anybody looks for their model
    where = f"{folder / ADAPTER_CONFIG}: base_model_name_or_path"
    try:
        found, above = find(adapters.base), (*above, folder.resolve())
    except (InputError, PullError, UnknownNameError) as error:
        raise CheckpointError(f"{where}: {error}") from error
    if not is_folder(found) and not is_file(found):
        raise CheckpointError(f"{where}: {found}: no such directory or file")
    if found.resolve() in above:
        raise CheckpointError(
            f"{where}: expected the model that the adapters are of, got {adapters.base!r}, "
            "which leads back to adapters"
        )
    base = open_model(found, find, above=above)
    own = read_object(folder / "generation_config.json", required=False)
    tensors = AdaptedTensors(base.tensors, adapters)
    sizes = {} if tensors.vocab is None else {"vocab_size": tensors.vocab}
    return replace(
        base,
        path=folder,
        config={**base.config, **sizes},
        tensors=tensors,
        generation_config=own or base.generation_config,
        load_tokenizer=functools.cache(
            functools.partial(adapters_tokenizer, folder, base.tokenizer)
        ),
        has_tokenizer=base.has_tokenizer or holds_tokenizer(folder),
        sentences=folder if sentence_files(folder) else base.sentence_folder,
    )


def _open_gguf(path: Path) -> ModelFiles:
    from lmkernel.gguf.model import open_gguf

    return open_gguf(path)
