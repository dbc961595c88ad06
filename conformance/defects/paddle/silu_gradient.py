"""The gradient of paddle's silu far below zero is no number; it is zero.

In lmkernel: silu is composed of sigmoid.
"""

import paddle

x = paddle.to_tensor([-1000.0], stop_gradient=False)
[slope] = paddle.grad(paddle.nn.functional.silu(x).sum(), x)
print("expected", [0.0], "got", slope.tolist())
