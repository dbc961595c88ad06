"""The smallest backend of lmkernel: the mandatory tier alone, on NumPy, for inference."""
