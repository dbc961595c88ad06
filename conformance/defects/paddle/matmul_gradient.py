"""The gradient of paddle.matmul raises where ranks differ and an axis is broadcast.

In lmkernel: both arguments get the same rank first.
"""

import paddle

x, y = paddle.ones([2, 1, 3, 4]), paddle.ones([3, 4, 5])
x.stop_gradient = y.stop_gradient = False
try:
    got = [slope.shape for slope in paddle.grad(paddle.matmul(x, y).sum(), [x, y])]
except ValueError as error:
    got = type(error).__name__
print("expected", [x.shape, y.shape], "got", got)
