"""Chat templates render here as transformers renders them, character by character.

The templates of ``chat_templates/`` have the shapes of published models' templates, in our words.
Further ones are put together from parts by seeded generators: whole templates by a grammar of what
published ones do, and statements by the dozen. Together there are more than a thousand.
"""

from __future__ import annotations

import functools
import itertools
import json
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from template_grammar import whole_template

from lmkernel.errors import TemplateError
from lmkernel.tokenizers.template import compile_template

SHAPES = sorted((Path(__file__).parent / "chat_templates").glob("*.jinja"))
GENERATED = 200
WHOLE = 800

SYSTEM = {"role": "system", "content": " Be brief. "}
USER = {"role": "user", "content": "What is <b>2 + 2</b> & why?\n"}
ASSISTANT = {
    "role": "assistant",
    "content": "<think>\nTwo and two.\n</think>\n\nIt is 4, “four” 😀.",
}
REASONED = {  # in the order in which transformers puts the names of reasoning
    "thinking": "I add.\n",
    "role": "assistant",
    "content": "It is 4.",
    "reasoning_content": "I add.\n",
}
CALL = {
    "role": "assistant",
    "content": "",
    "tool_calls": [
        {
            "id": "abcdef123",
            "type": "function",
            "function": {"name": "weather", "arguments": {"city": "Zürich", "days": "3"}},
        }
    ],
}
ANSWER = {"role": "tool", "name": "weather", "tool_call_id": "abcdef123", "content": '{"t": 21.5}'}
PARTS = {"role": "user", "content": [{"type": "text", "text": "Look:"}, {"type": "image"}]}

CONVERSATIONS: dict[str, list[dict[str, Any]]] = {
    "one question": [USER],
    "with a system's words": [SYSTEM, USER],
    "an answer": [USER, ASSISTANT],
    "four turns": [SYSTEM, USER, ASSISTANT, USER],
    "reasoning": [USER, REASONED, USER, REASONED],
    "a tool": [SYSTEM, USER, CALL, ANSWER, {"role": "assistant", "content": "21.5 degrees"}],
    "two tools": [USER, CALL, ANSWER, ANSWER],
    "parts": [PARTS, ASSISTANT],
    "the wrong order": [ASSISTANT, USER, USER],
}
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "weather",
            "description": "The weather of a city.",
            "parameters": {
                "type": "object",
                "properties": {
                    "days": {"type": "integer", "description": "How many", "default": 1},
                    "city": {"type": "string", "enum": ["Zürich", "Bern"]},
                    "tags": {"type": "array", "items": {"type": "string"}},
                },
                "required": ["city"],
            },
        },
    }
]
DOCUMENTS = [{"title": "A", "text": "First."}, {"title": "B", "text": "Second <2>."}]


def by_transformers(source: str, messages: list[dict[str, Any]], **given: Any) -> str | None:
    """What transformers renders; None where it refuses."""
    from transformers.utils.chat_template_utils import render_jinja_template

    try:
        result: Any = render_jinja_template(conversations=[messages], chat_template=source, **given)
    except Exception:  # noqa: BLE001 - whatever Jinja's compiled code raises is a refusal
        return None
    text: str = result[0][0]
    return text


def by_us(source: str, messages: list[dict[str, Any]], **given: Any) -> str | None:
    """What we render; None where we refuse."""
    try:
        return compile_template(source)(messages=messages, **given)
    except TemplateError:
        return None


def is_beyond_us(source: str, text: str | None) -> bool:
    """Whether a template does what is refused here: it prints an address, or calls ``encode``."""
    return text is not None and (" at 0x" in text.lower() or ".encode" in source)


def given(number: int) -> dict[str, Any]:
    """Variables of a rendering: with and without tools, documents, a prompt, and an option."""
    return {
        "tools": TOOLS if number & 1 else None,
        "documents": DOCUMENTS if number & 2 else None,
        "add_generation_prompt": bool(number & 4),
        "bos_token": "<s>",
        "eos_token": "</s>",
        **({"enable_thinking": False} if number & 8 else {}),
    }


@pytest.mark.parametrize("conversation", CONVERSATIONS)
@pytest.mark.parametrize("path", SHAPES, ids=lambda path: path.stem)
def test_published_shapes_render_as_in_transformers(path: Path, conversation: str) -> None:
    source, messages = path.read_text("utf-8"), CONVERSATIONS[conversation]
    for number in range(16):
        variables = given(number)
        assert by_us(source, messages, **variables) == by_transformers(
            source, messages, **variables
        )


@pytest.mark.parametrize("path", SHAPES, ids=lambda path: path.stem)
def test_published_shapes_render_something(path: Path) -> None:
    source = path.read_text("utf-8")
    texts = [
        by_us(source, messages, **given(number))
        for messages, number in itertools.product(CONVERSATIONS.values(), range(8))
    ]
    assert sum(text is not None for text in texts) >= len(texts) // 4


def test_template_of_smollm2_renders_as_in_transformers() -> None:
    command = [sys.executable, "-m", "lmkernel.cli", "pull", "smollm2-135m-instruct"]
    folder = Path(
        subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    )
    source = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))["chat_template"]
    for messages, number in itertools.product(CONVERSATIONS.values(), range(8)):
        variables = given(number)
        assert by_us(source, messages, **variables) == by_transformers(
            source, messages, **variables
        )


EXPRESSIONS = """
m.role|upper|m.content|trim|m['content']|m.content|string|title|m.content|replace('2', 'two')
m.content.split('</think>')[-1].lstrip()|m.content|length|m.content[:5]|m.content[::-1]
m.get('tool_calls', [])|length|m.tool_calls|default([], true)|tojson
m|tojson|m|dictsort|m|tojson(indent=2)|m|tojson(sort_keys=true, separators=(',', ':'))
m.keys()|list|m.values()|list|m.items()|list|loop.index ~ '/' ~ loop.length|loop.revindex0
loop.first|loop.last|loop.cycle('a', 'b', 'c')|loop.changed(m.role)|loop.previtem.role
loop.nextitem is defined and loop.nextitem.role|(loop.nextitem or m).role|m.missing|m.missing.more
m.missing is defined|m.content is string|m.content is iterable|m.content is mapping|m.name is none
m.role in ['user', 'tool']|'x' not in m.content|m.role == 'user' and loop.first
not m.tool_calls or m.role|1 + 2 * 3 - 4 // 3 % 2 ** 3|7 / 2|-loop.index0|+1
(loop.index0 % 2 == 0)|1 < loop.index <= 3|'%s-%03d' % (m.role, loop.index)|'%(r)s' % {'r': m.role}
'{}: {:>8}'.format(m.role, loop.index)|'{r!r}'.format(r=m.role)|'{0:.2f}'.format(1.5)
'%s'|format(m.role)|m.content if m.content is string|(m.content if loop.first else none)
messages|map(attribute='role')|join(', ')|messages|selectattr('role', 'equalto', 'user')|list|length
messages|rejectattr('role', 'equalto', 'user')|map(attribute='role')|list
(messages|selectattr('tool_calls')|list)|length|messages|map('length')|sum|messages
map('tojson')|first
messages[-1].role|messages[loop.index0:]|length|messages[9]|messages|last|messages|first
messages|groupless|range(3)|list|range(1, 9, 3)|join|[3, 1, 2]|sort|['b', 'A', 'c']
sort(reverse=true)
[1, 2, 2, 'a', 'A']|unique|list|[1, 5, 3]|max|[1, 5, 3]|min|[]|max|[1.25, 2]|sum|2.567|round(1)
2.5|int|'7'|int|'x'|int(default=9)|'1.5'|float|-3|abs|m.role|capitalize|m.content|indent(2)
m.content|indent(2, true)|m.content|e|m.role|center(12)|[1, [2, {'a': none}]]|{'a': 1, 2: [true]}
(1, 'b')|none|true|1.0|1e3|dict(a=1, b=m.role)|m.role|list|m.role|reverse|[1, 2]|reverse|list
m.content|safe + '<x>'|'<&>'|e ~ '<'|m.role.startswith('u')|m.role.count('s')|m.role.find('e')
m.content|string|lower|m.role.partition('s')|'a,b'.split(',', 1)|' '.join(['a', m.role])
bos_token ~ eos_token|namespace(a=1).a|tools|length|(tools or [])|tojson|documents|default([], true)
tools is defined and tools|tools[0].function.name|tools|map(attribute='function.name')|join
m.content|default('d')|undefined_name|default('d')|undefined_name or 'e'|'ab' * 2|[0] * 2 + [1]
m is sameas m|3 is odd|4 is even|9 is divisibleby(3)|m.role is lower|m.role is eq('user')
1 is number
'u' is in(m.role)|m.role|first|m.role|last|''|first|m.content|wordless|m.role.upper|m.role.encode
"""
STATEMENTS = (
    "{{ EXPRESSION }}",
    "{{- EXPRESSION -}}",
    "  {{ EXPRESSION }}\n",
    "{% if EXPRESSION %}yes{% else %}no{% endif %}\n",
    "{%- if loop.first -%} {{ EXPRESSION }} {%- elif loop.last %}\n{{ EXPRESSION }}{% endif %}",
    "{% set x = EXPRESSION %}[{{ x }}]",
    "{% set x %}<{{ EXPRESSION }}>{% endset %}{{ x|upper }}",
    "{% set ns.text = ns.text ~ (EXPRESSION) %}",
    "{% with y = EXPRESSION %}{{ y }}{{ x }}{% endwith %}{{ y }}",
    "{% filter upper %}{{ EXPRESSION }}{% endfilter %}",
    "{% for k in EXPRESSION %}{{ k }}{{ loop.index }}{% else %}none{% endfor %}",
    (
        "{% for k in messages if k.role != 'tool' %}"
        "{{ loop.index }}{{ loop.last }}{{ k.role }}{% endfor %}"
    ),
    (
        "{% for k, v in m.items() %}{{ k }}={{ v }}{% if loop.index == 2 %}"
        "{% break %}{% endif %}{% endfor %}"
    ),
    (
        "{% for k in [1, 2, 3] %}{% if k == 2 %}"
        "{% continue %}{% endif %}{{ k }}{{ EXPRESSION }}{% endfor %}"
    ),
    "{{ show(EXPRESSION) }}",
    "{{ show(EXPRESSION, mark=loop.index) }}",
    "{% call(word) around() %}{{ word }}{{ EXPRESSION }}{% endcall %}",
    "{# a comment #}\n{% generation %}{{ EXPRESSION }}{% endgeneration %}",
    (
        "{% for k in [[1, [2]], [3]] recursive %}"
        "{{ k if k is number else '(' ~ loop(k) ~ ')' }}{{ loop.depth }}{% endfor %}"
    ),
    (
        "{% macro inner(a, b=m.role) %}{{ a }}{{ b }}{{ varargs }}{{ kwargs }}{% endmacro %}"
        "{{ inner(1) }}{{ inner(1, 2, 3, c=4) }}"
    ),
    "{% set a, b = (EXPRESSION), loop.index %}{{ b }}{{ a }}",
    "{% if x is defined %}{{ x }}{% endif %}",
    "{{ raise_exception('no') if loop.index > 3 }}",
    "{{ caller }}{{ varargs }}",
)
HEAD = (
    "{% set ns = namespace(text='', n=0) %}\n"
    "{%- macro show(v, mark='*') -%}{{ mark }}{{ v }}{{ mark }}{%- endmacro %}\n"
    "{%- macro around() %}<{{ caller('w') }}|{{ caller(1) }}>{% endmacro %}\n"
)


def expressions() -> list[str]:
    """One expression for each way to cut a line at a bar, those that do not parse included."""
    lines = EXPRESSIONS.strip().splitlines()
    pieces = [line.split("|") for line in lines]
    return [
        "|".join(words[first : first + length])
        for words in pieces
        for length in (1, 2, 3)
        for first in range(len(words) - length + 1)
    ]


@functools.cache
def working_expressions() -> tuple[str, ...]:
    """The expressions that transformers renders for a usual conversation."""
    return tuple(
        expression
        for expression in sorted(set(expressions()))
        if by_transformers(
            HEAD + "{% for m in messages %}{{ " + expression + " }}{% endfor %}",
            CONVERSATIONS["four turns"],
            **given(7),
        )
        is not None
    )


def generated_template(seed: int) -> str:
    """A template of three to six statements for each message; one in eight may have any words."""
    draw = random.Random(seed)  # noqa: S311 - a test's seed
    pool = expressions() if seed % 8 == 0 else working_expressions()
    body = []
    for _ in range(draw.randint(3, 6)):
        statement = draw.choice(STATEMENTS)
        while "EXPRESSION" in statement:
            statement = statement.replace("EXPRESSION", draw.choice(pool), 1)
        body.append(statement)
    tail = "{{ ns.text }}{% if add_generation_prompt %}{{ bos_token }}{% endif %}\n"
    return HEAD + "{% for m in messages %}\n" + "".join(body) + "\n{% endfor %}\n" + tail


@pytest.mark.parametrize("expression", sorted(set(expressions())))
def test_expressions_render_as_in_transformers(expression: str) -> None:
    source = HEAD + "{% for m in messages %}{{ " + expression + " }}\n{% endfor %}"
    for number, messages in enumerate(CONVERSATIONS.values()):
        ours = by_us(source, messages, **given(number))
        theirs = by_transformers(source, messages, **given(number))
        assert ours == theirs or is_beyond_us(source, theirs)


@pytest.mark.parametrize("seed", range(GENERATED))
def test_generated_templates_render_as_in_transformers(seed: int) -> None:
    source = generated_template(seed)
    chosen = random.Random(seed).sample(sorted(CONVERSATIONS), 5)  # noqa: S311 - the same
    for number, name in enumerate(chosen):
        variables = given(seed + number)
        theirs = by_transformers(source, CONVERSATIONS[name], **variables)
        ours = by_us(source, CONVERSATIONS[name], **variables)
        assert ours == theirs or is_beyond_us(source, theirs), source


@pytest.mark.parametrize("seed", range(WHOLE))
def test_whole_templates_render_as_in_transformers(seed: int) -> None:
    source = whole_template(seed)
    for number, messages in enumerate(CONVERSATIONS.values()):
        variables = given(seed + number)
        theirs = by_transformers(source, messages, **variables)
        assert by_us(source, messages, **variables) == theirs, source


def test_whole_templates_render_something() -> None:
    rendered = [
        by_us(whole_template(seed), messages, **given(seed))
        for seed in range(0, WHOLE, 8)
        for messages in CONVERSATIONS.values()
    ]
    assert sum(bool(text) for text in rendered) >= len(rendered) // 2
    assert len({whole_template(seed) for seed in range(WHOLE)}) == WHOLE


def test_generated_templates_render_something() -> None:
    texts = [
        by_us(generated_template(seed), CONVERSATIONS["four turns"], **given(7))
        for seed in range(GENERATED)
    ]
    assert sum(text is not None for text in texts) >= GENERATED // 3
