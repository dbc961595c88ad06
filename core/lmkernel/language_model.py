"""A language model, loaded: text in, text out, on one backend."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, final

from lmkernel import inspection, native, tool_calling
from lmkernel.arguments import is_empty, require_flag
from lmkernel.checkpoints.directory import SHARD_BYTES, write_directory
from lmkernel.errors import InputError, as_text, shown
from lmkernel.generation import GenerationOptions, TextGeneration
from lmkernel.generation.answers import asked_options, fill_answers, scored_tokens, token_rows
from lmkernel.generation.checkpoint import OWN, reachable_ends, warn_of_settings
from lmkernel.inspection.inputs import prompt_ids
from lmkernel.prompts import Prompt, chat_prompt, prompt_of, several_prompts

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Unpack

    from numpy.typing import NDArray

    from lmkernel.backend import Backend
    from lmkernel.checkpoints.directory import ModelFiles
    from lmkernel.config import ModelConfig
    from lmkernel.contract.mandatory import Tree
    from lmkernel.description import Description
    from lmkernel.generation import GenerationChanges
    from lmkernel.generation.text import Scored
    from lmkernel.model import Model
    from lmkernel.origin import Origin
    from lmkernel.parameters.holding import Holding
    from lmkernel.prompts import Pictures
    from lmkernel.structured import GrammarTokenizer
    from lmkernel.tokenizers.tokenizer import Tokenizer

__all__ = ["LanguageModel", "Message"]

Message = dict[str, str]
"""``{"role": "system" | "user" | "assistant", "content": …}``."""


@final
class LanguageModel:
    """A model with its parameters and its tokenizer; `lmkernel.load` makes one.

    Its methods take and return Python values and host arrays; none needs a scope around it.

    Args:
        model: the composition, on its backend.
        params: packed for inference.
        origin: what it was loaded from.
        holding: a record of weights that are held with few bits, if any are.
    """

    def __init__(
        self, model: Model, params: Tree, origin: Origin, holding: Holding | None = None
    ) -> None:
        self.model = model
        self.params = params
        self.origin = origin
        self.holding = holding

    def __repr__(self) -> str:
        backend, size = self.model.backend, self.describe().parameters
        return (
            f"LanguageModel({self.origin.name!r}, {self.origin.model_type}, "
            f"{size / 1e6:.1f}M parameters, {backend.name} on {backend.device}, "
            f"{self.model.policy.compute})"
        )

    def __fspath__(self) -> str:
        """Its folder or file, so that it can be given where a model is expected."""
        return str(self.files.path)

    # what it is

    @property
    def backend(self) -> Backend:
        """Where it computes."""
        return self.model.backend

    @property
    def config(self) -> ModelConfig:
        """What it is, in our words: every size and kind."""
        return self.model.config

    @property
    def device(self) -> str:
        """The device that it is on."""
        return self.backend.device

    @property
    def tokenizer(self) -> Tokenizer:
        """The tokenizer, loaded when it is first asked for."""
        return self.origin.tokenizer

    @property
    def files(self) -> ModelFiles:
        """The files that it was loaded from."""
        return self.origin.own_files

    @property
    def reads_sources(self) -> bool:
        """Whether an encoder reads what it is asked, and a decoder writes the answer."""
        return self.model.encoder is not None and self.model.decoder is not None

    @functools.cached_property
    def end_ids(self) -> tuple[int, ...]:
        """The ids that end an answer: the checkpoint's and the tokenizer's."""
        used = OWN if self.reads_sources else ()
        warn_of_settings(self.origin.generation_config, self.origin.where, used)
        return reachable_ends(self.origin)

    @functools.cached_property
    def grammar_tokenizer(self) -> GrammarTokenizer:
        """The tokenizer as `lmkernel.structured` needs it; made when it is first asked for."""
        from lmkernel.structured import GrammarTokenizer

        vocab = (self.config.target_embedding or self.config.embedding).vocab
        return GrammarTokenizer(self.tokenizer, vocab)

    def describe(self) -> Description:
        """Its family, sizes and memory, as a table."""
        from lmkernel.description import describe

        return describe(self)

    def parameters(self) -> dict[str, NDArray[Any]]:
        """Every parameter by dotted name, on the host, as its file holds it: ``(out, in)``."""
        return self.origin.weights(self.model.declare())

    def token_ids(self, text: str, *, special_tokens: bool = True) -> list[int]:
        """The ids of a text's tokens, with those that the tokenizer puts around it."""
        require_flag("special_tokens", special_tokens)
        return self.tokenizer.encode(text, special_tokens=special_tokens)

    def decode(self, ids: Sequence[int]) -> str:
        """The text of token ids; `InputError` for anything else."""
        if isinstance(ids, str | bytes | bytearray | memoryview):
            raise InputError(f"expected token ids, got a text: {shown(ids)}")
        return "" if is_empty(ids) else self.tokenizer.decode(prompt_ids(self, ids))

    # text in, text out

    def generate(
        self,
        prompt: str | Sequence[int],
        options: GenerationOptions | None = None,
        *,
        images: Pictures = None,
        special_tokens: bool = True,
        **changes: Unpack[GenerationChanges],
    ) -> TextGeneration:
        """Continue a text; an encoder-decoder writes what follows from it, such as a translation.

        Args:
            prompt: the text, or the ids of its tokens.
            options: how to generate.
            images: the pictures that the text names, for a model that is shown some.
            special_tokens: whether the tokenizer puts its own around the text.
            changes: single options, such as ``temperature=0.8``, in place of those.

        Returns:
            The answer: iterating streams it, ``str()`` runs it.

        Raises:
            InputError: the prompt is empty, longer than the context, or names other pictures.
            UnknownNameError: a keyword that is no option.
        """
        require_flag("special_tokens", special_tokens)
        made = prompt_of(self, prompt, images, special_tokens=special_tokens)
        return self._generate(made, self._asked(options, changes), continues=made.ids)

    def _generate(
        self, prompt: Prompt, asked: GenerationOptions, continues: Sequence[int] = ()
    ) -> TextGeneration:
        """An answer to a prompt; its text goes on from that of the ids that it continues."""
        scored = scored_tokens(self, prompt, asked, self._last_ids(asked))
        return self._answer(asked, scored, () if self.reads_sources else continues)

    def chat(
        self,
        messages: str | Iterable[Mapping[str, Any]],
        options: GenerationOptions | None = None,
        *,
        images: Pictures = None,
        begun: str = "",
        **changes: Unpack[GenerationChanges],
    ) -> TextGeneration:
        """Answer a question, or the last message of a conversation; see `generate`.

        Args:
            messages: a question, or ``{"role": …, "content": …}`` of each message.
            options: how to generate.
            images: pictures before the first question, or where parts of messages name them; see
                `lmkernel.prompts.chat_prompt`.
            begun: what the answer begins with; what follows is generated.
            changes: single options in place of those.

        Raises:
            TemplateError: the model has no chat template, or it fails.
            InputError: no question, or a conversation longer than the context.
        """
        made = chat_prompt(self, messages, images, begun)
        continues = made.ids if begun else ()
        return self._generate(made, self._asked(options, changes), continues)

    def generate_batch(
        self,
        prompts: Sequence[str | Sequence[int] | Prompt],
        options: GenerationOptions | None = None,
        **changes: Unpack[GenerationChanges],
    ) -> list[TextGeneration]:
        """Continue several texts at once, of unequal length or not; each as if it were alone.

        Args:
            prompts: as `generate` takes them, or made with pictures by `lmkernel.prompts`.
            options: how to generate; draws differ from row to row.
            changes: single options in place of those.

        Returns:
            The answers, all of them finished.
        """
        asked = self._asked(options, changes)
        rows = several_prompts(self, prompts)
        told = [() if self.reads_sources else row.ids for row in rows]
        answers = [self._answer(asked, prompt=before) for before in told]
        fill_answers(self, rows, asked, answers, self._last_ids(asked))
        return answers

    def generate_tokens(
        self,
        prompts: Sequence[Sequence[int]],
        options: GenerationOptions | None = None,
        **changes: Unpack[GenerationChanges],
    ) -> Iterator[list[int | None]]:
        """One token for each row at each step, from token ids; see `lmkernel.generation`."""
        return token_rows(self, several_prompts(self, prompts), self._asked(options, changes))

    def _asked(self, options: object, changes: GenerationChanges) -> GenerationOptions:
        return asked_options(self, options, changes)

    def _last_ids(self, options: GenerationOptions) -> frozenset[int]:
        """The ids that end an answer, also where there is no tokenizer to name them."""
        return options.end_ids(() if options.ignore_eos else self.end_ids)

    def _answer(
        self,
        options: GenerationOptions,
        tokens: Iterable[Scored] = (),
        prompt: Sequence[int] = (),
    ) -> TextGeneration:
        ends, stop = self._last_ids(options), options.stop_strings
        return TextGeneration(tokens, self.tokenizer, stop=stop, end_ids=ends, prompt=prompt)

    chat_with_tools = tool_calling.chat_with_tools

    # what is inside: functions of lmkernel.inspection, which take the model first

    logits = inspection.logits
    log_probs = inspection.log_probs
    hidden_states = inspection.hidden_states
    attention_weights = inspection.attention_weights
    embed = inspection.embed
    classify = inspection.classify
    embed_pictures = inspection.embed_pictures
    classify_pictures = inspection.classify_pictures

    # as an object of the backend's own framework

    as_module = native.as_module
    as_keras = native.as_keras
    as_function = native.as_function

    # elsewhere

    def to(
        self,
        backend: str | Backend | None = None,
        *,
        device: str | None = None,
        dtype: str | None = None,
    ) -> LanguageModel:
        """The same model on another backend or device, or in another dtype; this one stays."""
        from lmkernel.backend import Backend, load_backend
        from lmkernel.loading import place_origin

        where = backend if isinstance(backend, Backend) else self.backend
        name = where.name if backend is None or isinstance(backend, Backend) else backend
        place = where.device if device is None else device
        # what is no name equals none, and is refused where backends are looked up
        if (as_text(name), as_text(place)) != (where.name, where.device):
            where = load_backend(name, device=device, registry=where.registry)
        held, own = self.holding.said if self.holding else None, self.model.policy.compute
        return place_origin(self.origin, where, dtype=own if dtype is None else dtype, weights=held)

    def save(
        self,
        directory: str | os.PathLike[str],
        values: Mapping[str, NDArray[Any]] | None = None,
        *,
        dtype: str = "float32",
        shard_bytes: int = SHARD_BYTES,
        overwrite: bool = False,
    ) -> None:
        """Write a Hugging Face directory, all of it or nothing.

        Args:
            directory: to be made.
            values: every parameter by dotted name, in place of those in the model's files.
            dtype: of floating tensors in the file: float32, bfloat16 or float16.
            shard_bytes: more data than this is written in several files, with an index.
            overwrite: replace a directory that is there and not empty.

        Raises `CheckpointError`: the directory is there, or the disk refuses.
        """
        require_flag("overwrite", overwrite)
        kept = self.parameters() if values is None else values
        write_directory(
            directory,
            config=self.origin.document,
            tensors=self.origin.tensors(kept, self.model.declare()),
            dtype=dtype,
            shard_bytes=shard_bytes,
            **self.origin.beside,
            overwrite=overwrite,
        )
