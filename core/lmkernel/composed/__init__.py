"""The default of every optional operation, written from the mandatory tier."""

from lmkernel.composed.assemble import assemble
from lmkernel.composed.table import COMPOSED

__all__ = ["COMPOSED", "assemble"]
