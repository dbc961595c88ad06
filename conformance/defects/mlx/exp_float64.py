"""mx.exp of float64 on a processor has the precision of float32, and so have sin, cos and sigmoid.

In lmkernel: those of float64 are made of `mx.power`, `mx.tan` and `mx.tanh`, which are exact.
"""

import math

import mlx.core as mx

mx.set_default_device(mx.cpu)
print("expected", math.exp(-30.5), "got", float(mx.exp(mx.array(-30.5, dtype=mx.float64))))
