"""A Llama's `rms_norm_eps` is not converted: it runs with 1e-6, SmolLM2 too, whose is 1e-5.

In lmkernel: `lmkernel verify` names it.
"""

import json
import tempfile
from pathlib import Path

import keras_hub

sizes = {"vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1}
heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "tie_word_embeddings": True}
config = {"model_type": "llama", **sizes, **heads, "rms_norm_eps": 1e-5, "rope_theta": 1e4}
folder = Path(tempfile.mkdtemp())
(folder / "config.json").write_text(json.dumps(config))
model = keras_hub.models.Backbone.from_preset(str(folder), load_weights=False)
print("expected", config["rms_norm_eps"], "got", model.layer_norm_epsilon)
