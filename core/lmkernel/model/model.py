"""A model is the composition of its parts: input → embedding → encoder → decoder → output.

Constraints: the configuration is static, the parameters are an argument. `forward` is pure, so it
may be differentiated and compiled; `begin`, `step` and `grow` drive a decoder token by token.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, final

import numpy as np

from lmkernel.arguments import require_count
from lmkernel.components.positions import count_positions
from lmkernel.config import HeadConfig, ModelConfig, PrecisionPolicy
from lmkernel.errors import InputError
from lmkernel.factory import ComponentFactory
from lmkernel.model.feeding import check_step, pad_left, started_anew
from lmkernel.model.head import head
from lmkernel.model.initialization import declare_parts
from lmkernel.model.sight import Shown, Sight, fed_vectors, with_pictures
from lmkernel.model.state import DecodingState, bucket, copied
from lmkernel.parameters import initial_values, pack, place

if TYPE_CHECKING:
    from collections.abc import Mapping

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

_PROMPT_STEP = 16
"""Prompts of compiled backends are padded to 16, 32, 64, … so that few shapes are compiled."""


@final
class Model:
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
        return self.output(params, hidden, embedded.positions, key=key)

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
        return self.output(params, hidden, embedded.positions, key=key), balance

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
        self, params: Tree, hidden: Array, positions: Array, *, key: Array | None = None
    ) -> Array:
        """The head's output for hidden vectors ``(batch, time, width)``, in ``policy.output``."""
        ops, config = self.backend.ops, self.config.head
        if config is not None:
            weight = self._head_weight(params, config)
            hidden = head(ops, hidden, params["head"], config, weight, positions=positions, key=key)
        wanted = self.policy.output
        return hidden if ops.dtype(hidden) == wanted else ops.astype(hidden, wanted)

    def _head_weight(self, params: Tree, config: HeadConfig) -> Array:
        if not config.tied:
            return params["head"].get("weight")
        return (self.target_embedding or self.embedding).weight(self._target_tables(params))

    def _target_tables(self, params: Tree) -> Tree:
        """Those of the target's embedding, and the source's that it shares."""
        return {**params["embedding"], **params.get("target_embedding", {})}

    # a few positions at a time

    def encode(
        self, params: Tree, inputs: NDArray[Any], positions: NDArray[np.int32] | None = None
    ) -> Memory:
        """The encoder's output for a source, to be handed to `begin`.

        Args:
            params: from `pack` or `place`.
            inputs: host ids ``(batch, time)``, or vectors ``(batch, time, width)``.
            positions: host ``(batch, time)``, -1 for padding; by default 0, 1, 2, …
        """
        if self.encoder is None:
            raise InputError("expected a model with an encoder, got one without")
        host, ops = np.asarray(inputs), self.backend.ops
        dtype = self.policy.compute if host.dtype.kind == "f" else "int32"
        with self.backend.scope(), self.backend.inference():
            where = None if positions is None else ops.asarray(positions, "int32")
            embedded = self.embed(params, ops.asarray(host, dtype), where)
            return self.encoder(params["encoder"], embedded)

    def begin(
        self, params: Tree, batch: int, capacity: int, *, memory: Memory | None = None
    ) -> DecodingState:
        """The state before the first token: an empty KV cache of at least ``capacity`` slots a row.

        Args:
            params: the parameters, from `pack` or `place`.
            batch: the number of rows.
            capacity: positions a row; `step` grows the cache when they are used up.
            memory: an encoded source from `encode`; what depends on it alone, such as
                the keys and values of cross-attention, is computed once, here. Of a model that is
                shown pictures, `lmkernel.model.sight.row_pictures`.

        Raises:
            InputError: the model has no decoder, its head pools, or a size makes no sense.
        """
        if self.decoder is None:
            raise InputError("expected a model with a decoder, got one without")
        if self.config.head is not None and self.config.head.pooling != "none":
            raise InputError("expected a head for each position, got one that pools")
        require_count("batch", batch)
        require_count("capacity", capacity, least=0)
        # a compiled backend compiles anew for each capacity, so conversations share a few of them
        capacity = bucket(capacity, self.backend.capabilities.shape_step)
        with self.backend.scope(), self.backend.inference():
            shown = None
            if memory is not None and self.config.sight is not None:
                shown = Shown.of(self.backend.ops, memory, self.config.sight.token)
                memory = None
            if memory is not None:  # parts of it become the state, and it serves again
                where, last = copied(self.backend.ops, (memory.positions, memory.state))
                memory = replace(memory, positions=where, state=last)
            tree = self.decoder.start(
                params["decoder"], batch, capacity, self.policy.compute, memory=memory
            )
        growing = any(rotary.depends_on_length for rotary in self.config.embedding.rotaries)
        fed = (np.zeros((batch, 0), np.int32),) * 2 if growing and memory is None else None
        sizes = {"batch": batch, "used": 0, "capacity": capacity}
        return DecodingState(tree, **sizes, fed=fed, shown=shown)

    def slots(self, time: int) -> int:
        """How many slots of the KV cache a step of ``time`` positions takes, padding included."""
        # one token is by far the commonest step and has a shape of its own; padding it to 16 would
        # use up 16 slots for each token
        if time == 1 or not self.backend.capabilities.compiled:
            return time
        return bucket(time, _PROMPT_STEP)

    def fork(self, state: DecodingState) -> DecodingState:
        """A copy of a state, so that both can go on."""
        with self.backend.scope(), self.backend.inference():
            tree = copied(self.backend.ops, state.peek())
        return state.followed_by(tree)

    def step(
        self,
        params: Tree,
        tokens: NDArray[np.int32],
        positions: NDArray[np.int32],
        state: DecodingState,
    ) -> tuple[NDArray[Any], DecodingState]:
        """Feed the next tokens; returns the logits of the last position and the new state.

        Args:
            params: the parameters, from `pack` or `place`.
            tokens: host ``(batch, time)``; rows are padded on the left.
            positions: host ``(batch, time)``; -1 is padding.
            state: the state from `begin`, `fork` or the last step; consumed.

        Returns:
            Host array ``(batch, size)``, and the state after the last token.

        Raises:
            InputError: no integers, shapes that do not fit the state, tokens outside the
                vocabulary, or positions beyond the context.
            CacheError: a state that was consumed already.
        """
        tokens, positions = check_step(self.config, state, tokens, positions)
        ops, step = self.backend.ops, self.backend.capabilities.shape_step
        tokens, positions, state = started_anew(self, params, tokens, positions, state)
        # padding goes to the left, so that the newest token of every row is in the last column:
        # then one output per row is enough, and it is always the same slice
        tokens, positions = pad_left(tokens, positions, self.slots(tokens.shape[1]))
        end = state.used + tokens.shape[1]
        if end > state.capacity:
            state = self.grow(state, bucket(end, step))
        # attention looks at the first `extent` slots. It is static, hence compiled into the step:
        # exact for an eager backend, and in doubling steps where each value would be compiled
        extent = min(bucket(end, step), state.capacity)
        with self.backend.scope(), self.backend.inference():
            arrays = (ops.asarray(x, "int32") for x in (tokens, positions))
            # `start` is an array: a number would become part of the compiled step
            start = ops.asarray(state.used, "int32")
            fed = fed_vectors(ops, state, tokens, positions)
            tree, own = state.consume(), self._compiled_step
            output, tree = own(params, *arrays, tree, start, extent, *fed)
            return ops.to_numpy(output), state.followed_by(tree, used=end)

    def grow(self, state: DecodingState, capacity: int) -> DecodingState:
        """The state (consumed) with room for ``capacity`` positions."""
        if self.decoder is None or capacity < state.capacity:
            raise InputError(f"expected a capacity of {state.capacity} or more, got {capacity}")
        with self.backend.scope(), self.backend.inference():
            tree = self.decoder.grow(state.consume(), capacity)
        return state.followed_by(tree, capacity=capacity)

    def _step(
        self,
        params: Tree,
        tokens: Array,
        positions: Array,
        tree: Tree,
        start: Array,
        extent: int,
        *shown: Array,
    ) -> tuple[Array, Tree]:
        if self.decoder is None:
            raise InputError("expected a model with a decoder, got one without")
        embedded = self.embed_target(params, tokens, positions)
        if shown:
            embedded = with_pictures(self.backend.ops, embedded, *shown)
        hidden, tree = self.decoder.step(params["decoder"], embedded, tree, start, extent=extent)
        # the head is the largest product of a small model; a prompt needs it for one position
        last = self.output(params, hidden[:, -1:], positions[:, -1:])
        return self.backend.ops.reshape(last, (last.shape[0], last.shape[-1])), tree
