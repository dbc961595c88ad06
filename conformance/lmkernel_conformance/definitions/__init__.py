"""Beams, pictures and sounds by their definitions, on the oracle's arithmetic.

Constraint: they are judged by mutants and beside transformers' own, and have no witness in exact
arithmetic, as every formula of `lmkernel_conformance.oracle` has.
"""
