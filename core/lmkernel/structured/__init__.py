"""Answers of a form: JSON of a schema, and calls of functions."""

from lmkernel.structured.call_grammar import call_grammar
from lmkernel.structured.formats import CallFormat, call_format
from lmkernel.structured.grammar import Grammar, GrammarMask, GrammarTokenizer, json_grammar
from lmkernel.structured.messages import SchemaError
from lmkernel.structured.reader import CallReader, Part
from lmkernel.structured.rendering import format_of, render_with_tools
from lmkernel.structured.thoughts import ThoughtReader, template_thinks
from lmkernel.structured.tools import Tool, tool_of

__all__ = [
    "CallFormat",
    "CallReader",
    "Grammar",
    "GrammarMask",
    "GrammarTokenizer",
    "Part",
    "SchemaError",
    "ThoughtReader",
    "Tool",
    "call_format",
    "call_grammar",
    "format_of",
    "json_grammar",
    "render_with_tools",
    "template_thinks",
    "tool_of",
]
