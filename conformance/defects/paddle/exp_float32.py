"""paddle.exp of float32 never falls below 2.9e-39 where vectors compute it.

Single elements, and those that fill no vector, are right.

In lmkernel: below the smallest normal float32 it is zero.
"""

import paddle

powers = paddle.exp(paddle.full([16], -145.0)).numpy()
print("expected", 0.0, "got", float(powers[0]))
