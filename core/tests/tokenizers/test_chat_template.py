"""A chat template gets what the ecosystem gives it, and cannot do harm."""

from __future__ import annotations

import datetime as dt

import pytest

from lmkernel.errors import TemplateError
from lmkernel.tokenizers.chat_templates import ChatTemplates
from lmkernel.tokenizers.template import budget, compile_template

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
        ("[{{ messages.__class__ }}]", "[]"),
        ("{{ '%(a)s %03d' is string }}{{ '%(a)s' % {'a': 1} }}{{ '{:>3}'.format(2) }}", "True1  2"),
        ("{% set x = 1 %}{% for m in messages %}{{ x }}{% set x = 2 %}{% endfor %}{{ x }}", "111"),
        ("{% if true %}{% set x = 1 %}{% endif %}{{ x }}", "1"),
        ("{% macro m() %}{{ x }}{% endmacro %}{% set x = 1 %}{{ m() }}", "1"),
        ("{% with x = 1 %}{{ x }}{% endwith %}[{{ x }}]", "1[]"),
        ("{% if messages|select('none') %}lazy{% endif %}", "lazy"),
        ("{{ messages[0].get('name', '-') }}{{ messages[0].name is defined }}", "-False"),
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
        ("{% include 'other' %}", "uses 'include', which is not offered"),
        ("{% autoescape true %}{% endautoescape %}", "uses 'autoescape', which is not offered"),
        ("{% break %}", "uses 'break' outside of a loop"),
        ("{{ lipsum() }}", "fails: 'lipsum' is undefined"),
        ("{{ messages|random }}", "uses the filter 'random', which is not offered"),
        ("{{ messages is prime }}", "uses the test 'prime', which is not offered"),
        ("{{ messages|map('tojson') }}", "prints a Lazy, which has no text"),
        ("{{ '{0.__class__}'.format(1) }}", "formats with the field '0.__class__'"),
        ("{{ messages|attr('__class__') }}", "uses the filter 'attr'"),
        ("{{ ''.__class__.__mro__ }}", "fails: access to attribute '__class__'.* unsafe"),
        ("{{ cycler.__init__.__globals__ }}", "fails: access to attribute '__init__'"),
        ("{{ 'a'.encode('utf-32') }}", "uses str.encode, which is not offered"),
        ("{{ messages.append(1) }}", "fails: access to attribute 'append'"),
        ("{{ dict(a=1, **{'a': 2}) }}", "fails: keyword argument repeated: a"),
        ("{{ raise_exception('x' * 9999) }}", "refuses the conversation: x{300}…$"),
        ("x" * 200_001, "has over 200000 characters"),
        ("{{a}}" * 39_999 + "{{ a~a~a }}", "does not parse|fails|has over"),
        ("{% for i in [1] %}" * 160 + "{% endfor %}" * 160, "nests over 150 deep"),
    ],
)
def test_template_that_fails_gives_the_reason_on_one_line(source: str, reason: str) -> None:
    with pytest.raises(TemplateError, match=f"^the chat template ({reason})") as caught:
        render(source)
    assert "\n" not in str(caught.value)


LOOP = "{% for i in range(99999) %}"
END = "{% endfor %}"


@pytest.mark.parametrize(
    "source",
    [
        LOOP + LOOP + END + END,
        "{% filter upper %}" + LOOP + LOOP + END + END + "{% endfilter %}",
        LOOP.replace(" %}", " if range(99999)|sum < 0 %}") + END,
        LOOP + "{{ range(99999)|map('string')|map('length')|sum }}" + END,
    ],
)
def test_template_takes_so_many_steps(source: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_STEPS", 10_000)
    with pytest.raises(TemplateError, match=r"^the chat template takes over 10000 steps$"):
        render(source)


def test_template_takes_so_many_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_SECONDS", -1.0)
    with pytest.raises(TemplateError, match="takes over -1 seconds"):
        render("{% for m in messages %}{% endfor %}")


def test_template_makes_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_BYTES", 100_000)
    with pytest.raises(TemplateError, match="makes over 100000 bytes of values"):
        render(LOOP + "{% set x = 'x' * 1000 %}" + END)


def test_budget_is_each_renderings_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budget, "MAX_STEPS", 1000)
    template = compile_template("{% for i in range(200) %}{% endfor %}x")
    assert [template() for _ in range(8)] == ["x"] * 8


def test_error_names_where_the_template_comes_from() -> None:
    with pytest.raises(TemplateError, match=r"^models/m: the chat template does not parse"):
        compile_template("{% if", "models/m")
    with pytest.raises(TemplateError, match=r"^models/m: the chat template refuses .*: no$"):
        compile_template("{{ raise_exception('no') }}", "models/m")()


def test_input_is_seen_as_plain_data() -> None:
    class Dangerous(dict[str, object]):
        def explode(self) -> str:
            raise AssertionError

    template = compile_template("{{ m.explode }}{{ m.role }}{{ m.other }}")
    assert template(m=Dangerous(role="user", other=object())) == "user<object>"


def test_input_that_holds_itself_is_refused() -> None:
    endless: list[object] = []
    endless.append(endless)
    with pytest.raises(TemplateError, match="nests too deeply"):
        compile_template("x")(messages=endless)


PARTS = [{"type": "text", "text": "Hello, "}, {"type": "text", "text": "you"}]


EACH = {
    "written": "{{ m.content }}",
    "added": "{{ m.content + '' }}",
    "trimmed": "{{ m['content'] | trim }}",
    "parts": "{% for p in m.content %}{{ p.text }}{% endfor %}",
    "both": "{{ m.content if m.content is string else m.content | map(attribute='text') | join }}",
}


@pytest.mark.parametrize("each", EACH.values(), ids=EACH)
def test_a_content_of_parts_is_its_text_by_every_template(each: str) -> None:
    chats = ChatTemplates({"default": f"{{% for m in messages %}}{each}|{{% endfor %}}"}, {})
    assert chats.render([{"role": "user", "content": PARTS}]) == "Hello, you|"


def test_a_template_that_writes_parts_alone_is_known() -> None:
    parts = "{% for m in messages %}{% for p in m.content %}{{ p.text }}{% endfor %}{% endfor %}"
    both = "{{ messages[0].content if messages[0].content is string else '" + "Well?" + "' }}"
    assert ChatTemplates({"default": parts}, {}).writes_parts_alone
    assert not ChatTemplates({"default": both}, {}).writes_parts_alone
    assert not ChatTemplates({"default": "{{ messages[0].content }}"}, {}).writes_parts_alone


@pytest.mark.parametrize("given", ["reasoning_content", "thinking", "reasoning"])
@pytest.mark.parametrize("read", ["reasoning_content", "thinking"])
def test_what_was_thought_is_found_under_the_name_that_a_template_reads(
    given: str, read: str
) -> None:
    said = {"role": "assistant", "content": "4", given: "two and two"}
    chats = ChatTemplates({"default": f"{{{{ messages[0].{read} }}}}"}, {})
    assert chats.render([said]) == "two and two"
    assert set(said) == {"role", "content", given}


def test_of_several_names_of_a_thought_the_first_that_is_given_goes_before() -> None:
    """As in transformers 5.24, where each name that is read is then filled."""
    source = "{% set m = messages[0] %}{{ m.reasoning_content }} {{ m.thinking }} {{ m.reasoning }}"
    chats = ChatTemplates({"default": source}, {})
    said = {"role": "assistant", "content": "4", "reasoning_content": None}
    assert chats.render([{**said, "reasoning": "r", "thinking": "t"}]) == "t t r"
    assert chats.render([{**said, "thinking": "t", "reasoning_content": "c"}]) == "c t "
    assert chats.render([said]) == "  "
