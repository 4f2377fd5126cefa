"""Text to expressions and templates: a Pratt parser that checks everything which does not depend on values.

Precedence, weakest first: `x if c else y` (right-associative), `or`, `and`, `not`, comparisons, `+ -`,
`* / % //`, unary `-`, then `.name`, `["x"]`, `[0]` and calls. Comparisons chain as in Python (`1 < x < 3`).
A text that is no expression raises `ExpressionSyntaxError`, whatever it holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NoReturn, cast

from maverick.dsl.functions import FUNCTIONS
from maverick.dsl.lexer import ExpressionSyntaxError, Token, tokens
from maverick.dsl.nodes import (
    Access,
    And,
    Arithmetic,
    Call,
    Choice,
    Comparator,
    Comparison,
    ListOf,
    Literal,
    MappingOf,
    Name,
    Negative,
    Node,
    Not,
    Operator,
    Or,
    children,
)

__all__ = ["Expression", "ExpressionSyntaxError", "Place", "Template", "parse_expression", "parse_template"]

MAX_NESTING = 100
"""Levels of parentheses, lists, calls and operators inside each other."""
ROOTS = ("inputs", "steps", "item", "index", "parent", "env", "run")
"""The names that an expression can read."""

_VOLATILE_ROOTS = ("env", "run")
_CONSTANTS = {"true": True, "false": False, "null": None, "True": True, "False": False, "None": None}
_CHOICE, _OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _UNARY = range(1, 9)
_LEVELS = (
    {"if": _CHOICE, "or": _OR, "and": _AND, "in": _COMPARISON, "not": _COMPARISON}
    | dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), _COMPARISON)
    | dict.fromkeys("+-", _SUM)
    | dict.fromkeys(("*", "/", "%", "//"), _PRODUCT)
)
_KEYWORDS = frozenset({"if", "else", "or", "and", "not", "in"})
_HINTS = {
    "is": "write `==` to compare",
    "for": "there are no loops in an expression: use a `loop` step",
    "lambda": "there are no functions of one's own",
    "undefined": "write `null`",
    "nil": "write `null`",
    "TRUE": "write `true`",
    "FALSE": "write `false`",
    "NULL": "write `null`",
}

Path = tuple[str | int, ...]
"""A static access path, such as `("steps", "plan", "output", 0)`."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where a field stands in a file. `line` and `column` count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Expression:
    """One parsed expression. `text` is its text without `${{ }}`, `place` that of the field it stands in.

    `names` are all static access paths, in the order of the text, each cut at its first dynamic part; `reads` are
    those of them that start at inputs, steps, item, index or parent. `volatile`: it reads `env` or `run`, or calls
    `glob` or `exists`, so that its value is no function of `reads`.
    """

    text: str
    place: Place
    node: Node
    reads: tuple[Path, ...]
    names: tuple[Path, ...]
    calls: frozenset[str]
    volatile: bool

    @property
    def env_names(self) -> tuple[str, ...]:
        """The environment variables that it names."""
        return tuple(str(path[1]) for path in self.names if path[0] == "env" and len(path) > 1)


@dataclass(frozen=True, slots=True)
class Template:
    """A text with expressions in it. With one part that is an `Expression` it keeps the value's type."""

    text: str
    place: Place
    parts: tuple[str | Expression, ...]

    @property
    def expressions(self) -> tuple[Expression, ...]:
        """The parts that are expressions."""
        return tuple(part for part in self.parts if isinstance(part, Expression))


def parse_expression(text: str, place: Place) -> Expression:
    """Parse *text*, which may stand in `${{ }}` and between blanks.

    Raises `ExpressionSyntaxError` with the offset in *text*.
    """
    start = len(text) - len(text.lstrip())
    if not text.startswith("${{", start):
        return _parse(text, place, tokens(text, start), start)
    found = tokens(text, start + 3, braced=True)
    end = found[-1].offset + 2
    if text[end:].strip():
        message = "expected nothing after `}}`: write the whole expression inside one `${{ }}`"
        raise ExpressionSyntaxError(message, end + len(text[end:]) - len(text[end:].lstrip()))
    return _parse(text, place, found, start + 3)


def parse_template(text: str, place: Place) -> str | Template:
    """Parse *text* with any number of `${{ … }}` in it; give it back as it is when there is none.

    Raises `ExpressionSyntaxError` with the offset in *text*.
    """
    parts: list[str | Expression] = []
    position = 0
    while (start := text.find("${{", position)) >= 0:
        if start > position:
            parts.append(text[position:start])
        found = tokens(text, start + 3, braced=True)
        parts.append(_parse(text, place, found, start + 3))
        position = found[-1].offset + 2
    if not parts:
        return text
    if position < len(text):
        parts.append(text[position:])
    return Template(text, place, tuple(parts))


def _parse(text: str, place: Place, found: list[Token], start: int) -> Expression:
    node = _Parser(found).whole()
    inner = text[start : found[-1].offset].strip()
    return _examined(inner, place, node, start)


def _examined(text: str, place: Place, root: Node, offset: int) -> Expression:
    """Collect what the tree reads and calls, without recursion, and refuse one that is too deep to evaluate."""
    names: dict[Path, None] = {}
    calls: set[str] = set()
    pending: list[tuple[Node, int]] = [(root, 1)]
    while pending:
        node, depth = pending.pop()
        if depth > MAX_NESTING:
            raise ExpressionSyntaxError(_TOO_DEEP, offset)
        below = children(node)
        match node:
            case Name(name):
                names[(name,)] = None
            case Access(Name(name), keys):
                names[(name, *_static(keys))] = None
                below = keys
            case Call(function, _):
                calls.add(function.name)
            case _:
                pass
        pending.extend((child, depth + 1) for child in reversed(below))
    volatile = any(path[0] in _VOLATILE_ROOTS for path in names) or any(
        FUNCTIONS[name].volatile for name in calls
    )
    reads = tuple(path for path in names if path[0] not in _VOLATILE_ROOTS)
    return Expression(text, place, root, reads, tuple(names), frozenset(calls), volatile)


def _static(keys: tuple[Node, ...]) -> Path:
    path: list[str | int] = []
    for key in keys:
        if (
            not isinstance(key, Literal)
            or isinstance(key.value, bool)
            or not isinstance(key.value, (str, int))
        ):
            break
        path.append(key.value)
    return tuple(path)


_TOO_DEEP = f"the expression is nested more than {MAX_NESTING} deep: compute a part of it in a step"


class _Parser:
    """Precedence climbing over a list of tokens whose last one is the end."""

    def __init__(self, found: list[Token]) -> None:
        self.tokens = found
        self.position = 0
        self.token = found[0]
        self.depth = 0

    def whole(self) -> Node:
        """The tree of all tokens."""
        if self.token.kind == "end":
            raise ExpressionSyntaxError("the expression is empty: expected a value", self.token.offset)
        node = self.expression(_CHOICE)
        if self.token.kind != "end":
            self.fail(f"expected an operator or the end of the expression, found {self.token}{self.hint()}")
        return node

    def expression(self, level: int) -> Node:
        """An expression whose operators all bind at least as strongly as *level*."""
        self.depth += 1
        if self.depth > MAX_NESTING:
            self.fail(_TOO_DEEP)
        node = self.prefix(level)
        while (found := self.level()) >= level:
            node = self.choice(node) if found == _CHOICE else self.chain(node, found)
        self.depth -= 1
        return node

    def level(self) -> int:
        """How strongly the operator at hand binds; 0 when there is none."""
        token = self.token
        if token.kind not in ("operator", "name"):
            return 0
        if token.text == "not" and self.tokens[self.position + 1].text != "in":
            return 0
        return _LEVELS.get(token.text, 0)

    def chain(self, first: Node, level: int) -> Node:
        """*first* and all operators of *level* that follow it, with their operands."""
        rest: list[tuple[str, Node]] = []
        while self.level() == level:
            sign = self.advance().text
            if sign == "not":
                self.advance()
                sign = "not in"
            rest.append((sign, self.expression(level + 1)))
        match level:
            case 2:
                return Or((first, *(operand for _, operand in rest)))
            case 3:
                return And((first, *(operand for _, operand in rest)))
            case 5:
                return Comparison(first, tuple((cast(Comparator, sign), operand) for sign, operand in rest))
            case _:
                return Arithmetic(first, tuple((cast(Operator, sign), operand) for sign, operand in rest))

    def choice(self, then: Node) -> Node:
        self.advance()
        condition = self.expression(_OR)
        if self.token.text != "else" or self.token.kind != "name":
            self.fail(f"expected `else`, found {self.token}: a choice is written `x if condition else y`")
        self.advance()
        return Choice(condition, then, self.expression(_CHOICE))

    def prefix(self, level: int) -> Node:
        token = self.token
        if token.text == "not" and token.kind == "name":
            if level > _NOT:
                self.fail("`not` binds weaker than the operator before it: write `(not …)`")
            self.advance()
            return Not(self.expression(_NOT))
        if token.text == "-" and token.kind == "operator":
            self.advance()
            operand = self.expression(_UNARY)
            if isinstance(operand, Literal) and type(operand.value) in (int, float):
                return Literal(-cast(float, operand.value))
            return Negative(operand)
        return self.postfix(self.primary())

    def primary(self) -> Node:
        token = self.advance()
        if token.kind in ("number", "string"):
            return Literal(token.value)
        if token.kind == "name":
            return self.name(token)
        match token.text if token.kind == "operator" else "":
            case "(":
                node = self.expression(_CHOICE)
                self.expect(")", "to close the parenthesis")
                return node
            case "[":
                return ListOf(self.entries("]", "to close the list"))
            case "{":
                return self.mapping()
            case _:
                hint = ": there is no unary `+`" if token.text == "+" else ""
                self.fail(f"expected a value, found {token}{hint}", token)

    def name(self, token: Token) -> Node:
        name = token.text
        called = self.token.kind == "operator" and self.token.text == "("
        if called and name in FUNCTIONS:
            self.advance()
            arguments = self.entries(")", f"to close the call of {name}()")
            if refusal := FUNCTIONS[name].refusal(len(arguments)):
                self.fail(refusal, token)
            return Call(FUNCTIONS[name], arguments)
        if name in _KEYWORDS:
            self.fail(f"expected a value, found {token}", token)
        if called:
            self.fail(f"there is no function `{name}`{_near(name, tuple(FUNCTIONS))}", token)
        if name in _CONSTANTS:
            return Literal(_CONSTANTS[name])
        if name in ROOTS:
            return Name(name)
        if name in FUNCTIONS:
            self.fail(f"`{name}` is a function: expected `(` after it, found {self.token}", token)
        hint = f": {_HINTS[name]}" if name in _HINTS else _near(name, ROOTS)
        self.fail(f"there is no name `{name}`{hint} (a text is written in quotes)", token)

    def postfix(self, base: Node) -> Node:
        keys: list[Node] = []
        while self.token.kind == "operator":
            if self.token.text == ".":
                self.advance()
                name = self.token
                if name.kind != "name":
                    hint = f": an index is written `[{name.text}]`" if name.kind == "number" else ""
                    self.fail(f"expected a name after `.`, found {name}{hint}")
                self.advance()
                if self.token.text == "(" and self.token.kind == "operator":
                    self.fail(f"values have no methods: write `{name.text}(value, …)`", name)
                keys.append(Literal(name.text))
            elif self.token.text == "[":
                self.advance()
                keys.append(self.expression(_CHOICE))
                self.expect("]", "to close the index")
            elif self.token.text == "(":
                self.fail("only functions can be called, by their names")
            else:
                break
        return Access(base, tuple(keys)) if keys else base

    def entries(self, close: str, purpose: str) -> tuple[Node, ...]:
        """Expressions between commas up to *close*; a comma may follow the last."""
        found: list[Node] = []
        while not self.at(close):
            found.append(self.expression(_CHOICE))
            if not self.at(","):
                break
            self.advance()
        self.expect(close, purpose)
        return tuple(found)

    def mapping(self) -> Node:
        pairs: list[tuple[Node, Node]] = []
        while not self.at("}"):
            key = self.expression(_CHOICE)
            self.expect(":", "between a key and its value")
            pairs.append((key, self.expression(_CHOICE)))
            if not self.at(","):
                break
            self.advance()
        self.expect("}", "to close the mapping")
        return MappingOf(tuple(pairs))

    def at(self, sign: str) -> bool:
        return self.token.kind == "operator" and self.token.text == sign

    def advance(self) -> Token:
        token = self.token
        if token.kind != "end":
            self.position += 1
            self.token = self.tokens[self.position]
        return token

    def expect(self, sign: str, purpose: str) -> None:
        if not self.at(sign):
            self.fail(f"expected `{sign}` {purpose}, found {self.token}{self.hint()}")
        self.advance()

    def hint(self) -> str:
        """What may help where an operator was expected."""
        if self.token.kind == "name" and self.token.text in _HINTS:
            return f": {_HINTS[self.token.text]}"
        if self.at(":"):
            return ": there are no slices"
        if self.at("*") or self.at("/"):
            return ": there is no such operator"
        return ""

    def fail(self, message: str, token: Token | None = None) -> NoReturn:
        raise ExpressionSyntaxError(message, (token or self.token).offset)


def _near(name: str, known: tuple[str, ...]) -> str:
    from difflib import get_close_matches  # noqa: PLC0415 - only for an error

    near = get_close_matches(name, known, n=3, cutoff=0.5)
    if not near:
        return ": there is " + ", ".join(sorted(known)) if len(known) < 10 else ""
    return ": did you mean " + " or ".join(f"`{other}`" for other in near) + "?"
