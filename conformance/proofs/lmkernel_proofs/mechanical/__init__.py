"""Mutants made by changing the source of what computes: the backend, compositions, components."""
