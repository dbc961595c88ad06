"""Second witnesses of the oracle: each of its formulas written once more, in another form.

Constraints: a witness shares no line with the oracle and computes another way. Closed forms run in
mpmath at 100 digits, of which 60 remain after differentiation. Nothing that judges a backend
imports this package: it judges the oracle.
"""
