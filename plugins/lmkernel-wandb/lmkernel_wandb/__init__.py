"""A plugin of lmkernel: training runs in Weights & Biases."""
