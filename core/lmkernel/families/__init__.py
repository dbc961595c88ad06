"""Model families: how the ecosystem's configurations and tensor names map to ours, both ways."""

DEFAULT_FAMILY = "gpt2"
"""The family of a new model for which none is named."""
