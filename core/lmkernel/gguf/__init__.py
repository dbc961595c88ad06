"""GGUF files (ggml's container): their metadata, tensors and tokenizer in the ecosystem's words."""
