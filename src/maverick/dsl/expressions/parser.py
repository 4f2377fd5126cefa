"""The text of an expression to a tree: to tokens by one regular expression, to nodes by precedence
climbing. Checks names, functions and their numbers of arguments.

Time is linear in the length of the text, whatever it holds; the only error is
`ExpressionSyntaxError`.

Weakest first: `x if c else y` (right-associative), `or`, `and`, `not`, comparisons, `+ -`, `* / %
//`, unary `-`, then `.name`, `["x"]`, `[0]` and calls. Comparisons chain as in Python: `1 < x < 3`.
"""

from __future__ import annotations

import re
import typing
from typing import NamedTuple, TypeAlias, cast

from maverick.dsl.expressions.functions import FUNCTIONS
from maverick.dsl.expressions.nodes import (
    Access,
    And,
    Arithmetic,
    Call,
    Choice,
    Comparison,
    ListOf,
    Literal,
    MappingOf,
    Name,
    Negative,
    Node,
    Not,
    Or,
)
from maverick.dsl.expressions.operators import Comparator, Operator
from maverick.errors import MaverickError
from maverick.visible import nearest

MAX_LENGTH = 10_000
"""Characters that one expression may have."""
MAX_DIGITS = 4_000
"""Digits that a number may have (Python itself refuses integers from 4,301 digits on)."""

TokenKind: TypeAlias = typing.Literal["number", "string", "name", "operator", "end"]


class ExpressionSyntaxError(MaverickError):
    """The text is no expression. `offset` counts characters from the start of the text that was
    parsed.
    """

    exit_code = 3

    def __init__(self, message: str, offset: int) -> None:
        self.offset = offset
        super().__init__(message)


class Token(NamedTuple):
    """One token. `value` is what a number or string means; `text` is how it is written."""

    kind: TokenKind
    text: str
    value: int | float | str | None
    offset: int

    def __str__(self) -> str:
        """How a message names the token."""
        if self.kind == "end":
            return "the end of the expression"
        return f"`{self.text if len(self.text) <= 40 else self.text[:37] + '...'}`"


_TOKEN = re.compile(
    r"""
    (?P<space>\s+)
  | (?P<number>[0-9]+(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?)
  | (?P<name>[^\W\d]\w*)
  | (?P<string>'(?:[^'\\]++|\\.)*+'|"(?:[^"\\]++|\\.)*+")
  | (?P<operator>//|==|!=|<=|>=|[-+*/%<>()\[\]{},.:])
    """,
    re.VERBOSE | re.DOTALL,
)
_NAME_AFTER_DOT = re.compile(r"[^\W\d]\w*(?:-[^\W\d_]\w*)*")
_ESCAPE = re.compile(r"\\(?:u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|x([0-9a-fA-F]{2})|(.))", re.DOTALL)
_PLAIN_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "0": "\0"} | dict(
    zip("\\'\"/", "\\'\"/", strict=True)
)
_OTHER_SIGNS = {
    "**": "there is no power operator",
    "&&": "write `and`",
    "||": "write `or`",
    "!": "write `not`",
    "=": "write `==` to compare",
    "|": "there are no filters: write a call such as `default(value, fallback)`",
    "?": "write `x if condition else y`",
    "$": "this is inside an expression already: write the name alone",
    "}": "an expression inside text ends with `}}`",
}


def tokens(text: str, start: int = 0, *, braced: bool = False) -> list[Token]:
    """Read *text* from *start* on: to its end, or, when *braced*, to the `}}` that closes the
    expression.

    The last token is always of kind "end"; its offset is that of the `}}` or the length of the
    text.
    """
    scanned: list[Token] = []
    braces = 0
    position = start
    while position < len(text):
        if position - start > MAX_LENGTH:
            raise ExpressionSyntaxError(
                f"an expression has at most {MAX_LENGTH:,} characters", start
            )
        if braced and braces == 0 and text.startswith("}}", position):
            scanned.append(Token("end", "", None, position))
            return scanned
        after_dot = bool(scanned) and scanned[-1].text == "." and scanned[-1].kind == "operator"
        match = (_NAME_AFTER_DOT.match(text, position) if after_dot else None) or _TOKEN.match(
            text, position
        )
        if match is None:
            raise ExpressionSyntaxError(_unknown(text, position), position)
        kind = match.lastgroup or "name"
        if kind != "space":
            token = _token(kind, match.group(), position)
            braces += (token.text == "{") - (token.text == "}") if kind == "operator" else 0
            if braced and braces < 0:
                raise ExpressionSyntaxError(f"unexpected `}}`: {_OTHER_SIGNS['}']}", position)
            _check_gap(scanned, token, text)
            scanned.append(token)
        position = match.end()
    if braced:
        raise ExpressionSyntaxError("`${{` is never closed: expected `}}`", max(start - 3, 0))
    if position - start > MAX_LENGTH:
        raise ExpressionSyntaxError(f"an expression has at most {MAX_LENGTH:,} characters", start)
    scanned.append(Token("end", "", None, len(text)))
    return scanned


def _token(kind: str, text: str, offset: int) -> Token:
    match kind:
        case "number":
            return Token("number", text, _number(text, offset), offset)
        case "string":
            return Token("string", text, _string(text, offset), offset)
        case "name":
            return Token("name", text, None, offset)
        case _:
            return Token("operator", text, None, offset)


def _number(text: str, offset: int) -> int | float:
    if len(text) > MAX_DIGITS:
        raise ExpressionSyntaxError(f"a number has at most {MAX_DIGITS:,} digits", offset)
    if text.isdigit():
        if len(text) > 1 and text[0] == "0":
            raise ExpressionSyntaxError(
                f"a number does not begin with 0: write `{int(text)}`", offset
            )
        return int(text)
    return float(text)


def _string(text: str, offset: int) -> str:
    body = text[1:-1]
    if "\\" not in body:
        return body
    plain = _ESCAPE.sub(lambda match: _escape(match, offset), body)
    try:  # a pair of \u escapes may be one character, as in JSON
        return plain.encode("utf-16-le", "surrogatepass").decode("utf-16-le")
    except UnicodeDecodeError:
        raise ExpressionSyntaxError("half a surrogate pair is no character", offset) from None


def _escape(match: re.Match[str], offset: int) -> str:
    digits = match[1] or match[2] or match[3]
    if digits:
        code = int(digits, 16)
        if code > 0x10FFFF:
            raise ExpressionSyntaxError(
                f"there is no character `{match[0]}`", offset + 1 + match.start()
            )
        return chr(code)
    if match[4] in _PLAIN_ESCAPES:
        return _PLAIN_ESCAPES[match[4]]
    message = f"unknown escape `{match[0]}` in a string: write `\\{match[0]}` for a backslash"
    raise ExpressionSyntaxError(message, offset + 1 + match.start())


def _check_gap(scanned: list[Token], token: Token, text: str) -> None:
    """Refuse `1abc`, `a.0.b` and `step-2.output`, which would otherwise give a misleading message
    later.
    """
    last = scanned[-1] if scanned else None
    if last is None or last.kind != "number" or token.offset != last.offset + len(last.text):
        return
    if token.kind not in ("name", "number") and token.text != ".":
        return
    rest = re.compile(r"[\w.-]*").match(text, last.offset, last.offset + 40)
    written = rest[0] if rest else last.text
    before = scanned[-2].text if len(scanned) > 1 else ""
    hint = ""
    if before == ".":
        hint = f": an index is written `[{last.text}]`"
    elif before == "-":
        hint = (
            ": a name with a hyphen before a digit is written in brackets, as in "
            '`steps["step-2"].output`'
        )
    raise ExpressionSyntaxError(f"`{written}` is neither a number nor a name{hint}", last.offset)


def _unknown(text: str, position: int) -> str:
    character = text[position]
    if character in "'\"":
        return f"the string that begins here is never closed: expected `{character}`"
    unread = next((sign for sign in _OTHER_SIGNS if text.startswith(sign, position)), character)
    hint = f": {_OTHER_SIGNS[unread]}" if unread in _OTHER_SIGNS else ""
    shown = unread if unread.isprintable() else ascii(unread)[1:-1]
    return f"unexpected `{shown}`{hint}"


MAX_NESTING = 100
"""Levels of parentheses, lists, calls and operators inside each other."""
ROOTS = ("inputs", "steps", "item", "index", "parent", "previous", "env", "run")
"""The names that an expression can read."""

_CONSTANTS = {
    "true": True,
    "false": False,
    "null": None,
    "True": True,
    "False": False,
    "None": None,
}
_CHOICE, _OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _UNARY = range(1, 9)
_LEVELS = (
    {"if": _CHOICE, "or": _OR, "and": _AND, "in": _COMPARISON, "not": _COMPARISON}
    | dict.fromkeys(("==", "!=", "<", "<=", ">", ">="), _COMPARISON)
    | dict.fromkeys("+-", _SUM)
    | dict.fromkeys(("*", "/", "%", "//"), _PRODUCT)
)
_KEYWORDS = frozenset({"if", "else", "or", "and", "not", "in"})
TOO_DEEP = f"the expression is nested more than {MAX_NESTING} deep: compute a part of it in a step"


class Parser:
    """Precedence climbing over a list of tokens whose last one is the end."""

    def __init__(self, tokens: list[Token]) -> None:
        self.tokens = tokens
        self.position = 0
        self.token = tokens[0]
        self.depth = 0

    def whole(self) -> Node:
        if len(self.tokens) == 1:
            raise self.error("the expression is empty: expected a value")
        node = self.expression(_CHOICE)
        if self.token.kind != "end":
            raise self.error(
                "expected an operator or the end of the expression, found "
                f"{self.token}{self.hint()}"
            )
        return node

    def expression(self, level: int) -> Node:
        """An expression whose operators all bind at least as strongly as *level*."""
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise self.error(TOO_DEEP)
        node = self.prefix(level)
        while (next_level := self.level()) >= level:
            node = self.choice(node) if next_level == _CHOICE else self.chain(node, next_level)
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
                return Comparison(
                    first, tuple((cast("Comparator", sign), operand) for sign, operand in rest)
                )
            case _:
                return Arithmetic(
                    first, tuple((cast("Operator", sign), operand) for sign, operand in rest)
                )

    def choice(self, then: Node) -> Node:
        """`then if condition else otherwise`, from the `if` on."""
        self.advance()
        condition = self.expression(_OR)
        if self.token.text != "else" or self.token.kind != "name":
            raise self.error(
                f"expected `else`, found {self.token}: a choice is written `x if condition else y`"
            )
        self.advance()
        return Choice(condition, then, self.expression(_CHOICE))

    def prefix(self, level: int) -> Node:
        """A value, or `not` or `-` and what it applies to."""
        token = self.token
        if token.text == "not" and token.kind == "name":
            if level > _NOT:
                raise self.error("`not` binds weaker than the operator before it: write `(not …)`")
            self.advance()
            return Not(self.expression(_NOT))
        if token.text == "-" and token.kind == "operator":
            self.advance()
            operand = self.expression(_UNARY)
            if isinstance(operand, Literal) and type(operand.value) in (int, float):
                return Literal(-cast("float", operand.value))
            return Negative(operand)
        return self.postfix(self.primary())

    def primary(self) -> Node:
        """A literal, a name, a call, or something in brackets."""
        token = self.advance()
        if token.kind in ("number", "string"):
            return Literal(token.value)
        if token.kind == "name":
            return self.name(token)
        match token.text:
            case "(":
                node = self.expression(_CHOICE)
                self.expect(")", "to close the parenthesis")
                return node
            case "[":
                return ListOf(self.entries("]", "to close the list"))
            case "{":
                return self.mapping()
        hint = ": there is no unary `+`" if token.text == "+" else ""
        raise self.error(f"expected a value, found {token}{hint}", token)

    def name(self, token: Token) -> Node:
        """What the name *token* means: a call, a constant or a name of the scope."""
        name = token.text
        called = self.token.kind == "operator" and self.token.text == "("
        if called and name in FUNCTIONS:
            self.advance()
            arguments = self.entries(")", f"to close the call of {name}()")
            if refusal := FUNCTIONS[name].refusal(len(arguments)):
                raise self.error(refusal, token)
            return Call(FUNCTIONS[name], arguments)
        if name in _KEYWORDS:
            raise self.error(f"expected a value, found {token}", token)
        if called:
            from maverick.dsl.expressions.foreign import answer_call  # noqa: PLC0415 - for messages

            hint = answer_call(name) or nearest(name, FUNCTIONS)
            raise self.error(f"there is no function `{name}`{hint}", token)
        if name in _CONSTANTS:
            return Literal(_CONSTANTS[name])
        if name in ROOTS:
            return Name(name)
        if name in FUNCTIONS:
            raise self.error(
                f"`{name}` is a function: expected `(` after it, found {self.token}", token
            )
        from maverick.dsl.expressions.foreign import answer_name  # noqa: PLC0415 - for messages

        hint = answer_name(name) or nearest(name, ROOTS) or f": there is {', '.join(ROOTS)}"
        raise self.error(f"there is no name `{name}`{hint} (a text is written in quotes)", token)

    def postfix(self, base: Node) -> Node:
        """*base* and every `.name` and `[index]` that follows it."""
        keys: list[Node] = []
        while self.token.kind == "operator":
            if self.token.text == ".":
                self.advance()
                name = self.token
                if name.kind != "name":
                    hint = f": an index is written `[{name.text}]`" if name.kind == "number" else ""
                    raise self.error(f"expected a name after `.`, found {name}{hint}")
                self.advance()
                if self.token.text == "(" and self.token.kind == "operator":
                    raise self.error(f"values have no methods: write `{name.text}(value, …)`", name)
                keys.append(Literal(name.text))
            elif self.token.text == "[":
                self.advance()
                keys.append(self.expression(_CHOICE))
                self.expect("]", "to close the index")
            elif self.token.text == "(":
                raise self.error("only functions can be called, by their names")
            else:
                break
        return Access(base, tuple(keys)) if keys else base

    def entries(self, close: str, purpose: str) -> tuple[Node, ...]:
        """Expressions between commas up to *close*; a comma may follow the last."""
        entries: list[Node] = []
        while not self.at(close):
            entries.append(self.expression(_CHOICE))
            if not self.at(","):
                break
            self.advance()
        self.expect(close, purpose)
        return tuple(entries)

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
        """Whether the token at hand is the operator *sign*."""
        return self.token.kind == "operator" and self.token.text == sign

    def advance(self) -> Token:
        """Step over the token at hand, and give it."""
        token = self.token
        if token.kind != "end":
            self.position += 1
            self.token = self.tokens[self.position]
        return token

    def expect(self, sign: str, purpose: str) -> None:
        """Step over *sign*; what it is for goes into the message."""
        if not self.at(sign):
            raise self.error(f"expected `{sign}` {purpose}, found {self.token}{self.hint()}")
        self.advance()

    def hint(self) -> str:
        """What may help where an operator was expected."""
        from maverick.dsl.expressions.foreign import answer_name  # noqa: PLC0415 - for messages

        if self.token.kind == "name" and (answer := answer_name(self.token.text)):
            return answer
        if self.at(":"):
            return ": there are no slices"
        if self.at("*") or self.at("/"):
            return ": there is no such operator"
        return ""

    def error(self, message: str, token: Token | None = None) -> ExpressionSyntaxError:
        """The error at *token*, or at the token at hand."""
        return ExpressionSyntaxError(message, (token or self.token).offset)
