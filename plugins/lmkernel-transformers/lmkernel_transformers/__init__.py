"""transformers as a subject of ``lmkernel verify``."""
