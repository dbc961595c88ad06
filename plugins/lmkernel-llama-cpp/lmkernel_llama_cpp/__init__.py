"""llama.cpp as a subject of ``lmkernel verify``."""
