"""The kernel of tf.nn.softmax gives zeros beside a NaN or an infinity.

Only on processors with `avx512_vnni`, where TensorFlow takes oneDNN's.

In lmkernel: where XLA does not compile it, softmax is composed.
"""

import tensorflow as tf

print("expected", [float("nan")] * 2, "got", tf.nn.softmax([float("inf"), 1.0]).numpy().tolist())
