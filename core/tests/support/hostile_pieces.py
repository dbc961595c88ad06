"""What templates that mean harm are put together from."""

from __future__ import annotations

LOOP, END = "{% for i in range(99999) %}", "{% endfor %}"
GROW = (
    "{{% set n = namespace(x={0}) %}}"
    "{{% for i in range(99999) %}}{{% set n.x = {1} %}}{{% endfor %}}"
)
WIDE = "{% set a = 'x' * 4000000 %}"
KEEP = (  # what each turn makes, none of which is dropped
    "{{% set n = namespace(x=1) %}}{{% set a = 'x' * 3999999 %}}"
    "{{% for i in range(99999) %}}{{% set n.x = [n.x, {0}] %}}{{% endfor %}}"
)
DAG = "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}"
OWN = "{% set n = namespace() %}{% set n.n = n %}"  # so that n.n.n.… has no end
ONE_HASH = "{% for k in range(0, 99999 * (2**61 - 1), 2**61 - 1) %}"  # numbers of one hash
CHAIN = "{% set n = namespace(x=(1,)) %}" + LOOP + "{% set n.x = (n.x,) %}" + END
