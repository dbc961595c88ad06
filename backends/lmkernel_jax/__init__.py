"""The JAX backend of lmkernel."""
