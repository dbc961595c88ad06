"""A search for inputs on which a backend fails: shapes, axes, masks, heads, dtypes, magnitudes."""

from lmkernel_conformance.exploration.report import describe_search
from lmkernel_conformance.exploration.search import Finding, SearchResult, explore

__all__ = ["Finding", "SearchResult", "describe_search", "explore"]
