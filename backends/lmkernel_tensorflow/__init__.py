"""The TensorFlow backend of lmkernel."""
