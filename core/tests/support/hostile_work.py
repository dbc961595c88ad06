"""Chat templates that work without end: with a budget of their own, or in no turn of a loop."""

from __future__ import annotations

from hostile_pieces import END, GROW, LOOP, ONE_HASH, OWN, WIDE

H1 = {  # a budget of the template's own
    "scoped": "{% with _lmkernel_budget = 1 %}" + LOOP + LOOP + END + END + "{% endwith %}",
    "loop": "{% for _lmkernel_budget in [1] %}" + LOOP + LOOP + END + END + END,
    "set": "{% set budget = 1 %}{% set _budget = 1 %}" + LOOP + LOOP + END + END,
    "block": "{% block b scoped %}{% set _lmkernel_budget = 1 %}"
    + LOOP
    + LOOP
    + END
    + END
    + "{% endblock %}",
    "macro": "{% macro m(_lmkernel_budget) %}"
    + LOOP
    + LOOP
    + END
    + END
    + "{% endmacro %}{{ m(1) }}",
    "self": "{% set self = 1 %}{% set context = 1 %}{% set environment = 1 %}"
    + LOOP
    + LOOP
    + END
    + END,
}
H2 = {  # work that is no turn of a loop
    "loop's filter": "{% for i in range(99999) if (range(99999)|sum) < 0 %}{% endfor %}",
    "loop's length": (
        "{% for i in range(99999) if (range(99999)|sum) < 0 %}{{ loop.length }}{% endfor %}"
    ),
    "map": "{{ range(99999)|map('string')|map('length')|sum }}" * 30,
    "select": LOOP + "{{ range(99999)|select('odd')|list|length }}" + END,
    "sort": LOOP + "{{ range(99999)|sort(reverse=true)|length }}" + END,
    "unique": LOOP + "{{ range(99999)|unique|list|length }}" + END,
    "in": LOOP + "{{ -1 in (range(99999)|list) }}" + END,
    "join": LOOP + "{{ (range(99999)|join)|length }}" + END,
    "max": LOOP + "{{ range(99999)|max }}" + END,
    "no loop": "{{ range(99999)|sum }}" * 5000,
    "find": WIDE + "{% set b = 'x' * 100000 ~ 'y' %}" + LOOP + "{{ a.find(b) }}" + END,
    "rfind": WIDE + "{% set b = 'y' ~ 'x' * 100000 %}{{ a.rfind(b) }}",
    "rsplit": WIDE + "{% set b = 'y' ~ 'x' * 100000 %}{{ a.rsplit(b)|length }}",
    "rpartition": WIDE + "{% set b = 'y' ~ 'x' * 100000 %}{{ a.rpartition(b)|length }}",
    "strip": WIDE + "{{ a.strip('b' * 100000 ~ 'x')|length }}",
    "trim": WIDE + "{{ a|trim('b' * 100000 ~ 'x')|length }}",
    "replace": WIDE + LOOP + "{% set b = a.replace('x', 'y') %}" + END,
    "compared texts": WIDE + "{% set b = 'x' * 4000000 %}" + LOOP + "{{ a == b }}" + END,
    "compared lists": "{% set a = [1] * 900000 %}{% set b = [1] * 900000 %}"
    + LOOP
    + "{{ a == b }}"
    + END,
    "sorted texts": WIDE + "{{ ([a, a ~ '']|map('upper')|list * 50000)|sort|length }}",
    "binomial": (
        "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}"
    ),
    "call": "{% macro f() %}{{ caller() }}{{ caller() }}{% endmacro %}"
    + "{% call f() %}" * 40
    + "x"
    + "{% endcall %}" * 40,
    "recursion": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "two macros": (
        "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ f() }}"
    ),
    "default": "{% macro f(x=f()) %}{% endmacro %}{{ f() }}",
    "loop()": "{% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}",
    "wide loop()": "{% for i in range(9) recursive %}{{ loop(range(9)) }}{% endfor %}",
    "lazies": "{% set n = namespace(x=[1]) %}"
    + LOOP
    + "{% set n.x = n.x|map('string') %}"
    + END
    + "{{ n.x|list }}",
    "lazies dropped": "{% set n = namespace(x=[1]) %}" + LOOP + "{% set n.x = n.x|select %}" + END,
    "lazy chain": "{% set n = namespace(x=[1]) %}"
    + LOOP
    + "{% set n.x = [1]|select('in', n.x) %}"
    + END
    + "{{ n.x|list }}",
    "round": "{{ 5|round(-999999999) }}",
    "power": "{{ 10 ** 10 ** 10 }}",
    "powers": GROW.format("3", "n.x * n.x"),
    "mapped often": "{{ range(99999)" + "|map('string')" * 49 + "|list|length }}",
    "count": WIDE + "{{ a.count('xx') }}" * 4000,
    "within": WIDE + "{% set b = 'x' * 2000000 ~ 'y' %}" + "{{ b in a }}" * 4000,
    "cycle": LOOP + "{{ loop.cycle(*range(99999)) }}" + END,
    "sorted dictionary": LOOP + "{% set x = {'a': 1, 'b': 2}|dictsort %}" * 400 + END,
    "negative power": "{{ 2 ** -999999999999 ** 3 }}",
    "many beginnings": WIDE
    + "{% set b = 'x' * 2000000 ~ 'y' ~ 'x' * 1999999 %}{{ a.startswith((b,) * 900000) }}",
    "many endings": WIDE
    + "{% set b = 'x' * 2000000 ~ 'y' ~ 'x' * 1999999 %}{{ a.endswith((b,) * 900000) }}",
    "many attributes": "{{ ([{}] * 1000)|sort(attribute=',' * 3999999)|length }}",
    "attributes of attributes": OWN + "{{ ([n] * 999)|join(attribute='n.' * 999999 ~ 'x') }}",
    "sorted by attributes": OWN + "{{ ([n] * 999)|sort(attribute='n.' * 999999 ~ 'x') }}",
    "keys of one hash": ONE_HASH + "{{ dict(loop)|length }}" + END,
    "names of one hash": ONE_HASH + "{{ namespace(loop) }}" + END,
}
