"""The ONNX Runtime backend of lmkernel."""
