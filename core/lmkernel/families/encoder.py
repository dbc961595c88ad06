"""What encoders in the shape of BERT share: configuration, names, and heads in a table.

Dropout: ``hidden_dropout_prob`` and that of a head are read and written. Attention weights are not
dropped here: ``attention_probs_dropout_prob`` is passed over in reading, and written equal to
``hidden_dropout_prob``.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar

from lmkernel.config import (
    AttentionConfig,
    EmbeddingConfig,
    InitConfig,
    MlpConfig,
    ModelConfig,
    TransformerConfig,
)
from lmkernel.errors import CheckpointError
from lmkernel.families.config_keys import ConfigKeys, key_set
from lmkernel.families.encoder_heads import (
    TRAINED,
    head_patterns,
    head_rules,
    kind_of,
    leaf_rules,
    make_head,
    norm_of,
    norm_rules,
    write_head,
)
from lmkernel.families.family import ACTIVATIONS, Family, name_of_activation
from lmkernel.families.hf_config import HfConfig
from lmkernel.families.names import with_optional_prefix

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from lmkernel.config import HeadConfig
    from lmkernel.families.encoder_heads import Heads
    from lmkernel.families.family import MakeHead
    from lmkernel.families.names import Rule
    from lmkernel.families.sizes import Sizes

__all__ = ["ENCODER_KEYS", "EncoderFamily"]

ENCODER_KEYS = ConfigKeys(
    read={
        "architectures": None,
        "vocab_size": 30522,
        "hidden_size": 768,
        "num_hidden_layers": 12,
        "num_attention_heads": 12,
        "intermediate_size": 3072,
        "hidden_act": "gelu",
        "hidden_dropout_prob": 0.1,
        "max_position_embeddings": 512,
        "type_vocab_size": 2,
        "initializer_range": 0.02,
        "layer_norm_eps": 1e-12,
        "classifier_dropout": None,
        "tie_word_embeddings": True,
        "id2label": None,
        "num_labels": 2,
    },
    refused={
        "is_decoder": False,
        "add_cross_attention": False,
        "position_embedding_type": "absolute",
    },
    # training, and the pooler of models before 2019, of which there was one kind
    inert=key_set(
        "attention_probs_dropout_prob pooler_fc_size pooler_num_attention_heads "
        "pooler_num_fc_layers pooler_size_per_head pooler_type directionality is_causal"
    ),
)
"""The keys of BERT, from which others differ."""
_CONTEXT, _SEGMENTS, _PADDING = "max_position_embeddings", "type_vocab_size", "pad_token_id"
_LAYER = "encoder.layers.{i}."
_NOTHING: Mapping[str, Any] = MappingProxyType({})


class EncoderFamily(Family):
    """A family in BERT's shape: post-norm layers over learned positions.

    Attributes:
        model_type: the name that it is registered under.
        prefix: of the names of the bare model, beside a head.
        kinds: its heads, by their names in `encoder_heads`.
        bare: the names of those whose checkpoints have no prefix.
        tables: the names of its embeddings, each with ours.
        layer: what the names of a layer begin with.
        products: the names of a layer's products, each with ours, or with several of ours whose
            rows it holds one after the other.
        norms: the names of a layer's normalisations, each with ours.
        projection: the name of what makes hidden vectors of those in its tables, if any.
        first, last: the names of the normalisations before and after the layers, if any.
        own: what BERT's keys are called, where they have other names.
        fixed: BERT's keys that it does not have, each with what its models do.
        fewest_segments: the smallest ``type_vocab_size``.
        padded: whether positions are counted from the one after ``pad_token_id``, and without the
            tokens that have this id.
        unused: patterns of further tensors that mean nothing here.
        specials: the special token of each role.
    """

    model_type: ClassVar[str]
    prefix: ClassVar[str]
    kinds: ClassVar[Heads]
    bare: ClassVar[tuple[str, ...]] = ("pooled", "vectors")
    tables: ClassVar[Mapping[str, str]] = MappingProxyType(
        {
            "embeddings.word_embeddings": "tokens",
            "embeddings.position_embeddings": "positions",
            "embeddings.token_type_embeddings": "segments",
        }
    )
    layer: ClassVar[str] = "encoder.layer.{i}."
    products: ClassVar[Mapping[str, str | tuple[str, ...]]] = MappingProxyType(
        {
            "attention.self.query": "attention.q",
            "attention.self.key": "attention.k",
            "attention.self.value": "attention.v",
            "attention.output.dense": "attention.o",
            "intermediate.dense": "mlp.up",
            "output.dense": "mlp.down",
        }
    )
    norms: ClassVar[Mapping[str, str]] = MappingProxyType(
        {"attention.output.LayerNorm": "attention_norm", "output.LayerNorm": "mlp_norm"}
    )
    first: ClassVar[str] = "embeddings.LayerNorm"
    last: ClassVar[str] = ""
    projection: ClassVar[str] = ""
    own: ClassVar[Mapping[str, str]] = _NOTHING
    fixed: ClassVar[Mapping[str, Any]] = _NOTHING
    fewest_segments: ClassVar[int] = 1
    padded: ClassVar[bool] = False
    unused: ClassVar[tuple[str, ...]] = ("*embeddings.position_ids",)
    specials: ClassVar[Mapping[str, str]] = MappingProxyType(
        {name: f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
    )
    keys: ClassVar[ConfigKeys] = ENCODER_KEYS

    def read(self, config: HfConfig) -> ModelConfig:
        config = self.complete(config)
        return ModelConfig(
            embedding=self.embedding(config),
            encoder=self.stack(config),
            head=self.head(config),
            context=self._context(config),
            init=InitConfig(scale=config.number("initializer_range")),
        )

    def complete(self, config: HfConfig) -> HfConfig:
        """A configuration with all keys, which answers to BERT's names of them."""
        whole = self.keys.complete(config)
        return HfConfig({**whole.values, **self.fixed}, whole.where, self.own)

    def embedding(self, config: HfConfig) -> EmbeddingConfig:
        """The embedding, of a complete configuration."""
        none = self.fixed.get(_SEGMENTS) == 0
        return EmbeddingConfig(
            width=config.whole("hidden_size"),
            vocab=config.whole("vocab_size"),
            positions="learned",
            context=self._context(config),
            offset=self._offset(config),
            uncounted=config.whole(_PADDING, least=0) if self.padded else None,
            segments=0 if none else config.whole(_SEGMENTS, least=self.fewest_segments),
            norm=norm_of(config),
            inner=self.inner(config),
            dropout=config.rate("hidden_dropout_prob", 0.1),
        )

    def inner(self, config: HfConfig) -> int:
        """Size of the vectors in its tables, where a product makes hidden ones of them."""
        size = config.whole("embedding_size", config.whole("hidden_size"))
        return size if size != config.whole("hidden_size") else 0

    def stack(self, config: HfConfig) -> TransformerConfig:
        """The layers, of a complete configuration."""
        width, heads = config.whole("hidden_size"), config.whole("num_attention_heads")
        return TransformerConfig(
            width=width,
            layers=config.whole("num_hidden_layers"),
            attention=AttentionConfig(width=width, heads=heads, bias=True, out_bias=True),
            mlp=MlpConfig(
                hidden=config.whole("intermediate_size"),
                activation=config.choice("hidden_act", ACTIVATIONS, "gelu"),
                gated=False,
                bias=True,
            ),
            norm=norm_of(config),
            pre_norm=False,
            final_norm=False,
            dropout=config.rate("hidden_dropout_prob", 0.1),
        )

    def head(self, config: HfConfig) -> HeadConfig | None:
        """The head that ``architectures`` names; that of the bare model if it names none."""
        named = {n: slot for slot, k in self.kinds.items() for n in (k.architecture, *k.also)}
        [name, *_] = config.names("architectures") or tuple(named)
        if name not in named:
            raise config.error("architectures", "one of " + ", ".join(named), name)
        return self.make_head(config, named[name], config.labels())

    def make_head(self, config: HfConfig, name: str, labels: tuple[str, ...]) -> HeadConfig | None:
        """A head by its name, for a complete configuration."""
        return make_head(config, self.kinds, name, labels)

    def _context(self, config: HfConfig) -> int:
        offset = self._offset(config)
        context = config.whole(_CONTEXT) - offset
        if context < 1:
            raise config.error(_CONTEXT, f"more than {offset}", config.whole(_CONTEXT))
        return context

    def _offset(self, config: HfConfig) -> int:
        return config.whole(_PADDING, least=0) + 1 if self.padded else 0

    def write(self, config: ModelConfig) -> dict[str, Any]:
        stack, head, embedding = config.encoder, config.head, config.embedding
        if not isinstance(stack, TransformerConfig) or config.decoder is not None:
            raise CheckpointError("expected an encoder of transformer layers, and no decoder")
        written = {
            **write_head(head, self.kinds),
            "vocab_size": embedding.vocab,
            "hidden_size": stack.width,
            "num_hidden_layers": stack.layers,
            "num_attention_heads": stack.attention.heads,
            "intermediate_size": stack.mlp.hidden,
            "hidden_act": name_of_activation(stack.mlp.activation),
            "hidden_dropout_prob": stack.dropout,
            "attention_probs_dropout_prob": stack.dropout,
            _CONTEXT: config.context + embedding.offset,
            _SEGMENTS: embedding.segments,
            "layer_norm_eps": stack.norm.eps,
            "tie_word_embeddings": head is None or head.tied or kind_of(head) != "masked",
            "initializer_range": config.init.scale if config.init else 0.02,
        }
        if self.projection:
            written["embedding_size"] = embedding.table_width
        if self.padded:
            written[_PADDING] = embedding.offset - 1
        named = {self.own.get(k, k): v for k, v in written.items() if k not in self.fixed}
        return {"model_type": self.model_type, **named}

    def heads(self) -> Mapping[str, MakeHead | None]:
        return {
            objective: self._maker(kind)
            for objective, kind in TRAINED.items()
            if kind in self.kinds
        }

    def _maker(self, name: str) -> MakeHead:
        def make(config: HfConfig, labels: tuple[str, ...]) -> HeadConfig:
            head = self.make_head(self.complete(config), name, labels)
            if head is None:
                raise CheckpointError(f"expected a head for {name}")
            return head

        return make

    def new(self, sizes: Sizes) -> dict[str, Any]:
        # a tokenizer that is trained gives special tokens the first ids, in their order
        padding = [*self.specials].index("pad")
        described: dict[str, Any] = {
            "hidden_size": sizes.width,
            "num_hidden_layers": sizes.layers,
            "num_attention_heads": sizes.heads,
            "intermediate_size": sizes.inner,
            _CONTEXT: sizes.context + padding + 1 if self.padded else sizes.context,
            "vocab_size": sizes.vocab,
            _SEGMENTS: 2,
            "hidden_dropout_prob": sizes.dropout,
            "attention_probs_dropout_prob": 0.0,
        }
        if self.padded:
            described[_PADDING] = padding
        named = {self.own.get(k, k): v for k, v in described.items() if k not in self.fixed}
        return {**named, "architectures": [self.kinds["masked"].architecture]}

    def special_tokens(self) -> dict[str, str]:
        return {f"{name}_token": token for name, token in self.specials.items()}

    def rules(self, config: ModelConfig) -> tuple[Rule, ...]:
        prefix = "" if kind_of(config.head) in self.bare else self.prefix
        body = with_optional_prefix(self.prefix, self.body(prefix))
        heads = head_rules(config.head, self.kinds, prefix)
        return (*body, *heads)

    def body(self, prefix: str) -> Iterator[Rule]:
        """Rules for all but the head."""
        for theirs, ours in self.tables.items():
            yield leaf_rules(prefix + theirs, f"embedding.{ours}")[0]
        yield from norm_rules(prefix + self.first, "embedding.norm")
        for theirs, product in self.products.items():
            parts = (product,) if isinstance(product, str) else product
            yield from leaf_rules(prefix + self.layer + theirs, *(_LAYER + part for part in parts))
        for theirs, part in self.norms.items():
            yield from norm_rules(prefix + self.layer + theirs, _LAYER + part)
        if self.last:
            yield from norm_rules(prefix + self.last, "encoder.norm")
        if self.projection:
            yield from leaf_rules(prefix + self.projection, "embedding.project")

    def ignored(self, config: ModelConfig) -> tuple[str, ...]:
        return (*self.unused, *head_patterns(config.head, self.kinds))
