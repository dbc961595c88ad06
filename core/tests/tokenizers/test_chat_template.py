"""A chat template gets what the ecosystem gives it, and cannot do harm."""

from __future__ import annotations

import datetime as dt

import pytest

from lmkernel.errors import TemplateError
from lmkernel.tokenizers.template import compile_template

MESSAGES = [{"role": "user", "content": "<a> é"}, {"role": "assistant", "content": "b"}]


def render(source: str) -> str:
    return compile_template(source)(messages=MESSAGES)


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{% for m in messages %}\n    {{ m.content }}\n{% endfor %}", "    <a> é\n    b\n"),
        ("{% for m in messages %}{% if loop.last %}{% break %}{% endif %}x{% endfor %}", "x"),
        ("{{ messages[0]|tojson }}", '{"role": "user", "content": "<a> é"}'),
        ("{{ {'b': 1, 'a': 2}|tojson(indent=1) }}", '{\n "b": 1,\n "a": 2\n}'),
        ("{% generation %}{{ messages[1].content }}{% endgeneration %}", "b"),
        ("{{ messages|map(attribute='role')|join(', ') }}", "user, assistant"),
        ("{{ messages|join('/', attribute='role') }}", "user/assistant"),
        ("{{ 'a-b-c'|replace('-', '+') ~ 1 ~ 'a-b'.replace('-', '') }}", "a+b+c1ab"),
        ("{{ '-'.join(['a', 'b']) ~ '%s' % 1 ~ 2 * 3 ~ 2 ** 3 }}", "a-b168"),
        ("{{ messages + [1] == [] }}{{ 'ab' * 2 }}{{ [0] * 2 }}", "Falseabab[0, 0]"),
        (
            "{% macro m(x, context) %}[{{ x }}{{ context }}]{% endmacro %}{{ m(1, context=2) }}",
            "[12]",
        ),
        ("{% macro m() %}({{ caller() }}){% endmacro %}{% call m() %}in{% endcall %}", "(in)"),
        (
            (
                "{% set ns = namespace(n=0) %}{% for m in messages %}{% set ns.n = ns.n + 1 %}"
                "{% endfor %}{{ ns.n }}"
            ),
            "2",
        ),
        ("[{{ '{0.__class__}'.format(1) }}]", "[]"),
        ("[{{ messages|attr('__class__') }}]", "[]"),
        ("{% set lmkernel_step = 1 %}{% for m in messages %}.{% endfor %}", ".."),
    ],
)
def test_template_renders(source: str, text: str) -> None:
    assert render(source) == text


def test_template_knows_the_date() -> None:
    year = dt.datetime.now().astimezone().year
    assert int(render("{{ strftime_now('%Y') }}")) - year in (0, 1)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("{{ raise_exception('no\n system\n role') }}", "refuses the conversation: no system role"),
        ("{% if %}", "does not parse: Expected an expression"),
        ("{{ " + "(" * 5000, "does not parse"),
        ("{{ nothing.there }}", "fails: 'nothing' is undefined"),
        ("{{ 1 / 0 }}", "fails: division by zero"),
        ("{{ 'a' + 1 }}", "fails: can only concatenate"),
        ("{% include 'other' %}", "fails: no loader"),
        ("{{ lipsum() }}", "fails: 'lipsum' is undefined"),
        ("{{ ''.__class__.__mro__ }}", "fails: access to attribute '__class__'.* unsafe"),
        ("{{ cycler.__init__.__globals__ }}", "fails: access to attribute '__init__'"),
        ("{{ messages.append(1) }}", "fails: access to attribute 'append'"),
    ],
)
def test_template_that_fails_gives_the_reason_on_one_line(source: str, reason: str) -> None:
    with pytest.raises(TemplateError, match=f"^the chat template {reason}") as caught:
        render(source)
    assert "\n" not in str(caught.value)


LOOP = "{% for i in range(99999) %}"
END = "{% endfor %}"


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (LOOP + LOOP + END + END, "takes over .* steps"),
        ("{% filter upper %}" + LOOP + LOOP + END + END + "{% endfilter %}", "takes over .* steps"),
        (
            (
                "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}"
                "{{ f(60) }}"
            ),
            "takes over .* steps",
        ),
        ("{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}", "maximum recursion depth"),
        ("{% for m in messages recursive %}{{ loop([m]) }}{% endfor %}", "maximum recursion"),
        (LOOP + "{{ 'x' * 1000 }}" + END, "gives over .* characters"),
        ("{{ range(10 ** 8) }}", "Range too big"),
        ("{{ 'a' * 10 ** 9 }}", r"too large a value with '\*'"),
        ("{{ 10 ** 9 * [1] }}", r"too large a value with '\*'"),
        ("{{ 10 ** 9 * 10 }}", r"too large a value with '\*'"),
        ("{{ 10 ** 10 ** 10 }}", r"too large a value with '\*\*'"),
        ("{{ '%9999999d' % 1 }}", "too large a value with '%'"),
        ("{{ 'x'.center(99999999999) }}", "holds the number 99999999999"),
        (
            "{% set n = namespace(x='aa') %}" + LOOP + "{% set n.x = n.x ~ n.x %}" + END,
            r"too large a value with '\+'",
        ),
        (
            "{% set n = namespace(x=[1]) %}" + LOOP + "{% set n.x = n.x + n.x %}" + END,
            r"too large a value with '\+'",
        ),
        ("{{ range(99999)|join('x' * 100000) }}", "too large a value with 'join'"),
        ("{{ ('x' * 100000).join(['a'] * 99999) }}", "too large a value with 'join'"),
        ("{{ ('a' * 10000)|replace('a', 'b' * 10000) }}", "too large a value with 'replace'"),
        ("{{ ('a' * 10000).replace('a', 'b' * 10000) }}", "too large a value with 'replace'"),
    ],
)
def test_template_without_end_is_stopped(
    source: str, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "lmkernel.tokenizers.template.MAX_SECONDS", 600.0
    )  # on a slow machine, too, it is the steps
    with pytest.raises(TemplateError, match=reason):
        render(source)


def test_slow_template_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lmkernel.tokenizers.template.MAX_SECONDS", -1.0)
    with pytest.raises(TemplateError, match="takes over -1 seconds"):
        render("{% for m in messages %}{% endfor %}")


def test_budget_is_each_renderings_own() -> None:
    template = compile_template("{% for i in range(90000) %}{% endfor %}x")
    assert [template() for _ in range(8)] == ["x"] * 8
