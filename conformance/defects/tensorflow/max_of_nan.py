"""Compiled by XLA for a processor, tf.reduce_max and tf.maximum lose NaN.

Eager, they keep it.

In lmkernel: compiled maxima and minima select NaN where one is.
"""

import tensorflow as tf

x = tf.constant([1.0, float("nan"), 3.0])
compiled = tf.function(tf.reduce_max, jit_compile=True)
print("expected", float(tf.reduce_max(x)), "got", float(compiled(x)))
