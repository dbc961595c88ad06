"""KerasHub as a subject of ``lmkernel verify``."""
