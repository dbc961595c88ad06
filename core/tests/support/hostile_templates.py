"""Chat templates that mean harm, and a program that renders them under the system's own limits.

Run as a program it reads templates as JSON, renders each in a process of its own that may have
768 MiB beside what it began with, and prints what came of each. A template that only takes time
has a tenth of the usual steps and seconds, so that the whole table is quick; ``FULL`` have all.
"""

from __future__ import annotations

import json
import os
import resource
import sys
from pathlib import Path

MEMORY = 768 * 2**20
SECONDS = 120  # of a processor; an answer comes in five
FULL = ("H1 scoped", "H2 loop's filter")  # rendered with the usual steps and seconds

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
H3 = {  # one call that makes much
    "ljust": "{{ 'x'.ljust(999999999) }}",
    "rjust": "{{ 'x'.rjust(999999999)|length }}",
    "center": "{{ 'x'.center(999999999) }}",
    "zfill": "{{ '1'.zfill(999999999) }}",
    "center filter": "{{ 'x'|center(999999999)|length }}",
    "constant": "{{ 'x' * 999999999 }}",
    "format": "{{ '{:>999999999}'.format(1) }}",
    "nested format": "{{ '{:{}}'.format(1, 999999999) }}",
    "format_map": "{{ '{a:>999999999}'.format_map({'a': 1}) }}",
    "format of fields": WIDE + "{{ ('{0}' * 1000).format(a) }}",
    "precision": "{{ '{:.999999999f}'.format(1.5) }}",
    "percent": "{{ '%999999999d' % 1 }}",
    "percent star": "{{ '%*d' % (999999999, 1) }}",
    "percent precision": "{{ '%.999999999f' % 1 }}",
    "percent of fields": WIDE + "{{ ('%(a)s' * 1000) % {'a': a} }}",
    "percent of many": "{{ ('%s' * 1000) % ((['x' * 100000] * 1000)|join(',')).split(',') }}",
    "percent filter": "{{ '%999999999d'|format(1) }}",
    "odd": "{{ '%999999999d' is odd }}",
    "divisibleby": "{{ '%999999999d' is divisibleby(1) }}",
    "batch": "{{ [1]|batch(999999999, 0)|list }}",
    "slice": "{{ [1]|slice(999999999, 0)|list }}",
    "sum of lists": "{{ ([[1] * 1000] * 1000)|sum(start=[])|length }}" * 50,
    "sum of long lists": "{{ ([[1] * 100000] * 1000)|sum(start=[])|length }}",
    "nested lists": (
        "{% set a = [1] * 1000 %}{% set b = [a] * 1000 %}{% set c = [b] * 1000 %}{{ c }}"
    ),
    "shared lists": DAG + "{{ n.x }}",
    "shared lists as JSON": DAG + "{{ n.x|tojson }}",
    "shared lists as text": DAG + "{{ (n.x|string)|length }}",
    "shared lists joined": DAG + "{{ (n.x ~ '')|length }}",
    "shared lists formatted": DAG + "{{ '%s' % (n.x,) }}{{ '{}'.format(n.x) }}",
    "shared lists shown": DAG + "{{ '{!r}'.format(n.x) }}",
    "shared lists as a field's text": DAG + "{{ '{a!s}'.format_map({'a': n.x}) }}",
    "shared lists in ASCII": DAG + "{{ '{0!a}'.format(n.x) }}",
    "shared lists joined by a safe text": DAG + "{{ (''|safe).join([n.x]) }}",
    "shared lists into a safe text": DAG + "{{ ('a'|safe).replace('a', n.x) }}",
    "shared lists around a safe text": DAG + "{{ ('a'|safe).center(9, n.x) }}",
    "shared lists after a safe text": DAG + "{{ ('a'|safe).ljust(9, n.x) }}",
    "shared lists compared": DAG + "{% set m = n.x %}" + DAG + "{{ n.x == m }}",
    "shared lists within": DAG + "{% set m = n.x %}" + DAG + "{{ m in [n.x] }}",
    "shared lists counted": DAG + "{% set m = n.x %}" + DAG + "{{ [n.x].count(m) }}",
    "shared lists sorted": DAG + "{% set m = n.x %}" + DAG + "{{ [n.x, m]|sort|length }}",
    "shared lists as index": DAG + "{{ {}[n.x].y }}",
    "shared lists raised": DAG + "{{ raise_exception(n.x) }}",
    "shared lists changed": DAG + "{% for i in [1, 2] %}{{ loop.changed(n.x) }}{% endfor %}",
    "tuple as key": CHAIN + "{{ {n.x: 1} }}",
    "tuple in dictionary": CHAIN + "{{ n.x in {} }}",
    "tuple unique": CHAIN + "{{ [n.x]|unique|list }}",
    "deep list": CHAIN + "{{ n.x }}",
    "deep list as JSON": CHAIN + "{{ n.x|tojson }}",
    "namespace in itself": "{% set n = namespace() %}{% set n.n = n %}{{ n }}",
    "joined in a list": "{% set n = namespace(x=[]) %}"
    + LOOP
    + "{% set n.x = n.x + ['x' * 1000000 ~ i] %}"
    + END,
    "kept texts": "{{ range(99999)|map('string')|map('center', 900000)|list|length }}",
    "kept wide texts": (
        "{% set a = '\U0001f600' * 1000000 %}{{ range(99999)|map('replace', 0, a)|list|length }}"
    ),
    "namespace grows": GROW.format("'aa'", "n.x ~ n.x"),
    "text grows": GROW.format("'aa'", "n.x + n.x"),
    "list grows": GROW.format("[1]", "n.x + n.x"),
    "tuple grows": GROW.format("(1,)", "n.x * 2"),
    "dictionary grows": GROW.format("{}", "dict(n.x, **{'k' ~ i: 'x' * 1000})"),
    "escape grows": GROW.format("'&'", "n.x|escape|string|replace(';', '&')"),
    "JSON grows": GROW.format("'\"'", "n.x|tojson"),
    "title": "{{ ('a ' * 2000000)|title|length }}" * 20,
    "list of text": "{{ ('\u8a9e' * 4000000)|list|length }}",
    "split": (
        "{% set a = ('\u8a9e ' * 2000000).split(' ') %}"
        "{% set b = ('\u8a9e ' * 2000000).split(' ') %}"
    ),
    "splitlines": "{{ ('\u8a9e\n' * 2000000).splitlines()|length }}" * 10,
    "loop over text": "{% for c in '\u8a9e' * 4000000 %}{{ loop.length }}{% endfor %}",
    "range": "{{ range(10 ** 9)|list }}",
    "range's sum": "{{ range(99999999)|sum }}",
    "join": "{{ range(99999)|join('x' * 100000) }}",
    "join method": "{{ ('x' * 100000).join(['a'] * 99999) }}",
    "join of a few": WIDE + "{{ ([a] * 1000)|join|length }}",
    "replace": "{{ ('a' * 10000)|replace('a', 'b' * 100000)|length }}",
    "replace method": "{{ ('a' * 10000).replace('', 'b' * 100000) }}",
    "indent": "{{ ('\n' * 100000)|indent(999999) }}",
    "indent of one line": "{{ 'x'|indent(999999999, true) }}",
    "indent by text": "{{ ('\n' * 100000)|indent('x' * 100000) }}",
    "indent of JSON": "{{ [[[1] * 999] * 99]|tojson(indent=999999999) }}",
    "separators": "{{ ([1] * 99999)|tojson(separators=('x' * 99999, ':')) }}",
    "kept parts": KEEP.format("a.partition('x')"),
    "kept last parts": KEEP.format("a.rpartition('x')"),
    "kept pieces": KEEP.format("a.split('x', 1)"),
    "kept last pieces": KEEP.format("a.rsplit('x', 1)"),
    "kept cyclers": KEEP.format("cycler(*range(99999))"),
    "kept arguments of filters": KEEP.format("[1]|map('default', *range(99999))"),
    "kept dates": KEEP.format("strftime_now('%90000Y%90000Y' ~ 'x' * 900)"),
    "kept arguments": (
        "{% set n = namespace(x=1) %}{% macro f() %}{% set n.x = [n.x, varargs] %}{% endmacro %}"
        + LOOP
        + "{{ f(*range(99999)) }}"
        + END
    ),
    "wordwrap": "{{ ('x ' * 1000000)|wordwrap(1) }}",
    "xmlattr": "{{ {'a': 'x' * 1000000}|xmlattr }}",
    "pprint": DAG + "{{ n.x|pprint }}",
    "urlize": "{{ ('http://x.y ' * 100000)|urlize }}",
    "expandtabs": "{{ '\t'.expandtabs(999999999) }}",
    "translate": "{{ 'a'.translate({97: 'x' * 1000000}) }}",
    "encode": "{{ 'a'.encode('utf-32') }}",
    "concatenation": WIDE + "{{ " + " ~ ".join(["a"] * 1000) + " }}",
    "output": WIDE + LOOP + "{{ a }}" + END,
    "data": LOOP + "x" * 50_000 + END,
    "set block": "{% set a %}" + LOOP + "x" * 50_000 + END + "{% endset %}",
    "filter block": "{% filter upper %}" + LOOP + "x" * 50_000 + END + "{% endfilter %}",
    "call block": "{% macro m() %}{{ caller() }}{% endmacro %}{% call m() %}"
    + LOOP
    + "x" * 50_000
    + END
    + "{% endcall %}",
    "generation": "{% generation %}" + LOOP + "x" * 50_000 + END + "{% endgeneration %}",
    "cycler": "{% set c = cycler(*(range(99999)|list * 100)) %}",
    "joiner": "{% set j = joiner('x' * 100000) %}" + LOOP + "{{ j() }}" + END,
    "strftime": "{{ strftime_now('%9999999Y' * 100000) }}",
    "lipsum": "{{ lipsum(999999) }}",
    "random": "{{ range(9)|random }}",
    "groupby": "{{ [{'a': 1}]|groupby('a') }}",
    "address": "{{ [1]|map('string') }}{{ range }}{{ namespace }}",
    "address in a list": "{{ [[1]|map('string')] }}",
    "address of a function in a list": "{{ [range] }}",
    "address as a field": "{{ '{!r}'.format(range) }}",
    "address in a safe text": "{{ (''|safe).join([range]) }}",
    "rounded text": "{{ 'x'|round(9, 'ceil') }}",
    "rounded list": "{{ (1, 2)|round(8, 'ceil') }}",
    "escape from the sandbox": "{{ ''.__class__.__mro__[1].__subclasses__() }}",
    "attr": "{{ ''|attr('__class__') }}{{ (''|attr('__class__')).__mro__ }}",
    "attribute in a format": "{{ '{0.__class__.__mro__}'.format('') }}",
    "map to attributes": "{{ ['']|map(attribute='__class__.__mro__')|list }}",
    "globals": "{{ range.__globals__ }}{{ cycler.__init__.__globals__ }}",
    "macro's insides": (
        "{% macro m() %}{% endmacro %}{{ m._func.func }}{{ m._environment.from_string }}"
    ),
    "loop's insides": "{% for i in [1] %}{{ loop._iterable.x }}{{ loop._recurse.x }}{% endfor %}",
    "include": "{% include '/etc/passwd' %}",
    "import": "{% import '/etc/passwd' as x %}",
    "from": "{% from '/etc/passwd' import x %}",
    "extends": "{% extends '/etc/passwd' %}",
    "append": "{{ messages.append(1) }}",
    "update": "{{ messages[0].update({}) }}",
    "dunder in a namespace": "{% set n = namespace(__class__=1) %}",
}
M15 = {  # what is no program
    "200 loops": "{% for i in [1] %}" * 200 + "x" + END * 200,
    "many subscripts": "{{ a" + "[0]" * 33_000 + " }}",
    "many calls": "{{ a" + "()" * 48_000 + " }}",
    "break outside": "{% break %}",
    "continue outside": "{% if true %}{% continue %}{% endif %}",
    "break out of a macro": (
        "{% for i in [1] %}{% macro m() %}{% break %}{% endmacro %}{{ m() }}{% endfor %}"
    ),
    "keyword twice": "{% macro m(a) %}{% endmacro %}{{ m(a=1, a=2) }}",
    "keyword twice by **": "{{ dict(a=1, **{'a': 2}) }}",
    "keyword twice of a filter": "{{ 'x'|default(default_value=1, default_value=2) }}",
    "50,000 joined terms": "{{ " + " ~ ".join(["'a'"] * 50_000) + " }}",
    "49,000 joined terms": "{{ " + "~".join(["1"] * 49_000) + " ~ a.b.c }}",
    "49,000 added terms": "{{ " + "+".join(["1"] * 49_000) + " }}",
    "49,000 outputs": "{{a}}" * 39_000 + "{{ a.b.c }}",
    "50,000 added terms": "{{ " + " + ".join(["1"] * 50_000) + " }}",
    "50,000 attributes": "{{ a" + ".a" * 50_000 + " }}",
    "50,000 filters": "{{ 1" + "|abs" * 40_000 + " }}",
    "50,000 nots": "{{ " + "not " * 40_000 + "1 }}",
    "50,000 brackets": "{{ " + "(" * 50_000 + "1" + ")" * 50_000 + " }}",
    "50,000 lists": "{{ " + "[" * 50_000 + "]" * 50_000 + " }}",
    "10,000 ifs": "{% if 1 %}" * 10_000,
    "5,000 nested ifs": "{% if 1 %}" * 5_000 + "{% endif %}" * 5_000,
    "a million characters": "x" * 1_000_000,
    "60,000 outputs": "{{a}}" * 60_000,
    "a long number": "{{ " + "9" * 100_000 + " }}",
    "a number of 40 digits": "{{ " + "9" * 40 + " + 1 }}",
    "an unknown tag": "{% frobnicate %}",
    "an unknown filter": "{{ 1|frobnicate }}",
    "an unknown test": "{{ 1 is frobnicate }}",
    "an open tag": "{% if",
    "an open comment": "{#" * 50_000,
    "an open text": "{{ '" + "x" * 100_000,
    "a macro of itself": "{% macro m(caller, x) %}{{ caller() }}{% endmacro %}{{ m() }}",
    "two callers": "{% macro m() %}x{% endmacro %}{% call m(caller=1) %}{% endcall %}",
    "autoescape": "{% autoescape true %}{{ '<' }}{% endautoescape %}",
    "parameter twice": "{% macro m(a, a) %}{% endmacro %}{{ m(1, b=2) }}",
}
HARMLESS = {  # what costs much in Jinja and nothing here, so that it renders
    "H1 names": (
        "{% set _lmkernel_budget = 1 %}{% with budget = 2 %}{{ budget }}{% endwith %}",
        "2",
    ),
    "M15 25 loops": ("{% for i in [1] %}" * 25 + "x" + END * 25, "x"),
    "M15 joined terms": ("{{ (" + " ~ ".join(["'a'"] * 20_000) + ")|length }}", "20000"),
    "H3 padding": ("{{ 'x'.center(5) ~ '%03d' % 7 ~ '{:>4}'.format(1) }}", "  x  007   1"),
    "H3 shown": ("{{ '{!r} {!a} {!s}'.format('é', ['é'], 1) }}", "'é' ['\\xe9'] 1"),
    "H3 safe": ("{{ ('<&>'|safe).replace('&', '<') ~ 7.5|round }}", "<&lt;>8.0"),
    "H3 dunder": ("[{{ messages.__class__ }}]", "[]"),
}


def outcome(name: str, source: str) -> list[object]:
    """What came of a template: how it ended, in what words, and the process's peak in MiB."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        os.write(writing, json.dumps(_render(name, source)).encode())
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as answer:
        text = answer.read()
    os.waitpid(child, 0)
    result: list[object] = json.loads(text) if text else ["killed", "", 0]
    return result


def _render(name: str, source: str) -> list[object]:
    """Render a template in this process, under limits."""
    from lmkernel.errors import TemplateError
    from lmkernel.tokenizers.template import budget, compile_template

    if name.startswith(("H1", "H2")) and name not in FULL:
        budget.MAX_STEPS //= 10
        budget.MAX_SECONDS /= 10

    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    most = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))
    end = "rendered"
    try:
        words = compile_template(source)(messages=[{"role": "user", "content": "c"}])[:100]
    except TemplateError as error:
        end = "memory" if isinstance(error.__cause__, MemoryError) else "refused"
        words = str(error)
    except BaseException as error:  # noqa: BLE001 - whatever else it is, it is what came
        end, words = "raised", repr(error)[:300]
    return [end, words, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024]


if __name__ == "__main__":
    import lmkernel.tokenizers.template  # noqa: F401 - before the processes part

    json.dump(
        {name: outcome(name, source) for name, source in json.load(sys.stdin).items()}, sys.stdout
    )
