"""Small models that talk about pictures, in folders as the ecosystem has them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from tokenizers import AddedToken, decoders, models, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend

import lmkernel as lk
from lmkernel.checkpoints.directory import write_directory
from lmkernel.families.family import HfConfig, find_family
from lmkernel.families.names import from_ours
from lmkernel.model import Model
from lmkernel.tokenizers import Tokenizer

if TYPE_CHECKING:
    from pathlib import Path

    from lmkernel.language_model import LanguageModel

SPECIAL = ("<pad>", "<s>", "<end_of_utterance>", "<image>")
MARKS = (
    *("<fake_token_around_image>", "<global-img>"),
    *(f"<row_{row}_col_{column}>" for row in range(1, 7) for column in range(1, 7)),
)
END, IMAGE = SPECIAL.index("<end_of_utterance>"), SPECIAL.index("<image>")
VOCAB = len(SPECIAL) + len(MARKS) + 256
_PARTS = (
    "{% for part in message['content'] %}{% if part['type'] == 'image' %}<image>{% else %}"
    "{{ part['text'] }}{% endif %}{% endfor %}"
)
TEMPLATES = {
    "smolvlm": (
        "<s>{% for message in messages %}{{ message['role'] | capitalize }}:"
        + _PARTS
        + "<end_of_utterance>\n{% endfor %}{% if add_generation_prompt %}Assistant:{% endif %}"
    ),
    "llava": (
        "{% for message in messages %}{{ message['role'] | upper }}: "
        + _PARTS
        + " {% endfor %}{% if add_generation_prompt %}ASSISTANT:{% endif %}"
    ),
}
TEXT = {
    "model_type": "llama",
    "vocab_size": VOCAB,
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "num_key_value_heads": 3,
    "intermediate_size": 40,
    "max_position_embeddings": 512,
    "eos_token_id": END,
    "bos_token_id": 1,
    "pad_token_id": 0,
}
TOWER = {
    "hidden_size": 24,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 40,
    "image_size": 8,
    "patch_size": 2,
}
CONFIGS: dict[str, dict[str, Any]] = {
    "smolvlm": {
        "model_type": "smolvlm",
        "text_config": TEXT,
        "vision_config": TOWER,
        "image_token_id": IMAGE,
        "scale_factor": 2,
    },
    "llava": {
        "model_type": "llava",
        "text_config": TEXT,
        "vision_config": {**TOWER, "model_type": "clip_vision_model"},
        "image_token_index": IMAGE,
    },
}
CONFIGS["idefics3"] = {**CONFIGS["smolvlm"], "model_type": "idefics3"}
TEMPLATES["idefics3"] = TEMPLATES["smolvlm"]
PROCESSORS: dict[str, dict[str, Any]] = {
    "smolvlm": {
        "image_processor_type": "SmolVLMImageProcessor",
        "size": {"longest_edge": 16},
        "max_image_size": {"longest_edge": 8},
    },
    "llava": {
        "image_processor_type": "CLIPImageProcessor",
        "size": {"shortest_edge": 8},
        "crop_size": {"height": 8, "width": 8},
    },
}
PROCESSORS["idefics3"] = {
    **PROCESSORS["smolvlm"],
    "image_processor_type": "Idefics3ImageProcessor",
}


def seeing_tokenizer(kind: str) -> Tokenizer:
    """Bytes and special tokens; LLaVA's puts the first token before a text, which its template
    leaves to it.
    """
    bytes_ = sorted(pre_tokenizers.ByteLevel.alphabet())
    known = {token: number for number, token in enumerate((*SPECIAL, *MARKS, *bytes_))}
    backend = Backend(models.BPE(known, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([AddedToken(token, special=True) for token in (*SPECIAL, *MARKS)])
    if kind == "llava":
        backend.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A $B", special_tokens=[("<s>", 1)]
        )
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": "<s>",
        "eos_token": "<end_of_utterance>",
        "pad_token": "<pad>",
    }
    return Tokenizer(backend, config, templates={"default": TEMPLATES[kind]})


def seeing_model(folder: Path, kind: str, **said: Any) -> LanguageModel:
    """A model whose answers differ from picture to picture."""
    config = {**CONFIGS[kind], **said}
    family = find_family(config["model_type"], "a test")
    model = Model(lk.load_backend("numpy"), family.read(HfConfig(config)))
    values = {
        name: x if "norm" in name else np.float32(6 if "decoder" in name else 10) * x
        for name, x in model.initial(7).items()
    }
    write_directory(
        folder,
        config=config,
        tensors=from_ours(values, family.rules(model.config), model.declare()),
        tokenizer=seeing_tokenizer(kind),
        preprocessor=PROCESSORS[kind],
    )
    return lk.load(folder, backend="numpy")
