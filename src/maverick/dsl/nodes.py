"""What an expression is made of. Chains of operators of one precedence are flat, so depth means nesting."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias
from typing import Literal as OneOf

if TYPE_CHECKING:
    from maverick.dsl.functions import Function

Comparator: TypeAlias = OneOf["==", "!=", "<", "<=", ">", ">=", "in", "not in"]
Operator: TypeAlias = OneOf["+", "-", "*", "/", "%", "//"]


@dataclass(frozen=True, slots=True)
class Literal:
    """A text, number, boolean or null."""

    value: bool | int | float | str | None


@dataclass(frozen=True, slots=True)
class Name:
    """One of the names that a scope knows: inputs, steps, item, index, parent, env, run."""

    name: str


@dataclass(frozen=True, slots=True)
class Access:
    """`base.a["b"][0]`: the keys from left to right."""

    base: Node
    keys: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class ListOf:
    """`[a, b]`."""

    items: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class MappingOf:
    """`{"a": b}`; the keys may be any expression that gives text."""

    pairs: tuple[tuple[Node, Node], ...]


@dataclass(frozen=True, slots=True)
class Call:
    """A call of a listed function; the number of arguments was checked by the parser."""

    function: Function
    arguments: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Negative:
    """`-operand`."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Not:
    """`not operand`."""

    operand: Node


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`first + b - c`, or `first * b / c`, from left to right."""

    first: Node
    rest: tuple[tuple[Operator, Node], ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """`first < b <= c`: every neighbouring pair must hold, as in Python."""

    first: Node
    rest: tuple[tuple[Comparator, Node], ...]


@dataclass(frozen=True, slots=True)
class And:
    """The first false operand, else the last."""

    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """The first true operand, else the last."""

    operands: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """`then if condition else otherwise`."""

    condition: Node
    then: Node
    otherwise: Node


Node: TypeAlias = (
    Literal | Name | Access | ListOf | MappingOf | Call | Negative | Not | Arithmetic | Comparison | And | Or | Choice
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
