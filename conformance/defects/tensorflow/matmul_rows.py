"""tf.matmul on a processor leaves the last matrices unwritten where both have an axis of extent 1.

Such a product is broadcast by oneDNN, and what was in the memory before comes out.

Only on processors with `avx512_vnni`, where TensorFlow takes oneDNN by itself.

In lmkernel: both arguments are broadcast before they are multiplied.
"""

import numpy as np
import tensorflow as tf

x, y = np.full((3, 1, 6, 4), 2, np.float32), np.full((1, 1, 4, 7), 3, np.float32)
products = tf.matmul(x, y).numpy()
print("expected", [24.0] * 3, "got", [float(matrix.sum() / matrix.size) for matrix in products])
