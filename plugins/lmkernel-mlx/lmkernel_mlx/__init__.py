"""The MLX backend of lmkernel."""
