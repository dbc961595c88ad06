"""The NumPy backend of lmkernel: the default, with gradients through autograd."""
