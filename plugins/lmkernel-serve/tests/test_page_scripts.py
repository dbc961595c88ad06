"""The parts of the page that need no browser, in an engine for JavaScript alone."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from lmkernel_serve.assets import page_files
from py_mini_racer import MiniRacer

if TYPE_CHECKING:
    from collections.abc import Callable

    Parse = Callable[[str], Any]


def engine(*names: str) -> MiniRacer:
    """An engine with modules in it, as one script; a module's imports are among them."""
    found = MiniRacer()
    for name in names:
        text = page_files()[f"page/js/{name}"][0].decode()
        text = re.sub(r"^import .*$", "", text, flags=re.MULTILINE)
        found.eval(re.sub(r"^export ", "", text, flags=re.MULTILINE))
    return found


@pytest.fixture(scope="module", name="parse")
def parse_fixture() -> Parse:
    own = engine("inline.js", "markdown.js")
    return lambda text: json.loads(str(own.eval(f"JSON.stringify(parse({json.dumps(text)}))")))


def words(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def paragraph(*children: Any) -> dict[str, Any]:
    return {"type": "paragraph", "children": list(children)}


def node(kind: str, *children: Any) -> dict[str, Any]:
    return {"type": kind, "children": list(children)}


def link(href: str, *children: Any, image: bool = False) -> dict[str, Any]:
    return {"type": "link", "href": href, "image": image, "children": list(children)}


INLINE: list[tuple[str, list[Any]]] = [
    ("plain", [words("plain")]),
    ("*a* _b_", [node("em", words("a")), words(" "), node("em", words("b"))]),
    ("**a**", [node("strong", words("a"))]),
    ("***a***", [node("em", node("strong", words("a")))]),
    ("**a *b* c**", [node("strong", words("a "), node("em", words("b")), words(" c"))]),
    ("~~a~~ ~b~", [node("del", words("a")), words(" ~b~")]),
    ("snake_case_name", [words("snake_case_name")]),
    ("2 * 3 * 4", [words("2 * 3 * 4")]),
    ("*open", [words("*open")]),
    ("`a*b*`", [{"type": "code", "text": "a*b*"}]),
    ("`` a`b ``", [{"type": "code", "text": "a`b"}]),
    ("`open", [words("`open")]),
    (r"\*a\*", [words("*a*")]),
    ("[a](https://b.example/c_d)", [link("https://b.example/c_d", words("a"))]),
    ("[a](https://b.example/(c))", [link("https://b.example/(c)", words("a"))]),
    ("![a](https://b.example)", [link("https://b.example", words("a"), image=True)]),
    ("[a] (b)", [words("[a] (b)")]),
    ("<b>a</b>", [words("<b>a</b>")]),
    (
        "see https://b.example/c.",
        [
            words("see "),
            {
                "type": "link",
                "href": "https://b.example/c",
                "children": [words("https://b.example/c")],
            },
            words("."),
        ],
    ),
]


@pytest.mark.parametrize(("text", "children"), INLINE)
def test_within_a_paragraph(parse: Parse, text: str, children: list[Any]) -> None:
    assert parse(text) == [paragraph(*children)]


@pytest.mark.parametrize(
    "href",
    [
        "javascript:alert(1)",
        "JaVaScRiPt:alert(1)",
        " javascript:alert(1)",
        "\\u0001javascript:alert(1)",
        "data:text/html,x",
        "vbscript:x",
        "//elsewhere.example",
        "/v1/models",
        "file:///etc/passwd",
        "https://a.example/<script>",
    ],
)
def test_a_link_that_could_run_something_is_its_text(parse: Parse, href: str) -> None:
    [block] = parse(f"[a]({href})")
    assert [part["type"] for part in block["children"]] == ["span"]
    assert "href" not in json.dumps(block)


def item(*blocks: Any, checked: bool | None = None) -> dict[str, Any]:
    return {"checked": checked, "blocks": list(blocks)}


def bullets(*items: Any) -> dict[str, Any]:
    return {"type": "list", "ordered": False, "start": None, "items": list(items)}


def test_blocks(parse: Parse) -> None:
    assert parse("# A #\n\nb\nc\n***\n> d\n> > e") == [
        {"type": "heading", "level": 1, "children": [words("A")]},
        paragraph(words("b\nc")),
        {"type": "rule"},
        {
            "type": "quote",
            "blocks": [
                paragraph(words("d")),
                {"type": "quote", "blocks": [paragraph(words("e"))]},
            ],
        },
    ]


def test_lists_in_lists(parse: Parse) -> None:
    assert parse("- a\n  - b\n    c\n- [x] d\n\n  e\n\nf") == [
        bullets(
            item(paragraph(words("a")), bullets(item(paragraph(words("b\nc"))))),
            item(paragraph(words("d")), paragraph(words("e")), checked=True),
        ),
        paragraph(words("f")),
    ]


def test_numbers_with_what_is_little_indented(parse: Parse) -> None:
    [own] = parse("3. a\n  - b\n4. c")
    assert (own["ordered"], own["start"], len(own["items"])) == (True, 3, 2)
    assert [one["type"] for one in own["items"][0]["blocks"]] == ["paragraph", "list"]


def test_code_keeps_what_is_in_it(parse: Parse) -> None:
    assert parse("```html\n<script>*a*\n\n# b\n```\nc") == [
        {"type": "code", "language": "html", "text": "<script>*a*\n\n# b"},
        paragraph(words("c")),
    ]


def test_code_that_is_still_being_written(parse: Parse) -> None:
    assert parse("~~~\na") == [{"type": "code", "language": "", "text": "a"}]


def test_a_table(parse: Parse) -> None:
    assert parse("| a | b |\n|:-:|--:|\n| c\\|d |\n\ne | f") == [
        {
            "type": "table",
            "align": ["center", "right"],
            "head": [[words("a")], [words("b")]],
            "rows": [[[words("c|d")], []]],
        },
        paragraph(words("e | f")),
    ]


HOSTILE = [
    "*" * 20_000,
    "*a " * 20_000,
    "a* " * 20_000,
    "**a _b " * 10_000,
    "[" * 20_000,
    "[a](" * 10_000,
    "![" * 20_000,
    "`" * 20_000,
    "".join("`" * n + " " for n in range(200)),
    "> " * 10_000,
    "- " * 10_000,
    "|" * 20_000 + "\n" + "|-" * 10_000,
    "#" * 20_000,
    "https://" * 5_000,
    "\\" * 20_000,
    "~~a" * 10_000,
    "1. " * 10_000,
    "<" * 20_000,
]


@pytest.mark.parametrize("text", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_texts_are_read(text: str) -> None:
    own = engine("inline.js", "markdown.js")
    said = own.eval(f"JSON.stringify(parse({json.dumps(text)}))")
    assert json.loads(str(said))


def test_a_conversation_is_a_tree() -> None:
    own = engine("conversation.js")
    own.eval("""
        const c = newConversation("c", 0);
        add(c, null, {role: "user", content: "q"}, "q1");
        add(c, "q1", {role: "assistant", content: "a"}, "a1");
        add(c, "q1", {role: "assistant", content: "b"}, "a2");
        add(c, "a2", {role: "user", content: "r"}, "r1");
        const shown = () => JSON.stringify(path(c).map((node) => node.id));
    """)
    assert own.eval("shown()") == '["q1","a2","r1"]'
    assert own.eval("JSON.stringify(version(c, c.nodes.a2))") == '{"index":1,"count":2}'
    own.eval("turn(c, c.nodes.a2, -1)")
    assert own.eval("shown()") == '["q1","a1"]'
    own.eval("turn(c, c.nodes.a1, -1)")
    assert own.eval("shown()") == '["q1","a1"]'
    own.eval('turn(c, c.nodes.a1, 1); add(c, null, {role: "user", content: "s"}, "q2")')
    assert own.eval("shown()") == '["q2"]'
    own.eval("turn(c, c.nodes.q2, -1)")
    assert own.eval("shown()") == '["q1","a2","r1"]'
    said = json.loads(str(own.eval('JSON.stringify(asMessages(c, "r1", "be brief"))')))
    assert [one["role"] for one in said] == ["system", "user", "assistant", "user"]
    assert [one["content"] for one in said] == ["be brief", "q", "b", "r"]
    assert own.eval('asMessages(c, "q1", "").length') == 1


def test_pictures_stand_before_the_text_of_their_question() -> None:
    own = engine("conversation.js")
    own.eval("""
        const c = newConversation("c", 0);
        add(c, null, {role: "user", content: "q", pictures: ["data:a", "data:b"]}, "q1");
        add(c, "q1", {role: "assistant", content: "a"}, "a1");
    """)
    question, answer = json.loads(str(own.eval('JSON.stringify(asMessages(c, "a1", ""))')))
    urls = [part["image_url"]["url"] for part in question["content"][:2]]
    assert (urls, question["content"][2]) == (["data:a", "data:b"], {"type": "text", "text": "q"})
    assert answer == {"role": "assistant", "content": "a"}


def test_an_answer_that_never_began_is_not_sent() -> None:
    own = engine("conversation.js")
    own.eval("""
        const c = newConversation("c", 0);
        add(c, null, {role: "user", content: "q"}, "q1");
        add(c, "q1", {role: "assistant", content: ""}, "a1");
        add(c, "a1", {role: "user", content: "r"}, "r1");
    """)
    said = json.loads(str(own.eval('JSON.stringify(asMessages(c, "r1", ""))')))
    assert [one["content"] for one in said] == ["q", "r"]


def test_a_title_is_the_first_line_and_short() -> None:
    own = engine("conversation.js")
    assert own.eval('titleOf("  why?\\nbecause")') == "why?"
    assert len(str(own.eval('titleOf("a".repeat(100))'))) == 48


@pytest.mark.parametrize(
    ("text", "thinks", "reasoning", "content"),
    [
        ("4 </think>", False, "", "4 </think>"),
        ("<think>\ntwo and two\n</think>\n\n4", True, "two and two", "4"),
        ("two and two\n</think>\n\n4", True, "two and two", "4"),
        ("<think>two and", True, "two and", ""),
        ("<think>a</think>b</think>c", True, "a", "b</think>c"),
    ],
)
def test_a_thought_that_goes_on_is_told_from_the_answer(
    text: str, thinks: bool, reasoning: str, content: str
) -> None:
    asked = f"JSON.stringify(parted({json.dumps(text)}, {json.dumps(thinks)}))"
    found = json.loads(str(engine("tokens.js").eval(asked)))
    assert found == {"reasoning": reasoning, "content": content}
