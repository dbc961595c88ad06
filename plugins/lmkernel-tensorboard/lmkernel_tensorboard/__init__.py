"""A plugin of lmkernel: training runs as TensorBoard's event files."""
