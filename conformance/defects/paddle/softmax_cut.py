"""paddle's softmax cuts its arguments off 64 below the largest, so that tails come out too heavy.

In lmkernel: softmax is composed.
"""

import math

import paddle

probabilities = paddle.nn.functional.softmax(paddle.to_tensor([0.0, -70.0, -80.0])).numpy()
print("expected", f"{math.exp(-80):.3g}", "got", f"{probabilities[2]:.3g}")
