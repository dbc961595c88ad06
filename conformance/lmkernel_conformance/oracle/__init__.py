"""The oracle: every formula from its definition, in plain NumPy.

Each formula takes an `Arithmetic`, which fixes the precision and the order of summation. In float64
and NumPy's own order the result is the reference; in a backend's precision, over many orders, the
same formula shows the error that an honest implementation makes.

Constraint: it imports neither the core's compositions nor a backend, so that no mistake is shared.
"""
