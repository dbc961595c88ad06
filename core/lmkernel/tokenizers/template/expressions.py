"""What the expressions of a chat template are worth, by walking Jinja's syntax tree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, final

from jinja2 import Undefined, nodes
from jinja2.runtime import LoopContext, Macro
from jinja2.utils import Joiner

from lmkernel.errors import TemplateError
from lmkernel.tokenizers.template.filters import apply_filter
from lmkernel.tokenizers.template.members import attribute_of, item_of
from lmkernel.tokenizers.template.operators import apply_operator, compare
from lmkernel.tokenizers.template.predicates import apply_test
from lmkernel.tokenizers.template.values import Function, check_key

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from lmkernel.tokenizers.template.budget import Budget

__all__ = ["Expressions", "Scope"]

_ARITHMETIC: tuple[type[nodes.Node], ...] = (
    *(nodes.Add, nodes.Sub, nodes.Mul, nodes.Div),
    *(nodes.FloorDiv, nodes.Mod, nodes.Pow),
)


@final
class Scope:
    """The names of a block, within those of the block around it."""

    __slots__ = ("_outer", "names")

    def __init__(self, outer: Scope | None = None) -> None:
        self.names: dict[str, Any] = {}
        self._outer = outer

    def find(self, name: str) -> Any:
        """A name's value, or something undefined."""
        scope: Scope | None = self
        while scope is not None:
            if name in scope.names:
                return scope.names[name]
            scope = scope._outer  # noqa: SLF001 - its own class
        return Undefined(name=name)


@final
class Expressions:
    """Evaluates expressions within one rendering's budget."""

    def __init__(self, budget: Budget) -> None:
        self.budget = budget
        self._kinds: Mapping[type[nodes.Node], Callable[[Any, Scope], Any]] = {
            nodes.Const: lambda node, _: node.value,
            nodes.TemplateData: lambda node, _: node.data,
            nodes.Name: lambda node, scope: scope.find(node.name),
            nodes.List: self._list,
            nodes.Tuple: self._tuple,
            nodes.Dict: self._dictionary,
            nodes.CondExpr: self._condition,
            nodes.Filter: self.filter,
            nodes.Test: self._test,
            nodes.Call: self.call,
            nodes.Getattr: self._attribute,
            nodes.Getitem: self._item,
            nodes.Slice: self._slice,
            nodes.Concat: self._concatenation,
            nodes.Compare: self._comparison,
            nodes.And: self._and,
            nodes.Or: self._or,
            nodes.Not: lambda node, scope: not self.evaluate(node.node, scope),
            nodes.Neg: lambda node, scope: -self.evaluate(node.node, scope),
            nodes.Pos: lambda node, scope: +self.evaluate(node.node, scope),
            **dict.fromkeys(_ARITHMETIC, self._binary),
        }

    def evaluate(self, node: nodes.Node, scope: Scope) -> Any:
        """The value of an expression.

        Raises:
            TemplateError: it is over the limits, or of a kind that no chat template has.
        """
        self.budget.step()
        kind = self._kinds.get(type(node))
        if kind is None:
            raise TemplateError(f"the chat template has the unknown {type(node).__name__!r}")
        return kind(node, scope)

    def call(self, node: nodes.Call, scope: Scope, **more: Any) -> Any:
        """The result of a call, with further keyword arguments."""
        function = self.evaluate(node.node, scope)
        args, kwargs = self._arguments(node, scope)
        if not isinstance(function, Function | Macro | LoopContext | Joiner | Undefined):
            raise TypeError(f"{type(function).__name__!r} object is not callable")
        target: Any = function.call if isinstance(function, Function) else function
        return target(*args, **kwargs, **more)

    def filter(self, node: nodes.Filter, scope: Scope, block: str = "") -> Any:
        """A filter's result; the innermost filter of a block applies to the block's text."""
        inner = node.node
        if inner is None:
            value: Any = block
        elif isinstance(inner, nodes.Filter):
            value = self.filter(inner, scope, block)
        else:
            value = self.evaluate(inner, scope)
        args, kwargs = self._arguments(node, scope)
        return apply_filter(self.budget, node.name, value, args, kwargs)

    def _arguments(
        self, node: nodes.Call | nodes.Filter | nodes.Test, scope: Scope
    ) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args = [self.evaluate(item, scope) for item in node.args]
        kwargs: dict[str, Any] = {}
        if node.dyn_args is not None:
            args.extend(self.budget.iterate(self.evaluate(node.dyn_args, scope)))
            self.budget.charge(args)  # whatever is called may keep them
        for pair in node.kwargs:
            self._add_keyword(kwargs, pair.key, self.evaluate(pair.value, scope))
        if node.dyn_kwargs is not None:
            more = self.evaluate(node.dyn_kwargs, scope)
            if not isinstance(more, dict):
                raise TypeError("argument after ** must be a mapping")
            for name, value in more.items():
                self._add_keyword(kwargs, name, value)
            self.budget.charge(kwargs)
        return tuple(args), kwargs

    def _add_keyword(self, kwargs: dict[str, Any], name: Any, value: Any) -> None:
        if not isinstance(name, str):
            raise TypeError("keywords must be strings")
        if name in kwargs:
            raise TypeError(f"keyword argument repeated: {name[:40]}")
        kwargs[name] = value

    def _list(self, node: nodes.List, scope: Scope) -> list[Any]:
        return self.budget.charge([self.evaluate(item, scope) for item in node.items])

    def _tuple(self, node: nodes.Tuple, scope: Scope) -> tuple[Any, ...]:
        return self.budget.charge(tuple(self.evaluate(item, scope) for item in node.items))

    def _dictionary(self, node: nodes.Dict, scope: Scope) -> dict[Any, Any]:
        result = {}
        for pair in node.items:
            key = self.evaluate(pair.key, scope)
            check_key(key)
            result[key] = self.evaluate(pair.value, scope)
        return self.budget.charge(result)

    def _condition(self, node: nodes.CondExpr, scope: Scope) -> Any:
        if self.evaluate(node.test, scope):
            return self.evaluate(node.expr1, scope)
        if node.expr2 is not None:
            return self.evaluate(node.expr2, scope)
        return Undefined("the inline if-expression evaluated to false and has no else")

    def _test(self, node: nodes.Test, scope: Scope) -> bool:
        value = self.evaluate(node.node, scope)
        args, kwargs = self._arguments(node, scope)
        return apply_test(self.budget, node.name, value, args, kwargs)

    def _attribute(self, node: nodes.Getattr, scope: Scope) -> Any:
        return attribute_of(self.budget, self.evaluate(node.node, scope), node.attr)

    def _item(self, node: nodes.Getitem, scope: Scope) -> Any:
        value = self.evaluate(node.node, scope)
        return item_of(self.budget, value, self.evaluate(node.arg, scope))

    def _slice(self, node: nodes.Slice, scope: Scope) -> slice:
        ends = (node.start, node.stop, node.step)
        return slice(*(None if end is None else self.evaluate(end, scope) for end in ends))

    def _concatenation(self, node: nodes.Concat, scope: Scope) -> str:
        parts, characters = [], 0
        for item in node.nodes:
            parts.append(self.budget.text(self.evaluate(item, scope)))
            characters += len(parts[-1])
            self.budget.expect(characters=characters)
        return self.budget.charge("".join(parts))

    def _comparison(self, node: nodes.Compare, scope: Scope) -> Any:
        left = self.evaluate(node.expr, scope)
        result: Any = True
        for operand in node.ops:
            right = self.evaluate(operand.expr, scope)
            result = compare(self.budget, operand.op, left, right)
            if not result:
                break
            left = right
        return result

    def _binary(self, node: nodes.BinExpr, scope: Scope) -> Any:
        left = self.evaluate(node.left, scope)
        return apply_operator(self.budget, node.operator, left, self.evaluate(node.right, scope))

    def _and(self, node: nodes.And, scope: Scope) -> Any:
        return self.evaluate(node.left, scope) and self.evaluate(node.right, scope)

    def _or(self, node: nodes.Or, scope: Scope) -> Any:
        return self.evaluate(node.left, scope) or self.evaluate(node.right, scope)
