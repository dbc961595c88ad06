"""Second witnesses of the oracle: each of its formulas, once more, from another side.

Constraints: a witness shares no line with the oracle and takes another way than it; the closed
forms run in mpmath at 100 digits, of which 60 are good after differentiation. Nothing that judges a
backend imports this package: it judges the oracle.
"""
