"""Mutants made by rule, from the source of the reference backend, compositions and components."""
