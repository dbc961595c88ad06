"""Designs: factors and their levels, and rows in which every pair or triple of levels meets."""

from __future__ import annotations

from lmkernel_conformance.designs.design import Design, Row, Rule, read_rows
from lmkernel_conformance.designs.tables import DESIGNS

__all__ = ["DESIGNS", "Design", "Row", "Rule", "read_rows"]
