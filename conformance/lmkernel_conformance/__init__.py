"""The conformance suite: proves that a backend computes what the contract says."""
