"""lmkernel: one language model, every backend."""

__all__: list[str] = []
