"""mx.erf of float32 on a processor is off by 6e-8 near zero, which is 6 % at 1e-6.

In lmkernel: near zero the power series is summed.
"""

import math

import mlx.core as mx
import numpy as np

mx.set_default_device(mx.cpu)
print("expected", np.float32(math.erf(1e-6)), "got", np.array(mx.erf(mx.array(1e-6))))
