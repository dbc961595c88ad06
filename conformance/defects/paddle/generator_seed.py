"""paddle.seed takes the lower 32 bits of a seed, so that other seeds give the same numbers.

In lmkernel: a draw is the sum of two, with 31 bits of the mixed key each, less its whole part.
"""

import paddle

draws = []
for seed in (5, 5 + 2**32):
    paddle.seed(seed)
    draws.append(paddle.rand([3]).tolist())
print("expected", "other numbers", "got", "the same" if draws[0] == draws[1] else "other numbers")
