"""The page as it is served: its files, its headers, and what its sources may not do."""

from __future__ import annotations

import http.client
import re
from contextlib import closing
from html.parser import HTMLParser
from posixpath import dirname, join, normpath
from typing import TYPE_CHECKING, Any

import pytest
from lmkernel_serve.assets import page_files
from lmkernel_serve.served import Served

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FILES = {path: content.decode() for path, (content, _) in page_files().items()}
SCRIPTS = {path: text for path, text in FILES.items() if path.endswith(".js")}
INDEX = FILES["page/index.html"]


def get(
    address: str, path: str, headers: Mapping[str, str] | None = None
) -> tuple[int, Mapping[str, str], bytes]:
    with closing(http.client.HTTPConnection(address.removeprefix("http://"))) as connection:
        connection.request("GET", path, headers=dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, dict(answer.headers), answer.read()


class Elements(HTMLParser):
    """Every tag with its attributes, and what stands in buttons."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


ELEMENTS = Elements(INDEX).tags


def test_the_page_is_at_the_root(address: str) -> None:
    status, headers, body = get(address, "/")
    assert (status, body.decode()) == (200, INDEX)
    assert headers["content-type"] == "text/html; charset=utf-8"


def test_its_policy_lets_nothing_in_from_elsewhere(address: str) -> None:
    for path in ("/", "/page/js/main.js", "/page/icon.svg"):
        _, headers, _ = get(address, path)
        policy = dict(
            part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
        )
        assert policy["default-src"] == "'none'"
        assert policy["require-trusted-types-for"] == "'script'"
        for name in ("script-src", "style-src", "connect-src"):
            assert policy[name] == "'self'"
        assert policy["img-src"] == "'self' data:"
        for name in ("base-uri", "form-action", "frame-ancestors"):
            assert policy[name] == "'none'"
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", sorted(FILES))
def test_every_file_is_served_with_its_type(address: str, path: str) -> None:
    status, headers, body = get(address, f"/{path}")
    assert (status, body) == (200, FILES[path].encode())
    kinds = {"js": "text/javascript", "css": "text/css", "html": "text/html"}
    assert headers["content-type"].startswith(kinds.get(path.rpartition(".")[2], "image/svg+xml"))


def test_a_file_that_a_browser_has_is_not_sent_again(address: str) -> None:
    _, headers, _ = get(address, "/page/js/main.js")
    assert headers["cache-control"] == "no-cache"
    status, _, body = get(address, "/page/js/main.js", {"If-None-Match": headers["etag"]})
    assert (status, body) == (304, b"")


@pytest.mark.parametrize("path", ["/page", "/page/", "/page/../app.py", "/page/%2e%2e/app.py"])
def test_nothing_else_of_the_package_is_served(address: str, path: str) -> None:
    status, _, body = get(address, path)
    assert (status, b'"error"' in body) == (404, True)


def test_the_page_needs_no_key_and_what_it_asks_for_does(
    tiny: Any, serving: Any, tmp_path: Path
) -> None:
    with serving(Served("tiny", tiny(tmp_path / "own")), key="secret") as address:
        assert get(address, "/")[0] == 200
        assert get(address, "/page/js/main.js")[0] == 200
        assert get(address, "/lmkernel/models")[0] == 401
        shown = {"Authorization": "Bearer secret"}
        assert get(address, "/lmkernel/models", shown)[0] == 200


def test_what_the_document_names_is_there() -> None:
    named = [
        value
        for _, attributes in ELEMENTS
        for name, value in attributes.items()
        if name in {"src", "href"} and value and not value.startswith("#")
    ]
    assert len(named) > 8
    assert [one for one in named if one not in FILES] == []


IMPORT = re.compile(r'^import \{ ([^}]*) \} from "([^"]+)";$', re.MULTILINE)
EXPORT = re.compile(r"^export (?:async )?(?:function\*?|class|const) (\w+)", re.MULTILINE)


@pytest.mark.parametrize("path", sorted(SCRIPTS))
def test_what_a_script_imports_is_there(path: str) -> None:
    imports = IMPORT.findall(FILES[path])
    for names, source in imports:
        exported = EXPORT.findall(FILES[normpath(join(dirname(path), source))])
        assert set(names.split(", ")) <= set(exported)
    assert len(imports) == len(re.findall(r"\bimport\b", FILES[path]))


SINKS = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(|new Function|setTimeout\(\"|"
    r"createContextualFragment|DOMParser|srcdoc|javascript:"
)


@pytest.mark.parametrize("path", sorted(SCRIPTS))
def test_no_script_reads_a_text_as_html_or_code(path: str) -> None:
    assert SINKS.findall(FILES[path]) == []


@pytest.mark.parametrize("path", sorted(FILES))
def test_nothing_names_another_host(path: str) -> None:
    outside = re.findall(r"(?:https?:)?//(?=[a-z0-9])[^\s\"'\\`)]+", FILES[path])
    assert [one for one in outside if one != "http://www.w3.org/2000/svg"] == []


@pytest.mark.parametrize("path", sorted(FILES))
def test_files_are_small(path: str) -> None:
    assert len(FILES[path].splitlines()) <= 250


def test_scripts_find_what_they_look_for_in_the_document() -> None:
    ids = {attributes["id"] for _, attributes in ELEMENTS if "id" in attributes}
    wanted = {name for text in SCRIPTS.values() for name in re.findall(r'byId\("([^"]+)"\)', text)}
    assert wanted
    assert wanted - ids == set()
    pictures = {name for text in SCRIPTS.values() for name in re.findall(r'con\("(\w+)"', text)}
    assert {f"i-{name}" for name in pictures} - ids == set()


def test_what_labels_and_controls_name_is_in_the_document() -> None:
    ids = [str(attributes["id"]) for _, attributes in ELEMENTS if "id" in attributes]
    assert len(ids) == len(set(ids))
    for _, attributes in ELEMENTS:
        for name in ("for", "aria-controls", "aria-labelledby"):
            assert attributes.get(name, ids[0]) in ids


def test_buttons_of_a_picture_alone_have_a_name() -> None:
    for attributes, inner in re.findall(r"<button([^>]*)>(.*?)</button>", INDEX, re.DOTALL):
        text = re.sub(r"<[^>]*>", "", inner).strip()
        # what the button does may differ by the time, so one of them is named by its script
        assert text or "aria-label=" in attributes or 'id="theme"' in attributes
