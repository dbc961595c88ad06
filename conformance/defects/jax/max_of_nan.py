"""jax.numpy.max over some thousand numbers loses NaN on a processor.

Where the NaN stands decides; over a few hundred numbers it is kept.

In lmkernel: the maximum is NaN where `jax.numpy.isnan` finds one.
"""

import jax.numpy as jnp
import numpy as np

x = np.ones(5000, np.float32)
x[17] = np.nan
print("expected", float(np.max(x)), "got", float(jnp.max(x)))
