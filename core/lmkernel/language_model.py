"""A language model, loaded: text in, text out, on one backend."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

from lmkernel.checkpoints.directory import SHARD_BYTES, open_model
from lmkernel.config import PrecisionPolicy
from lmkernel.errors import InputError
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.files import save_model
from lmkernel.families.names import to_ours
from lmkernel.generation import GenerationOptions, TextGeneration, generate_tokens
from lmkernel.model import Model
from lmkernel.plugins.registry import default_registry

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from lmkernel.backend import Backend
    from lmkernel.checkpoints.directory import ModelFiles
    from lmkernel.contract.mandatory import Tree
    from lmkernel.families.family import Family
    from lmkernel.plugins.registry import Registry
    from lmkernel.tokenizers.tokenizer import Tokenizer

__all__ = ["LanguageModel", "Message", "open_language_model"]

Message = dict[str, str]
"""``{"role": "system" | "user" | "assistant", "content": …}``."""


@final
class LanguageModel:
    """A model with its parameters and its tokenizer.

    Args:
        model: the composition, on its backend.
        params: packed for inference.
        files: what it was loaded from.
        family: how it is written.
    """

    def __init__(self, model: Model, params: Tree, files: ModelFiles, family: Family) -> None:
        self.model = model
        self.params = params
        self.files = files
        self._family = family

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, loaded when it is first asked for."""
        return self.files.tokenizer()

    @property
    def end_ids(self) -> tuple[int, ...]:
        """The ids that end an answer: the checkpoint's and the tokenizer's."""
        own = self.files.generation_config.get(
            "eos_token_id", self.files.config.get("eos_token_id")
        )
        listed = own if isinstance(own, list) else [own]
        ids = (*self.tokenizer.eos_ids, *(i for i in listed if isinstance(i, int)))
        return tuple(dict.fromkeys(ids))

    def generate(
        self,
        prompt: str,
        options: GenerationOptions | None = None,
        *,
        special_tokens: bool = True,
    ) -> TextGeneration:
        """Continue a text; iterate over the result for its pieces.

        Raises:
            InputError: the prompt is empty, or longer than the context.
        """
        ids = self.tokenizer.encode(prompt, special_tokens=special_tokens)
        if not ids:
            raise InputError("expected a prompt of at least one token, got an empty one")
        options = options or GenerationOptions()
        ends = options.stop_ids if options.ignore_eos else (*self.end_ids, *options.stop_ids)
        rows = generate_tokens(self.model, self.params, [ids], options, end_ids=self.end_ids)
        tokens = (row[0] for row in rows if row[0] is not None)
        return TextGeneration(tokens, self.tokenizer, stop=options.stop, end_ids=ends)

    def chat(
        self, messages: str | Sequence[Mapping[str, str]], options: GenerationOptions | None = None
    ) -> TextGeneration:
        """Answer a question, or the last message of a conversation.

        Raises:
            TemplateError: the model has no chat template, or it fails.
            InputError: an empty question, or a conversation longer than the context.
        """
        if isinstance(messages, str):
            if not messages.strip():
                raise InputError("expected a question, got an empty prompt")
            messages = [{"role": "user", "content": messages}]
        return self.generate(self.tokenizer.chat(messages), options, special_tokens=False)

    def generate_batch(
        self, prompts: Sequence[str], options: GenerationOptions | None = None
    ) -> list[str]:
        """Continue several texts at once; they may be of unequal length."""
        options = options or GenerationOptions()
        rows = [self.tokenizer.encode(prompt) for prompt in prompts]
        columns = zip(*self.generate_tokens(rows, options), strict=True)
        ends = options.stop_ids if options.ignore_eos else (*self.end_ids, *options.stop_ids)
        answers = []
        for column in columns:
            tokens = (token for token in column if token is not None)
            answer = TextGeneration(tokens, self.tokenizer, stop=options.stop, end_ids=ends)
            answers.append("".join(answer))
        return answers

    def generate_tokens(
        self,
        prompts: Sequence[Sequence[int]],
        options: GenerationOptions | None = None,
        **changes: Any,
    ) -> Iterator[list[int | None]]:
        """One token for each row at each step, from token ids; ``changes`` replace options."""
        options = replace(options or GenerationOptions(), **changes)
        ends = () if options.ignore_eos else self.end_ids
        return generate_tokens(self.model, self.params, prompts, options, end_ids=ends)

    def parameters(self) -> dict[str, NDArray[Any]]:
        """Every parameter by dotted name, on the host, as its file holds it: ``(out, in)``."""
        return to_ours(
            self.files.tensors,
            self._family.rules(self.model.config),
            self.model.declare(),
            where=str(self.files.path),
            ignored=self._family.ignored(self.model.config),
        )

    def logits(self, tokens: Sequence[Sequence[int]]) -> NDArray[np.float32]:
        """Logits of every position, on the host: ``(batch, time, vocab)``; rows of equal length."""
        backend = self.model.backend
        with backend.scope(), backend.inference():
            inputs = backend.ops.asarray(tokens, "int32")
            return backend.ops.to_numpy(self.model.forward(self.params, inputs))

    def save(
        self,
        directory: str | os.PathLike[str],
        values: Mapping[str, NDArray[Any]],
        *,
        dtype: str = "float32",
        shard_bytes: int = SHARD_BYTES,
        overwrite: bool = False,
    ) -> None:
        """Write host ``values`` by dotted name as a Hugging Face directory, all or nothing.

        Args:
            directory: to be made.
            values: every parameter of the model.
            dtype: of floating tensors in the file: float32, bfloat16 or float16.
            shard_bytes: more data than this is written in several files, with an index.
            overwrite: replace a directory that is there and not empty.
        """
        save_model(
            directory,
            self.model.config,
            values,
            self._family,
            declared=self.model.declare(),
            tokenizer=self.tokenizer,
            extra_config=self.files.config,
            generation_config=self.files.generation_config or None,
            dtype=dtype,
            shard_bytes=shard_bytes,
            overwrite=overwrite,
        )


def open_language_model(
    path: str | os.PathLike[str],
    backend: Backend,
    *,
    dtype: str | None = None,
    registry: Registry | None = None,
    progress: Callable[[int], None] | None = None,
    find: Callable[[str], Path] | None = None,
) -> LanguageModel:
    """Load the model in a Hugging Face directory or a GGUF file onto a backend.

    Args:
        path: the directory or file.
        backend: from `lmkernel.load_backend`.
        dtype: of the computation; by default float32.
        registry: where families and kinds from plugins are found.
        progress: called with the number of bytes of each tensor read.
        find: finds the model that a directory of LoRA adapters names; by default by its path.

    Raises:
        CheckpointError: a file is missing, damaged, or contradicts its configuration.
        CapabilityError: a dtype that the backend does not declare.
    """
    capabilities = backend.capabilities
    compute = capabilities.require_dtype(backend.name, dtype or "float32", backend.device)
    files, found = open_model(path, find), registry or default_registry()
    where = str(files.path)
    family = find_family(files.config.get("model_type"), where, found)
    config = family.read(HfConfig(files.config, f"{where}: config.json"))
    output = compute if compute == "float64" else "float32"
    model = Model(backend, config, PrecisionPolicy(compute=compute, output=output), registry=found)
    values = to_ours(
        files.tensors,
        family.rules(config),
        model.declare(),
        where=where,
        ignored=family.ignored(config),
        progress=progress,
    )
    return LanguageModel(model, model.pack(values), files, family)
