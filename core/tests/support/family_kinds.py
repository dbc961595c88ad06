"""Small random checkpoints by transformers' own classes: what makes each, and what it says."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import transformers
from decoder_kinds import BERT, DECODERS, GATED, GPT2, OLDER, SLIDING, WHISPER
from encoder_kinds import ENCODERS, auto_class, encoder_inputs, encoder_output, has_segments
from family_inputs import ENDED, LENGTHS, REAL, SEGMENTS, SOUND, SOURCE, SOURCE_REAL, TIME, TOKENS
from sequence_kinds import SEQUENCES
from sight_kinds import SIGHTS, SeenRows
from vision_kinds import PICTURES, SQUARE_PICTURES, TOWERS, VISION, picture_output
from wave_kinds import WAVE_KINDS, wave_output

if TYPE_CHECKING:
    from collections.abc import Mapping

LABELS = {0: "no", 1: "perhaps", 2: "yes"}


def use_eager_experts(model: Any) -> None:
    """The other ways in which transformers computes experts know no float64."""
    if getattr(model.config, "num_experts_per_tok", 0):
        model.set_experts_implementation("eager")


def as_modules_have_them(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Tensors of a checkpoint by the names of transformers' parameters, which hold all experts."""
    found: dict[str, np.ndarray] = {}
    for name in sorted(tensors, key=lambda n: [int(x) if x.isdigit() else x for x in n.split(".")]):
        module = name.replace("block_sparse_moe", "mlp").replace("embed_out", "lm_head")
        layer, at, rest = module.partition(".mlp.experts.")
        if module == "final_logits_bias":  # a buffer there, which is not learnt
            continue
        if not at or not rest[0].isdigit():
            found[module] = tensors[name]
            continue
        number, product, _ = rest.split(".")
        if product in ("up_proj", "w3"):  # comes with its gate
            continue
        value = tensors[name]
        if product in ("gate_proj", "w1"):
            up = name.replace(".gate_proj.", ".up_proj.").replace(".w1.", ".w3.")
            value = np.concatenate([value, tensors[up]])
        whole = f"{layer}{at}" + ("down_proj" if product in ("down_proj", "w2") else "gate_up_proj")
        before = [] if number == "0" else [found[whole]]
        found[whole] = np.concatenate([*before, value[None]])
    return found


def named_dtype(model: Any) -> str:
    """The dtype of a model's floats, as NumPy calls it."""
    return str(model.dtype).removeprefix("torch.")


@dataclass(frozen=True)
class Kind:
    """One sort of checkpoint: transformers' classes, and what makes it small.

    ``source`` says that an encoder reads a source, and the tokens are the target's; ``sound``
    that the source is one. ``pictures`` says that pictures are read, and no tokens; ``waves``,
    that samples are; ``pair``, that pictures and texts are; ``vectors``, how many tokens a picture
    takes that a decoder is shown. ``alone`` says that transformers is asked row by row, without
    padding: Gemma 2 adds two mask minima in float64, which gives NaN where a window shows padding
    alone.
    """

    config: str
    model: str
    auto: str
    options: Mapping[str, Any]
    shards: str = "50GB"
    segments: bool = False
    alone: bool = False
    source: bool = False
    sound: bool = False
    pictures: bool = False
    pair: bool = False
    waves: bool = False
    vectors: int = 0

    @property
    def seen(self) -> SeenRows | None:
        """The rows of a decoder that is shown pictures."""
        return SeenRows(self.vectors) if self.vectors else None

    @property
    def causal(self) -> bool:
        """Of a pair, whether padding of texts is not seen."""
        return self.config == "CLIPConfig"

    def make(self) -> Any:
        """A random model, with weights and biases that all matter."""
        torch.manual_seed(11)
        config = getattr(transformers, self.config)(**self.options)
        model = getattr(transformers, self.model)(config)
        if self.sound:  # a table that transformers doesn't train, and opens
            model.model.encoder.embed_positions.requires_grad_()
        with torch.no_grad():
            learnt = [p for p in model.parameters() if p.requires_grad]
            for parameter in (
                *learnt,
                *[b for n, b in model.named_buffers() if n == "final_logits_bias"],
            ):
                parameter.add_(torch.randn_like(parameter) * 0.15)
            for name, buffer in model.named_buffers():
                if name.endswith("e_score_correction_bias"):
                    buffer.add_(torch.randn_like(buffer) * 0.3)
        use_eager_experts(model)
        return model.eval()

    def output(self, model: Any, rows: np.ndarray) -> Any:
        """The logits, or the pooled vector, of some rows."""
        if self.pictures:
            pixels = torch.tensor(PICTURES[rows]).to(model.dtype)
            return picture_output(model(pixel_values=pixels))
        if self.waves:
            return wave_output(model, rows)
        if self.pair:
            pixels = torch.tensor(SQUARE_PICTURES[rows]).to(model.dtype)
            texts = torch.tensor(ENDED), torch.tensor(REAL if self.causal else np.ones_like(REAL))
            return model(texts[0], pixels, attention_mask=texts[1].long()).logits_per_image
        if self.seen:
            return self.seen.output(model, rows)
        if self.alone:
            return torch.cat([self._row(model, row) for row in rows])
        named = {"input_ids": TOKENS[rows], "attention_mask": REAL[rows].astype(np.int64)}
        if self.source:
            named = {f"decoder_{name}": x for name, x in named.items()}
            named["input_ids"] = SOURCE[rows]
            named["attention_mask"] = SOURCE_REAL[rows].astype(np.int64)
        if self.sound:
            named.pop("attention_mask")
            named["input_features"] = SOUND[rows].transpose(0, 2, 1).astype(named_dtype(model))
            named.pop("input_ids")
        if self.segments:
            named["token_type_ids"] = SEGMENTS[rows]
        return encoder_output(self.model, model(**encoder_inputs(self.model, named)))

    def _row(self, model: Any, row: int) -> Any:
        """The logits of one row, with zeros at its padding."""
        length = LENGTHS[row]
        logits = model(torch.tensor(TOKENS[row : row + 1, :length])).logits
        return torch.nn.functional.pad(logits, (0, 0, 0, TIME - length))


CAUSAL = "AutoModelForCausalLM"
CLASSES = "AutoModelForSequenceClassification"
KINDS = {
    "gpt2": Kind("GPT2Config", "GPT2LMHeadModel", CAUSAL, GPT2, shards="60KB"),
    "gpt2 untied": Kind(
        "GPT2Config",
        "GPT2LMHeadModel",
        CAUSAL,
        {**GPT2, "tie_word_embeddings": False, "scale_attn_weights": False},
    ),
    "bert pooled": Kind("BertConfig", "BertModel", "AutoModel", BERT, segments=True),
    "bert masked": Kind(
        "BertConfig", "BertForMaskedLM", "AutoModelForMaskedLM", BERT, segments=True
    ),
    "bert untied": Kind(
        "BertConfig",
        "BertForMaskedLM",
        "AutoModelForMaskedLM",
        {**BERT, "tie_word_embeddings": False},
        segments=True,
    ),
    "bert classes": Kind(
        "BertConfig",
        "BertForSequenceClassification",
        CLASSES,
        {**BERT, "id2label": LABELS, "classifier_dropout": 0.2},
        segments=True,
    ),
    "mistral": Kind("MistralConfig", "MistralForCausalLM", CAUSAL, {**GATED, "sliding_window": 4}),
    "mistral wide": Kind(
        "MistralConfig",
        "MistralForCausalLM",
        CAUSAL,
        {**GATED, "sliding_window": None, "head_dim": 12, "tie_word_embeddings": True},
    ),
    "qwen2": Kind("Qwen2Config", "Qwen2ForCausalLM", CAUSAL, GATED),
    "qwen2 sliding": Kind("Qwen2Config", "Qwen2ForCausalLM", CAUSAL, {**GATED, **SLIDING}),
    **{
        name: Kind(config, model, CAUSAL, options)
        for name, (config, model, options) in OLDER.items()
    },
    **{
        name: Kind(config, model, CAUSAL, {**GATED, **options}, alone=name == "gemma2")
        for name, (config, model, options) in DECODERS.items()
    },
    **{
        name: Kind(config, model, auto_class(model), options, segments=has_segments(options))
        for name, (config, model, options) in ENCODERS.items()
    },
    **{
        name: Kind(config, model, "AutoModelForSeq2SeqLM", options, source=True)
        for name, (config, model, options) in SEQUENCES.items()
    },
    **{
        name: Kind(f"{config}Config", model, auto, options, pictures=True)
        for name, (config, model, auto, options) in VISION.items()
    },
    **{
        name: Kind(f"{config}Config", f"{config}Model", "AutoModel", options, pair=True)
        for name, (config, options) in TOWERS.items()
    },
    **{
        name: Kind(f"{start}Config", f"{start}ForCTC", "AutoModelForCTC", options, waves=True)
        for name, (start, options) in WAVE_KINDS.items()
    },
    **{
        name: Kind(
            f"{start}Config",
            f"{start}ForConditionalGeneration",
            "AutoModelForImageTextToText",
            options,
            vectors=vectors,
        )
        for name, (start, vectors, options) in SIGHTS.items()
    },
    "whisper": Kind(
        "WhisperConfig",
        "WhisperForConditionalGeneration",
        "AutoModelForSpeechSeq2Seq",
        WHISPER,
        source=True,
        sound=True,
    ),
    "whisper untied": Kind(
        "WhisperConfig",
        "WhisperForConditionalGeneration",
        "AutoModelForSpeechSeq2Seq",
        {**WHISPER, "tie_word_embeddings": False, "activation_function": "relu"},
        source=True,
        sound=True,
    ),
    "qwen3": Kind("Qwen3Config", "Qwen3ForCausalLM", CAUSAL, {**GATED, "head_dim": 12}),
    "qwen3 biased": Kind(
        "Qwen3Config",
        "Qwen3ForCausalLM",
        CAUSAL,
        {**GATED, **SLIDING, "head_dim": 8, "attention_bias": True},
    ),
}


GROWING = {
    "phi3 long": replace(
        KINDS["phi3 long"],
        options={**KINDS["phi3 long"].options, "original_max_position_embeddings": 5},
    ),
    "llama dynamic": Kind(
        "LlamaConfig",
        "LlamaForCausalLM",
        CAUSAL,
        {
            **GATED,
            "max_position_embeddings": 5,
            "rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 4.0},
        },
    ),
}
