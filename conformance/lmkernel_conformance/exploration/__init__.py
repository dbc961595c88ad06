"""Searches for inputs on which a backend fails: shapes, axes, masks, heads, dtypes, magnitudes."""

from lmkernel_conformance.exploration.report import told
from lmkernel_conformance.exploration.search import Explored, Finding, explore

__all__ = ["Explored", "Finding", "explore", "told"]
