"""A model that is served: its name, its owner, and its tokens as clients see them."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any, final

from lmkernel.contract.version import CONTRACT_VERSION
from lmkernel.speech.verbs import hears
from lmkernel_serve.worker import Worker

if TYPE_CHECKING:
    from lmkernel.language_model import LanguageModel

__all__ = ["Served"]


@final
class Served:
    """One model under one name.

    Args:
        name: as clients ask for it.
        model: nobody else computes with it from here on.
        most_rows: the most answers at once.
        most_waiting: the most requests that wait beside those.
        embeds_only: whether it makes vectors and nothing else.
    """

    def __init__(
        self,
        name: str,
        model: LanguageModel,
        *,
        most_rows: int = 16,
        most_waiting: int = 64,
        embeds_only: bool = False,
    ) -> None:
        self.name = name
        self.model = model
        self.created = int(time.time())
        config = model.config
        head = config.head is not None and config.head.pooling == "none"
        decodes = config.decoder is not None and config.encoder is None and head
        self.generates = decodes and not embeds_only
        self.hears = hears(model) and not embeds_only
        self.context: int = config.context or 0
        self.worker = Worker(
            model, most_rows=most_rows, most_waiting=most_waiting, schedules=self.generates
        )

    @property
    def fingerprint(self) -> str:
        """What an answer depends on beside its request."""
        backend, dtype = self.model.backend, self.model.model.policy.compute
        return f"{self.name}:{backend.name}:{backend.device}:{dtype}:contract-{CONTRACT_VERSION}"

    def card(self) -> dict[str, Any]:
        """Its entry in the list of models."""
        return {
            "id": self.name,
            "object": "model",
            "created": self.created,
            "owned_by": "lmkernel",
            "max_model_len": self.context or None,
        }

    @functools.lru_cache(maxsize=65536)  # noqa: B019 - a served model lives as long as the server
    def token_bytes(self, token: int) -> bytes:
        """The bytes that a token stands for."""
        if token in self.model.tokenizer.special_ids:
            return self.model.tokenizer.decode([token], skip_special=False).encode()
        return self.model.grammar_tokenizer.token_bytes(token)

    def spelt(self, token: int) -> dict[str, Any]:
        """A token as answers name it."""
        own = self.token_bytes(token)
        return {"token": own.decode("utf-8", "replace"), "bytes": list(own), "id": token}
