"""Model families: how the ecosystem's configurations and tensor names map to ours.

The interface is `lmkernel.families.family.Family`, the table of names `lmkernel.families.names`.
"""
