"""What the statements of a chat template write, by walking Jinja's syntax tree.

Names live as in Jinja: a loop's turn, a macro, ``with`` and a block that is called have a scope of
their own, which ends with them; ``if`` has none.
"""

from __future__ import annotations

import functools
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, final

import jinja2
from jinja2 import Undefined, nodes
from jinja2.compiler import find_undeclared
from jinja2.runtime import LoopContext, Macro
from jinja2.utils import missing

from lmkernel.errors import TemplateError
from lmkernel.tokenizers.template.expressions import Expressions, Scope
from lmkernel.tokenizers.template.values import Namespace

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from lmkernel.tokenizers.template.budget import Budget

__all__ = ["render_nodes"]

_WORDS: Mapping[type[nodes.Node], str] = MappingProxyType(
    {nodes.FromImport: "from", nodes.ScopedEvalContextModifier: "autoescape"}
)
_SPECIAL = ("caller", "kwargs", "varargs")  # names that a macro has by using them


def render_nodes(budget: Budget, body: Sequence[nodes.Node], scope: Scope) -> str:
    """The text that statements write.

    Raises:
        TemplateError: they are over the limits, or of a kind that no chat template has.
    """
    return _Statements(budget).text(body, scope)


@final
class _Break(Exception):  # noqa: N818 - a jump, as is StopIteration
    """``{% break %}``."""


@final
class _Continue(Exception):  # noqa: N818 - the same
    """``{% continue %}``."""


@final
class _Output:
    """The pieces of a text, up to the limit."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._pieces: list[str] = []
        self._characters = 0

    def write(self, piece: str) -> None:
        self._characters += len(piece)
        self._budget.expect(characters=self._characters)
        self._pieces.append(piece)

    def text(self) -> str:
        return self._budget.charge("".join(self._pieces))


@final
class _Statements:
    """Executes statements within one rendering's budget."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self._expressions = Expressions(budget)
        self._kinds: Mapping[type[nodes.Node], Callable[[Any, Scope, _Output], None]] = {
            nodes.Output: self._output,
            nodes.If: self._if,
            nodes.For: self._for,
            nodes.Macro: self._macro,
            nodes.CallBlock: self._call_block,
            nodes.FilterBlock: self._filter_block,
            nodes.With: self._with,
            nodes.Scope: self._scope,
            nodes.Assign: self._assign,
            nodes.AssignBlock: self._assign_block,
            nodes.ExprStmt: self._expression,
            nodes.Break: self._break,
            nodes.Continue: self._continue,
        }
        self._environment = jinja2.Environment()  # noqa: S701 - a chat is no HTML

    def text(self, body: Sequence[nodes.Node], scope: Scope) -> str:
        """What a block writes by itself; a jump does not leave it."""
        output = _Output(self._budget)
        try:
            self._run(body, scope, output)
        except (_Break, _Continue) as jump:
            word = type(jump).__name__[1:].lower()
            raise TemplateError(f"the chat template uses {word!r} outside of a loop") from None
        return output.text()

    def _run(self, body: Sequence[nodes.Node], scope: Scope, output: _Output) -> None:
        for node in body:
            self._budget.step()
            kind = self._kinds.get(type(node))
            if kind is None:
                word = _WORDS.get(type(node), type(node).__name__.lower())
                raise TemplateError(f"the chat template uses {word!r}, which is not offered")
            kind(node, scope, output)

    def _part(self, body: Sequence[nodes.Node], scope: Scope) -> str:
        """What a block within a statement writes; a jump leaves it, as in Jinja."""
        output = _Output(self._budget)
        self._run(body, scope, output)
        return output.text()

    def _output(self, node: nodes.Output, scope: Scope, output: _Output) -> None:
        for item in node.nodes:
            output.write(self._budget.text(self._expressions.evaluate(item, scope)))

    def _if(self, node: nodes.If, scope: Scope, output: _Output) -> None:
        for branch in (node, *node.elif_):
            if self._expressions.evaluate(branch.test, scope):
                self._run(branch.body, scope, output)
                return
        self._run(node.else_, scope, output)

    def _for(self, node: nodes.For, scope: Scope, output: _Output) -> None:
        self._loop(node, scope, output, self._expressions.evaluate(node.iter, scope), 0)

    def _loop(
        self, node: nodes.For, scope: Scope, output: _Output, values: Any, depth: int
    ) -> None:
        recurse = functools.partial(self._recurse, node, scope) if node.recursive else None
        items: Iterable[Any] = values
        if node.test is not None or not hasattr(values, "__len__"):
            items = self._chosen(node, scope, values)
        else:
            self._budget.iterate(values)
        loop = LoopContext(items, Undefined, recurse, depth)
        empty = True
        for item, _ in loop:
            empty = False
            self._budget.step()
            turn = Scope(scope)
            turn.names["loop"] = loop
            self._assign_to(node.target, item, turn)
            try:
                self._run(node.body, turn, output)
            except _Break:
                break
            except _Continue:
                continue
        if empty:
            self._run(node.else_, Scope(scope), output)

    def _chosen(self, node: nodes.For, scope: Scope, values: Any) -> Iterator[Any]:
        """The items that pass the loop's own condition, each of which is a step."""
        for item in self._budget.iterate(values):
            self._budget.step()
            if node.test is not None:
                turn = Scope(scope)
                self._assign_to(node.target, item, turn)
                if not self._expressions.evaluate(node.test, turn):
                    continue
            yield item

    def _recurse(
        self, node: nodes.For, scope: Scope, values: Any, _: Any = None, depth: int = 0
    ) -> str:
        """``loop(values)`` within a recursive loop."""
        output = _Output(self._budget)
        self._budget.enter_call()
        self._loop(node, scope, output, values, depth)
        self._budget.leave_call()
        return output.text()

    def _macro(self, node: nodes.Macro, scope: Scope, _: _Output) -> None:
        scope.names[node.name] = self._make_macro(node, node.name, scope)

    def _make_macro(self, node: nodes.Macro | nodes.CallBlock, name: str, scope: Scope) -> Macro:
        names = [argument.name for argument in node.args]
        used = find_undeclared(node.body, _SPECIAL)
        special = [word for word in _SPECIAL if word in used and word not in names]
        invoke = functools.partial(self._invoke, node, scope, (*names, *special))
        keywords, rest, caller = "kwargs" in special, "varargs" in special, "caller" in special
        return Macro(self._environment, invoke, name, names, keywords, rest, caller)

    def _invoke(
        self,
        node: nodes.Macro | nodes.CallBlock,
        scope: Scope,
        names: Sequence[str],
        *values: Any,
    ) -> str:
        """The text of a macro's body; arguments that are missing have their defaults."""
        self._budget.enter_call()
        inner = Scope(scope)
        defaults = dict(
            zip(reversed(names[: len(node.args)]), reversed(node.defaults), strict=False)
        )
        for name, value in zip(names, values, strict=True):
            if value is not missing:
                inner.names[name] = value
            elif name in defaults:
                inner.names[name] = self._expressions.evaluate(defaults[name], inner)
            else:
                inner.names[name] = Undefined(f"parameter {name!r} was not provided", name=name)
        text = self.text(node.body, inner)
        self._budget.leave_call()
        return text

    def _call_block(self, node: nodes.CallBlock, scope: Scope, output: _Output) -> None:
        caller = self._make_macro(node, "caller", scope)
        result = self._expressions.call(node.call, scope, caller=caller)
        output.write(self._budget.text(result))

    def _filter_block(self, node: nodes.FilterBlock, scope: Scope, output: _Output) -> None:
        block = self._part(node.body, Scope(scope))
        output.write(self._budget.text(self._expressions.filter(node.filter, scope, block)))

    def _with(self, node: nodes.With, scope: Scope, output: _Output) -> None:
        inner = Scope(scope)
        for target, value in zip(node.targets, node.values, strict=True):
            self._assign_to(target, self._expressions.evaluate(value, scope), inner)
        self._run(node.body, inner, output)

    def _scope(self, node: nodes.Scope, scope: Scope, output: _Output) -> None:
        self._run(node.body, Scope(scope), output)

    def _assign(self, node: nodes.Assign, scope: Scope, _: _Output) -> None:
        self._assign_to(node.target, self._expressions.evaluate(node.node, scope), scope)

    def _assign_block(self, node: nodes.AssignBlock, scope: Scope, _: _Output) -> None:
        value: Any = self._part(node.body, Scope(scope))
        if node.filter is not None:
            value = self._expressions.filter(node.filter, scope, value)
        self._assign_to(node.target, value, scope)

    def _expression(self, node: nodes.ExprStmt, scope: Scope, _: _Output) -> None:
        self._expressions.evaluate(node.node, scope)

    def _assign_to(self, target: nodes.Node, value: Any, scope: Scope) -> None:
        if isinstance(target, nodes.Tuple):
            values = list(self._budget.iterate(value))
            if len(values) != len(target.items):
                raise ValueError(f"expected {len(target.items)} values, got {len(values)}")
            for inner, item in zip(target.items, values, strict=True):
                self._assign_to(inner, item, scope)
        elif isinstance(target, nodes.NSRef):
            namespace = scope.find(target.name)
            if not isinstance(namespace, Namespace):
                raise TypeError("cannot assign attribute on non-namespace object")
            namespace.set(target.attr, value)
        elif isinstance(target, nodes.Name):
            scope.names[target.name] = value

    def _break(self, *_: object) -> None:
        raise _Break

    def _continue(self, *_: object) -> None:
        raise _Continue
