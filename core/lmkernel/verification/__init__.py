"""Somebody else's implementation of a checkpoint: is it right, and where does it part?"""
