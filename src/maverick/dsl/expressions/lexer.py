"""Text of an expression to tokens, by one regular expression; finds the end of `${{ … }}` on the
way.

Time is linear in the length of the text, whatever it holds; the only error is
`ExpressionSyntaxError`.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple, TypeAlias

from maverick.errors import MaverickError

MAX_LENGTH = 10_000
"""Characters that one expression may have."""
MAX_DIGITS = 4_000
"""Digits that a number may have (Python itself refuses integers from 4,301 digits on)."""

Kind: TypeAlias = Literal["number", "string", "name", "operator", "end"]


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

    kind: Kind
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
_HINTS = {
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
                raise ExpressionSyntaxError(f"unexpected `}}`: {_HINTS['}']}", position)
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
    unread = next((sign for sign in _HINTS if text.startswith(sign, position)), character)
    hint = f": {_HINTS[unread]}" if unread in _HINTS else ""
    shown = unread if unread.isprintable() else ascii(unread)[1:-1]
    return f"unexpected `{shown}`{hint}"
