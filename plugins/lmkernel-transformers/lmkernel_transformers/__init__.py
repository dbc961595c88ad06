"""transformers and sentence-transformers as subjects of ``lmkernel verify``."""
