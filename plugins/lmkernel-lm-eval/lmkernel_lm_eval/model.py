"""The model ``lmkernel``: scores and answers as the harness asks for them.

Constraints: requests are answered in their order. What is too long loses its beginning, as in the
harness's ``hf`` model. A text that begins with the token that begins texts gets no second one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

import numpy as np
from lm_eval.api.model import TemplateLM
from lm_eval.api.registry import register_model
from lm_eval.models.utils import normalize_gen_kwargs
from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
from tqdm import tqdm

from lmkernel.errors import InputError
from lmkernel.generation import (
    Drawn,
    Failed,
    GenerationOptions,
    Request,
    Scheduler,
    TextGeneration,
)
from lmkernel.generation.likelihood import log_prob, position_logits
from lmkernel.loading import load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lm_eval.api.instance import Instance

__all__ = ["LmkernelLM"]

_OPEN = 2048
"""The most tokens at once of a model whose context has no end."""


@final
@register_model("lmkernel")
class LmkernelLM(TemplateLM):  # type: ignore[misc]  # the harness ships no types
    """One model on one backend.

    Args:
        pretrained: a name, a folder or a GGUF file.
        backend: by default the one in use.
        device: such as ``cpu`` or ``cuda:1``.
        dtype: of the computation; float32 by default.
        batch_size: the most answers that are generated at once.
        max_batch_size: passed over, since a batch is filled as answers end.
        max_length: the most tokens at once; by default the context.
        max_gen_toks: tokens of an answer where a task says none.

    Raises:
        LmkernelError: the model cannot be opened, or does not predict each token from those before.
    """

    def __init__(
        self,
        pretrained: str,
        backend: str | None = None,
        device: str | None = None,
        dtype: str | None = None,
        batch_size: int | str = 16,
        max_batch_size: int | None = None,
        max_length: int | None = None,
        max_gen_toks: int = 256,
    ) -> None:
        super().__init__()
        del max_batch_size
        if not str(batch_size).isdigit() or not int(batch_size):
            raise InputError(f"batch_size: expected a number of rows, got {batch_size!r}")
        self.model = load(pretrained, backend=backend, device=device, dtype=dtype)
        self.max_length = max_length or self.model.config.context or _OPEN
        self.max_gen_toks = max_gen_toks
        self._rows = int(batch_size)

    @property
    def eot_token_id(self) -> int:
        """The token that ends a text."""
        return self.model.tokenizer.eos_ids[0]

    @property
    def prefix_token_id(self) -> int:
        """The token that a text follows which follows nothing."""
        begins = self.model.tokenizer.bos_id
        return self.eot_token_id if begins is None else begins

    @property
    def tokenizer_name(self) -> str:
        """What caches of requests are named after."""
        return self.model.origin.name.replace("/", "__")

    def chat_template(self, chat_template: bool | str = False) -> str:
        """The source of the model's chat template; empty if it has none."""
        del chat_template
        return self.model.tokenizer.chat_template or ""

    def apply_chat_template(
        self, chat_history: list[dict[str, str]], add_generation_prompt: bool = True
    ) -> str:
        """The text of a conversation."""
        return self.model.tokenizer.chat(chat_history, add_generation_prompt=add_generation_prompt)

    def tok_encode(
        self, string: str, add_special_tokens: bool | None = None, **kwargs: Any
    ) -> list[int]:
        """The ids of a text, with the tokenizer's own tokens unless the text begins with them."""
        del kwargs
        if add_special_tokens is None:
            begins = self.model.tokenizer.decode([self.prefix_token_id], skip_special=False)
            add_special_tokens = not (begins and string.startswith(begins))
        return self.model.tokenizer.encode(string, special_tokens=add_special_tokens)

    def _loglikelihood_tokens(
        self,
        requests: list[tuple[Any, list[int], list[int]]],
        disable_tqdm: bool = False,
        **kwargs: Any,
    ) -> list[tuple[float, bool]]:
        del kwargs
        found = []
        for pair, context, continuation in tqdm(requests, disable=disable_tqdm):
            found.append(self._score(context, continuation))
            if pair is not None:
                self.cache_hook.add_partial("loglikelihood", pair, found[-1])
        return found

    def _score(self, context: Sequence[int], continuation: Sequence[int]) -> tuple[float, bool]:
        """The log-likelihood of a continuation, and whether it is the likeliest, token by token."""
        if not 0 < len(continuation) <= self.max_length:
            raise InputError(
                f"expected a continuation of 1 to {self.max_length} tokens, got {len(continuation)}"
            )
        # the last token is only predicted, so one more than fits can be scored
        ids = [*context, *continuation][-self.max_length - 1 :]
        scored = ids[-len(continuation) :]
        rows = position_logits(
            self.model.model, self.model.params, ids[:-1], len(ids) - len(scored) - 1
        )
        total, greedy = 0.0, True
        for logits, token in zip(rows, scored, strict=True):
            total += log_prob(logits.astype(np.float64), token)
            greedy = greedy and int(np.argmax(logits)) == token
        return total, greedy

    def loglikelihood_rolling(
        self, requests: list[Instance], disable_tqdm: bool = False
    ) -> list[float]:
        """The log-likelihood of each text, in windows that score each token once."""
        found = []
        for request in tqdm(requests, disable=disable_tqdm):
            (text,) = request.args
            windows = get_rolling_token_windows(
                token_list=self.tok_encode(text),
                prefix_token=self.prefix_token_id,
                max_seq_len=self.max_length,
                context_len=1,
            )
            scores = [self._score(*make_disjoint_window(window))[0] for window in windows]
            found.append(sum(scores))
            self.cache_hook.add_partial("loglikelihood_rolling", request.args, found[-1])
        return found

    def generate_until(self, requests: list[Instance], disable_tqdm: bool = False) -> list[str]:
        """The answer to each text, up to what ends it."""
        own = self.model
        scheduler = Scheduler(own.model, own.params, end_ids=own.end_ids, most_rows=self._rows)
        asked = [self._request(*request.args) for request in requests]
        answers = {
            request: TextGeneration(
                (),
                own.tokenizer,
                stop=request.options.stop_strings,
                end_ids=own.end_ids,
                prompt=request.prompt,
            )
            for request in asked
        }
        for request in asked:
            scheduler.add(request)
        with tqdm(total=len(asked), disable=disable_tqdm) as bar:
            while not scheduler.idle:
                for event in scheduler.step():
                    if isinstance(event, Failed):
                        raise event.error
                    if not isinstance(event, Drawn) or answers[event.request].finished:
                        continue
                    answer = answers[event.request]
                    if answer.push(event.token.id, event.token.log_prob) and not event.reason:
                        scheduler.cancel(event.request)
                    if event.reason:
                        answer.close()
                    bar.update(answer.finished)
        texts = [answers[request].text for request in asked]
        for request, text in zip(requests, texts, strict=True):
            self.cache_hook.add_partial("generate_until", request.args, text)
        return texts

    def _request(self, text: str, wanted: Mapping[str, Any]) -> Request:
        options = dict(normalize_gen_kwargs(dict(wanted), self.max_gen_toks))
        most = int(options.pop("max_gen_toks"))
        sampled = bool(options.pop("do_sample", False))
        until = [stop for stop in options.pop("until", None) or [] if stop]
        temperature = float(options.pop("temperature", None) or 0.0)
        known = {name: options.pop(name) for name in ("top_k", "top_p", "min_p") if name in options}
        if options:
            raise InputError(f"generation_kwargs: not known here: {', '.join(sorted(options))}")
        room = self.max_length - most
        if room < 1:
            raise InputError(
                f"max_gen_toks: expected less than the {self.max_length} tokens of the model, "
                f"got {most}"
            )
        ids = self.tok_encode(text)[-room:]
        chosen = GenerationOptions(
            max_new_tokens=most,
            temperature=temperature if sampled else 0.0,
            stop=until,
            **(known if sampled else {}),
        )
        return Request(ids, chosen.with_special_stops(self.model.tokenizer))
