"""Proofs of the conformance suite: mutants that it must kill, second witnesses of its oracle."""
