"""A model is the composition of its parts: input → embedding → encoder → decoder → output.

Constraints: the configuration is static, the parameters are an argument. `forward` is pure, so it
may be differentiated and compiled; `begin`, `step` and `grow` drive a decoder token by token.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, final

from lmkernel.components.positions import count_positions
from lmkernel.config import HeadConfig, ModelConfig, PrecisionPolicy
from lmkernel.factory import ComponentFactory
from lmkernel.model.head import head
from lmkernel.model.initialization import declare_parts
from lmkernel.model.sight import Sight, with_pictures
from lmkernel.model.stepping import Stepping
from lmkernel.parameters import initial_values, pack, place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np
    from numpy.typing import NDArray

    from lmkernel.backend import Backend
    from lmkernel.contract.mandatory import Array, Tree
    from lmkernel.interfaces import (
        Decoder,
        Embedded,
        Embedding,
        Encoder,
        Memory,
        ParamTree,
    )

__all__ = ["Model"]


@final
class Model(Stepping):
    """One model on one backend.

    `encode`, `begin`, `step`, `grow`, `fork`, `pack` and `place` take host arrays, or what they
    gave before, and enter the backend's scope by themselves. `forward`, `embed` and `output` are
    pure functions of the backend's own arrays, to be called inside ``with backend:``.

    Args:
        backend: the backend, from `lmkernel.load_backend`.
        config: the model's configuration.
        policy: the dtypes of parameters, computation and output; float32 by default.

    Raises:
        CapabilityError: a dtype that the backend does not declare.
        UnknownNameError: a kind that nothing registers.
    """

    def __init__(
        self,
        backend: Backend,
        config: ModelConfig,
        policy: PrecisionPolicy | None = None,
    ) -> None:
        self.backend = backend
        self.config = config
        self.policy = policy or PrecisionPolicy()
        for dtype in (self.policy.params, self.policy.compute, self.policy.output):
            backend.capabilities.require_dtype(backend.name, dtype, backend.device)
        factory = ComponentFactory(backend)
        self.embedding: Embedding = factory.create("embedding", config.embedding)
        self.target_embedding: Embedding | None = config.target_embedding and factory.create(
            "embedding", config.target_embedding
        )
        self.encoder: Encoder | None = config.encoder and factory.create("encoder", config.encoder)
        self.decoder: Decoder | None = config.decoder and factory.create("decoder", config.decoder)
        self.pictures = config.pair and Model(backend, config.pair.pictures, self.policy)
        self.sight = config.sight and Sight(factory, config.sight)
        self._compiled_step = backend.ops.compile(self._step, donate=(3,), static=(5,))

    # parameters

    def declare(self) -> ParamTree:
        """The declared parameters, nested by component."""
        parts = {
            "embedding": self.embedding,
            "target_embedding": self.target_embedding,
            "encoder": self.encoder,
            "decoder": self.decoder,
        }
        return declare_parts(self.config, parts, self.pictures, self.sight)

    def initial(self, seed: int) -> dict[str, NDArray[np.float32]]:
        """Initial host values by dotted name, the same bits on every backend."""
        return initial_values(self.declare(), seed)

    def place(self, values: Mapping[str, NDArray[Any]]) -> Tree:
        """Parameters as declared, in ``policy.params``, for training; `InputError` for others."""
        with self.backend.scope():
            return place(self.backend.ops, self.declare(), values, self.policy.params)

    def pack(self, values: Mapping[str, NDArray[Any]]) -> Tree:
        """Parameters in ``policy.compute``, fused and packed; `InputError` for others."""
        with self.backend.scope(), self.backend.inference():
            return pack(self.backend.ops, self.declare(), values, self.policy.compute)

    # all positions at once

    def forward(
        self,
        params: Tree,
        inputs: Array,
        *,
        positions: Array | None = None,
        segments: Array | None = None,
        target: Array | None = None,
        target_positions: Array | None = None,
        shown: tuple[Array, Array] | None = None,
        key: Array | None = None,
    ) -> Array:
        """The output for every position: a pure function, called inside the backend's scope.

        Args:
            params: the parameters, from `place` or `pack`.
            inputs: int32 ``(batch, time)``, vectors ``(batch, time, width)``, or pictures
                ``(batch, channels, height, width)``.
            positions: int32 ``(batch, time)``, -1 for padding; by default 0, 1, 2, …
            segments: int32 ``(batch, time)``.
            target: the decoder's input, for an encoder-decoder.
            target_positions: as ``positions``, of the target.
            shown: vectors of pictures ``(count, width)`` and which stands in each place, as of
                `lmkernel.model.sight.with_pictures`.
            key: int32 ``(2,)`` for dropout, in training.

        Returns:
            ``(batch, time, size)``, or ``(batch, size)`` where the head pools, in
            ``policy.output``.
        """
        named = {"positions": positions, "segments": segments, "key": key}
        named |= {"target": target, "target_positions": target_positions}
        embedded, memory = self._read(params, inputs, shown=shown, **named)
        hidden = embedded.hidden if memory is None else memory.hidden
        if self.decoder is not None:
            hidden = self.decoder(params["decoder"], embedded, memory=memory, key=key)
        tokens = inputs if target is None else target
        return self.output(params, hidden, embedded.positions, tokens=tokens, key=key)

    @functools.cached_property
    def compiled_forward(self) -> Callable[..., Array]:
        """`forward` as the backend compiles it, once for all who call it."""
        return self.backend.ops.compile(self.forward)

    def forward_with_balance(
        self, params: Tree, inputs: Array, *, key: Array | None = None, **named: Array
    ) -> tuple[Array, Array | None]:
        """What `forward` gives, and what training adds to the mean loss to balance experts.

        Arguments as for `forward`. The loss is 0-d and weighed; None where there is none.
        """
        if self.decoder is None:
            return self.forward(params, inputs, key=key, **named), None
        embedded, memory = self._read(params, inputs, key=key, **named)
        hidden, balance = self.decoder.with_balance(
            params["decoder"], embedded, memory=memory, key=key
        )
        tokens = inputs if named.get("target") is None else named["target"]
        output = self.output(params, hidden, embedded.positions, tokens=tokens, key=key)
        return output, balance

    def _read(
        self,
        params: Tree,
        inputs: Array,
        *,
        positions: Array | None = None,
        segments: Array | None = None,
        target: Array | None = None,
        target_positions: Array | None = None,
        shown: tuple[Array, Array] | None = None,
        key: Array | None = None,
    ) -> tuple[Embedded, Memory | None]:
        """What the decoder reads, or the head of a model without one: inputs, and a memory."""
        embedded, memory = self.embed(params, inputs, positions, segments=segments, key=key), None
        if shown is not None:
            embedded = with_pictures(self.backend.ops, embedded, *shown)
        if self.encoder is not None:
            memory = self.encoder(params["encoder"], embedded, key=key)
        if self.decoder is not None and target is not None:
            embedded = self.embed_target(params, target, target_positions, key=key)
        return embedded, memory

    def embed(
        self,
        params: Tree,
        inputs: Array,
        positions: Array | None = None,
        *,
        segments: Array | None = None,
        key: Array | None = None,
    ) -> Embedded:
        """The embedded inputs; arguments as for `forward`."""
        where = count_positions(self.backend.ops, inputs) if positions is None else positions
        return self.embedding(params["embedding"], inputs, where, segments=segments, key=key)

    def embed_target(
        self,
        params: Tree,
        target: Array,
        positions: Array | None = None,
        *,
        key: Array | None = None,
    ) -> Embedded:
        """The embedded input of the decoder, by its own embedding where it has one."""
        where = count_positions(self.backend.ops, target) if positions is None else positions
        embedding = self.target_embedding or self.embedding
        return embedding(self._target_tables(params), target, where, key=key)

    def output(
        self,
        params: Tree,
        hidden: Array,
        positions: Array,
        *,
        tokens: Array | None = None,
        key: Array | None = None,
    ) -> Array:
        """The head's output for hidden vectors ``(batch, time, width)``, in ``policy.output``.

        Args:
            params: the parameters, from `place` or `pack`.
            hidden: the last hidden vectors.
            positions: int32 ``(batch, time)``, -1 for padding.
            tokens: int32 ``(batch, time)``, for a head that pools by them (`HeadConfig.by_token`).
            key: int32 ``(2,)`` for dropout, in training.
        """
        ops, config = self.backend.ops, self.config.head
        if config is not None:
            weight = self._head_weight(params, config)
            where = {"positions": positions, "tokens": tokens}
            hidden = head(ops, hidden, params["head"], config, weight, key=key, **where)
        wanted = self.policy.output
        return hidden if ops.dtype(hidden) == wanted else ops.astype(hidden, wanted)

    def _head_weight(self, params: Tree, config: HeadConfig) -> Array:
        if not config.tied:
            return params["head"].get("weight")
        return (self.target_embedding or self.embedding).weight(self._target_tables(params))

    def _target_tables(self, params: Tree) -> Tree:
        """Those of the target's embedding, and the source's that it shares."""
        return {**params["embedding"], **params.get("target_embedding", {})}
