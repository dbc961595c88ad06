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

from hostile_amounts import H3
from hostile_pieces import END
from hostile_work import H1, H2

__all__ = ["H1", "H2", "H3", "HARMLESS", "M15"]

MEMORY = 768 * 2**20
SECONDS = 120  # of a processor; an answer comes in five
FULL = ("H1 scoped", "H2 loop's filter")  # rendered with the usual steps and seconds

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
