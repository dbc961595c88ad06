"""A row of a dynamic RoPE depends on a longer row before it.

Where a row is at least as long as the original context, the frequencies of the longest row so far
stay in use, so the same ids have other logits after one.

In lmkernel: the angles are the row's own; `lmkernel verify` finds it.
"""

import torch
from transformers import LlamaConfig, LlamaForCausalLM

rope = {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}
sizes = {"vocab_size": 50, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1}
more = {"num_attention_heads": 2, "max_position_embeddings": 16, "initializer_range": 0.5}
torch.manual_seed(0)
model = LlamaForCausalLM(LlamaConfig(**sizes, **more, rope_parameters=rope)).eval()
ids = torch.arange(32)[None]
with torch.no_grad():
    before, _, after = (float(model(ids[:, :n]).logits[0, -1, 0]) for n in (16, 32, 16))
print("expected", f"{before:.4f}", "got", f"{after:.4f}")
