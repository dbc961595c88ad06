"""mx.exp of float32 on a processor is infinite from 88 on, where e^88.72 is the largest float32.

In lmkernel: large powers are e² · exp(x - 2).
"""

import math

import mlx.core as mx

mx.set_default_device(mx.cpu)
print("expected", f"{math.exp(88.25):.4g}", "got", f"{mx.exp(mx.array(88.25)).item():.4g}")
