"""transformers' cold start: import, load, chat template, 32 tokens streamed; then the process ends.

Arguments: the model's folder, the message, the number of new tokens. This is the quick start of
its documentation, with the streamer that it recommends for chat.
"""

from __future__ import annotations

import sys

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, TextStreamer


def main() -> None:
    """Answer one message."""
    folder, message, count = sys.argv[1:]
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    inputs = tokenizer.apply_chat_template(
        [{"role": "user", "content": message}],
        add_generation_prompt=True,
        return_tensors="pt",
        return_dict=True,
    )
    streamer = TextStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
    model.generate(**inputs, do_sample=False, max_new_tokens=int(count), streamer=streamer)


if __name__ == "__main__":
    main()
