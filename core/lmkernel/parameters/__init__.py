"""Parameters: dotted names at the edges, nested mappings inside; initial values and packing."""

from lmkernel.parameters.initial import initial_values
from lmkernel.parameters.names import flatten, nest
from lmkernel.parameters.packing import fuse_rows, pack, place

__all__ = ["flatten", "fuse_rows", "initial_values", "nest", "pack", "place"]
