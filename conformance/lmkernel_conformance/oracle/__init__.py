"""The oracle: definitions in plain NumPy, apart from the core's compositions and any backend.

Constraints: every formula takes an `Arithmetic`, which says in which precision and in which order
it sums. In float64, in the natural order, its result is the reference; in a backend's precision,
over many orders, it shows the error that an honest implementation makes.
"""
