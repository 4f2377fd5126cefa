"""Values of expressions and templates in a scope, in bounded time and memory.

The only error is `ExpressionFailed`, whose message begins with the place and the expression's text;
errors of values that load lazily (a damaged store) pass through as they are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from maverick.dsl.expressions import nodes, operators
from maverick.dsl.expressions import text as texts
from maverick.dsl.expressions.expressions import Expression, Template
from maverick.dsl.expressions.functions import Context, call_function
from maverick.dsl.expressions.operators import Budget, truth
from maverick.dsl.expressions.text import as_text
from maverick.errors import ExpressionFailed
from maverick.values import Value, key_path, kind_of

if TYPE_CHECKING:
    from maverick.dsl.expressions.expressions import Field
    from maverick.dsl.expressions.scope import Scope

__all__ = ["as_text", "condition", "evaluate", "holds", "key_view", "render", "truth"]

_FALSE_TEXTS = frozenset({"false", "no", "off", "0"})


def evaluate(expression: Expression, scope: Scope) -> Value:
    """The value of *expression*: plain, and sharing no list or mapping with the scope."""
    with _Placed(expression):
        return texts.plain(_value(expression.node, Context(scope, Budget())))


def condition(expression: Expression, scope: Scope) -> Value:
    """The value of *expression*, which is asked whether it is true. As `evaluate`.

    A text that says it is not, such as `false`, would count as true: where the answer hangs on one,
    also beside `and`, `or` and behind `not`, that is an error.
    """
    with _Placed(expression):
        return texts.plain(_asked(expression.node, Context(scope, Budget())))


def holds(expression: Expression, value: Value) -> bool:
    """Whether *value*, which a condition came to, is true. Raises ExpressionFailed as `condition`
    does.
    """
    with _Placed(expression):
        return truth(_no_false_text(value))


def render(field: Field | Expression, scope: Scope) -> Value:
    """*field* with its templates replaced by their values, at any depth; the keys of mappings
    stay.
    """
    match field:
        case Template(parts=(Expression() as only,)) | (Expression() as only):
            return evaluate(only, scope)
        case Template():
            return _insert(field, scope)
        case list():
            return [render(entry, scope) for entry in field]
        case dict():
            return {key: render(entry, scope) for key, entry in field.items()}
        case _:
            return field


def key_view(field: Field | Expression, scope: Scope) -> Value:
    """What of *field* belongs to a step's key, at any depth.

    Of what is not volatile: its value. Of what is: `{"text": its text, "reads": {path: value}}`
    with what it reads from inputs, steps and the loop (`item`, `previous` and the like), and
    nothing of the environment, the run and the files.
    """
    match field:
        case Expression():
            return (
                _volatile_view(field.text, (field,), scope)
                if field.volatile
                else evaluate(field, scope)
            )
        case Template():
            if any(part.volatile for part in field.expressions):
                return _volatile_view(field.text, field.expressions, scope)
            return render(field, scope)
        case list():
            return [key_view(entry, scope) for entry in field]
        case dict():
            return {key: key_view(entry, scope) for key, entry in field.items()}
        case _:
            return field


def _volatile_view(text: str, expressions: tuple[Expression, ...], scope: Scope) -> Value:
    reads: dict[str, Value] = {}
    for expression in expressions:
        for root, *keys in expression.reads:
            name = str(root) + "".join(map(key_path, keys))
            with _Placed(expression):
                reads[name] = texts.plain(_read(scope, str(root), keys))
    return {"text": text, "reads": reads}


def _read(scope: Scope, root: str, keys: list[str | int]) -> object:
    value = scope.lookup(root)
    for key in keys:
        value = operators.access(value, key)
    return value


def _insert(template: Template, scope: Scope) -> str:
    pieces: list[str] = []
    length = 0
    for part in template.parts:
        if isinstance(part, str):
            piece = part
        else:
            value = evaluate(part, scope)
            with _Placed(part):
                piece = as_text(value)
                Budget().build_text(length + len(piece))
        pieces.append(piece)
        length += len(piece)
    return "".join(pieces)


class _Placed:
    """Adds the place and the text of an expression to the failures of its block."""

    __slots__ = ("expression",)

    def __init__(self, expression: Expression) -> None:
        self.expression = expression

    def __enter__(self) -> None:
        return None

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if isinstance(error, ExpressionFailed):
            why = str(error)
        elif isinstance(error, RecursionError):
            why = "it is nested too deeply"
        else:
            return
        text = (
            self.expression.text
            if len(self.expression.text) <= 200
            else self.expression.text[:197] + "..."
        )
        raise ExpressionFailed(f"{self.expression.place}: `{text}`: {why}") from error


def _value(node: nodes.Node, context: Context) -> object:  # noqa: C901, PLR0911, PLR0912 - one case a node
    """The value of one node; mappings that load lazily are left as they are."""
    match node:
        case nodes.Literal(value):
            return value
        case nodes.Name(name):
            return context.scope.lookup(name)
        case nodes.Access(base, keys):
            reached = _value(base, context)
            for key in keys:
                reached = operators.access(reached, _value(key, context))
            return reached
        case nodes.Call(function, arguments):
            return call_function(
                function, [_value(argument, context) for argument in arguments], context
            )
        case nodes.Comparison():
            return _compared(node, context)
        case nodes.Arithmetic(first, rest):
            result = _value(first, context)
            for sign, operand in rest:
                result = operators.calculate(sign, result, _value(operand, context), context.budget)
            return result
        case nodes.And(operands):
            return _first(operands, context, stop_at=False)
        case nodes.Or(operands):
            return _first(operands, context, stop_at=True)
        case nodes.Not(operand):
            return not truth(_value(operand, context))
        case nodes.Negative(operand):
            return operators.negative(_value(operand, context))
        case nodes.Choice(condition, then, otherwise):
            return _value(then if truth(_value(condition, context)) else otherwise, context)
        case nodes.ListOf(items):
            return [_value(item, context) for item in items]
        case nodes.MappingOf(pairs):
            return {_key(_value(key, context)): _value(value, context) for key, value in pairs}
        case _:
            assert_never(node)


def _asked(node: nodes.Node, context: Context) -> object:
    """As `_value`, of a node that is asked whether it is true."""
    match node:
        case nodes.Not(operand):
            return not truth(_asked(operand, context))
        case nodes.And(operands) | nodes.Or(operands):
            stop_at = isinstance(node, nodes.Or)
            for operand in operands[:-1]:
                value = _asked(operand, context)
                if truth(value) is stop_at:
                    return value
            return _asked(operands[-1], context)
        case nodes.Choice(question, then, otherwise):
            return _asked(then if truth(_asked(question, context)) else otherwise, context)
        case _:
            return _no_false_text(_value(node, context))


def _no_false_text(value: object) -> object:
    if isinstance(value, str) and value.strip().lower() in _FALSE_TEXTS:
        raise ExpressionFailed(
            f"it gives the text {value.strip()!r}, and a text that is not empty counts as true; "
            "compare it (`… == 'true'`), or make a boolean of it where it comes from (`parse: "
            "json` of a shell step, `type: boolean` of an input)"
        )
    return value


def _compared(node: nodes.Comparison, context: Context) -> bool:
    left = _value(node.first, context)
    for sign, operand in node.rest:
        right = _value(operand, context)
        if not operators.compare(sign, left, right, context.budget):
            return False
        left = right
    return True


def _first(operands: tuple[nodes.Node, ...], context: Context, *, stop_at: bool) -> object:
    """The first operand whose truth is *stop_at*, else the last; what follows it is not
    evaluated.
    """
    for operand in operands[:-1]:
        value = _value(operand, context)
        if truth(value) is stop_at:
            return value
    return _value(operands[-1], context)


def _key(value: object) -> str:
    if isinstance(value, str):
        return value
    raise ExpressionFailed(f"the keys of a mapping are strings, not {kind_of(value)}")
