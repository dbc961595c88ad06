"""A plugin of lmkernel: attention with linear biases, and the focal loss."""
