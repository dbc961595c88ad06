"""jax.nn.softmax and log_softmax of 16-bit numbers round differences to the maximum to 16 bits.

So a probability is off by some per cent.

In lmkernel: both are computed in float32 and rounded once.
"""

import jax
import jax.numpy as jnp

x = jnp.array([6.0, -4.03125, 0.0], jnp.bfloat16)
right = jax.nn.softmax(x.astype(jnp.float32)).astype(jnp.bfloat16)
print("expected", f"{float(right[1]):.4g}", "got", f"{float(jax.nn.softmax(x)[1]):.4g}")
