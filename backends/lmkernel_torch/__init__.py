"""The PyTorch backend of lmkernel."""
