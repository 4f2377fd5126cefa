"""What an expression is made of. Chains of operators of one precedence are flat, so depth means
nesting.

The nodes are named tuples: as dataclasses they would cost 7 ms at every start of the program.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, TypeAlias

if TYPE_CHECKING:
    from maverick.dsl.expressions.functions import Function
    from maverick.dsl.expressions.operators import Comparator, Operator


class Literal(NamedTuple):
    """A text, number, boolean or null."""

    value: bool | int | float | str | None


class Name(NamedTuple):
    """One of the names that a scope knows: inputs, steps, item, index, parent, env, run."""

    name: str


class Access(NamedTuple):
    """`base.a["b"][0]`: the keys from left to right."""

    base: Node
    keys: tuple[Node, ...]


class ListOf(NamedTuple):
    """`[a, b]`."""

    items: tuple[Node, ...]


class MappingOf(NamedTuple):
    """`{"a": b}`; the keys may be any expression that gives text."""

    pairs: tuple[tuple[Node, Node], ...]


class Call(NamedTuple):
    """A call of a listed function; the number of arguments was checked by the parser."""

    function: Function
    arguments: tuple[Node, ...]


class Negative(NamedTuple):
    """`-operand`."""

    operand: Node


class Not(NamedTuple):
    """`not operand`."""

    operand: Node


class Arithmetic(NamedTuple):
    """`first + b - c`, or `first * b / c`, from left to right."""

    first: Node
    rest: tuple[tuple[Operator, Node], ...]


class Comparison(NamedTuple):
    """`first < b <= c`: every neighbouring pair must hold, as in Python."""

    first: Node
    rest: tuple[tuple[Comparator, Node], ...]


class And(NamedTuple):
    """The first false operand, else the last."""

    operands: tuple[Node, ...]


class Or(NamedTuple):
    """The first true operand, else the last."""

    operands: tuple[Node, ...]


class Choice(NamedTuple):
    """`then if condition else otherwise`."""

    condition: Node
    then: Node
    otherwise: Node


Node: TypeAlias = (
    Literal
    | Name
    | Access
    | ListOf
    | MappingOf
    | Call
    | Negative
    | Not
    | Arithmetic
    | Comparison
    | And
    | Or
    | Choice
)


def children(node: Node) -> tuple[Node, ...]:  # noqa: C901, PLR0911 - one case a kind of node
    """The nodes directly below *node*, in the order of the text."""
    match node:
        case Literal() | Name():
            return ()
        case Access(base, keys):
            return (base, *keys)
        case ListOf(items):
            return items
        case MappingOf(pairs):
            return tuple(part for pair in pairs for part in pair)
        case Call(_, arguments):
            return arguments
        case Negative(operand) | Not(operand):
            return (operand,)
        case Arithmetic(first, rest):
            return (first, *(operand for _, operand in rest))
        case Comparison(first, rest):
            return (first, *(operand for _, operand in rest))
        case And(operands) | Or(operands):
            return operands
        case Choice(condition, then, otherwise):
            return (then, condition, otherwise)
