"""Turns nodes into values, texts into templates, and gathers every problem of a file on the way.

A problem in a text has the place of its character in the file: a `TextMap` finds it through quotes,
escapes, folding and indentation.
"""

from __future__ import annotations

import re
from dataclasses import replace
from math import isfinite
from typing import TYPE_CHECKING

from maverick.dsl.expressions.expressions import (
    Expression,
    ExpressionSyntaxError,
    SourcePlace,
    Template,
    parse_expression,
    parse_template,
)
from maverick.dsl.expressions.parser import ROOTS
from maverick.dsl.serialization.yaml_nodes import MappingNode, Node, ScalarNode, SequenceNode
from maverick.errors import Excerpt, Problem
from maverick.visible import nearest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from maverick.dsl.expressions.expressions import Field

_ESCAPE_LENGTHS = {"x": 4, "u": 6, "U": 10}
_BLANKS = frozenset(" \t\r\n")
_WITHOUT_DOLLAR = re.compile(
    rf"(?<!\$)\{{\{{\s*((?:{'|'.join(ROOTS)})\b[^{{}}\n]{{0,200}}?)\s*\}}\}}"
)
"""What looks like an expression, and is none."""


class TextMap:
    """Maps offsets into a scalar's text to lines and columns of the file.

    Exact for whatever is not white space. Offsets are asked for in ascending order, so that one
    pass does.
    """

    def __init__(self, source: str, node: ScalarNode) -> None:
        self._raw = source[node.start : node.end]
        self._node = node
        self._in_text = 0
        self._in_raw = _content_start(self._raw, node.style)
        self._line = node.line
        self._counted = 0
        self._break = -1

    def place(self, offset: int) -> tuple[int, int]:
        """Give the line and column, from 1, of the character at *offset* (or of what follows the
        last).
        """
        self._advance(offset)
        self._line += self._raw.count("\n", self._counted, self._in_raw)
        self._break = max(self._break, self._raw.rfind("\n", self._counted, self._in_raw))
        self._counted = self._in_raw
        if self._break < 0:
            return self._line, self._node.column + self._in_raw
        return self._line, self._in_raw - self._break

    def _advance(self, offset: int) -> None:
        """Walk both texts until *offset*; white space may differ (folding, indentation), all else
        agrees.
        """
        raw, text, style = self._raw, self._node.text, self._node.style
        i, j = self._in_text, self._in_raw
        while j < len(raw):
            at_blank = raw[j] in _BLANKS
            joins = style == '"' and raw[j] == "\\" and raw[j + 1 : j + 2] in {"\n", "\r"}
            if (
                i >= offset
                and not joins
                and not (at_blank and i < len(text) and text[i] not in _BLANKS)
            ):
                break
            if style == '"' and raw[j] == "\\":
                j, consumed = _escape(raw, j)
                i += consumed
            elif i < len(text) and raw[j] == text[i]:
                j += 2 if style == "'" and raw[j] == "'" else 1
                i += 1
            elif at_blank:
                j += 1
                i += raw[j - 1] == "\n" and i < len(text) and text[i] == " "
            else:
                i += 1
                if i >= len(text):
                    break
        self._in_text, self._in_raw = i, j


def _content_start(raw: str, style: str) -> int:
    """Skip tag and anchor, then the opening quote or the header line of a block."""
    start = 0
    while raw[start : start + 1] in {"!", "&"}:
        while start < len(raw) and raw[start] not in _BLANKS:
            start += 1
        while start < len(raw) and raw[start] in _BLANKS:
            start += 1
    if style in {"|", ">"}:
        return raw.find("\n", start) + 1 or len(raw)
    return start + len(style)


def _escape(raw: str, start: int) -> tuple[int, int]:
    """Give the offset after the escape at *start* and how many characters of text it makes."""
    letter = raw[start + 1 : start + 2]
    if letter not in {"\n", "\r"}:
        return start + _ESCAPE_LENGTHS.get(letter, 2), 1
    start += 1
    while start < len(raw) and raw[start] in _BLANKS:
        start += 1
    return start, 0


_MANY_PROBLEMS = 100
_MORE_ERRORS = 20
"""How many syntax errors of one text are reported beside the first."""


def describe(node: Node) -> str:
    """Say what *node* is, for a message: `a list`, `null`, `the text 'x'`."""
    if isinstance(node, SequenceNode):
        return "a list"
    if isinstance(node, MappingNode):
        return "a mapping"
    value = node.value
    if value is None:
        return "null" if node.text else "empty"
    shown = repr(node.text if len(node.text) <= 40 else node.text[:40] + "…")
    if isinstance(value, bool):
        return f"the boolean {node.text}"
    if isinstance(value, int | float):
        return f"the number {shown[1:-1]}"
    return f"the text {shown}"


def is_null(node: Node) -> bool:
    """True of a null, written out or left empty."""
    return isinstance(node, ScalarNode) and node.value is None


def is_rewritten(node: ScalarNode) -> bool:
    """True of a number that is written differently when it becomes a text again: `3.10`, `01234`,
    `1e3`, `0x10`.
    """
    value = node.value
    if isinstance(value, bool) or not isinstance(value, int | float) or not isfinite(value):
        return False
    return str(value) != node.text


def as_written(node: Node) -> Node:
    """Give *node* as a text where it is a number or a boolean that stands there in another form
    than ours.
    """
    if isinstance(node, ScalarNode) and isinstance(node.value, bool | int | float):
        ours = str(node.value).lower() if isinstance(node.value, bool) else str(node.value)
        if node.text != ours:
            return replace(node, value=node.text)
    return node


_LINE_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""What ends a line for YAML's parser."""
_EXCERPT_CHARACTERS = 400
"""How much of a line is kept on each side of a problem."""


def with_excerpts(
    found: Iterable[Problem], texts: Mapping[str, str], hidden: Collection[int] = ()
) -> list[Problem]:
    """Give the problems *found*, sorted and each once, with the lines that they stand in.

    *texts* are those of the files: file -> text. What has its line already keeps it; the lines
    numbered in *hidden* are not shown.
    """
    lines: dict[str, list[str]] = {}
    placed: set[Problem] = set()
    for problem in found:
        is_shown = problem.line and problem.line not in hidden and problem.file in texts
        if is_shown and not problem.excerpt.text:
            text = texts[problem.file].removeprefix("\ufeff")
            of_file = lines.setdefault(problem.file, []) or _LINE_BREAK.split(text)
            lines[problem.file] = of_file
            if problem.line <= len(of_file):
                line = of_file[problem.line - 1]
                placed.add(problem._replace(excerpt=_excerpt(line, problem.column)))
                continue
        placed.add(problem)
    return sorted(placed)


def _excerpt(line: str, column: int) -> Excerpt:
    position = min(column - 1, len(line))
    start = max(position - _EXCERPT_CHARACTERS, 0)
    end = position + _EXCERPT_CHARACTERS
    return Excerpt(line[start:end], position - start + 1, start > 0, end < len(line))


class Problems:
    """Gathers the problems and warnings of one file."""

    def __init__(self, file: str, source: str) -> None:
        self.file = file
        self.source = source.removeprefix("\ufeff")
        self.errors: list[Problem] = []
        self.warnings: list[Problem] = []
        self.hidden: set[int] = set()
        """Lines that are not to be shown."""

    def add(self, node: Node, message: str) -> None:
        self.errors.append(Problem(self.file, node.line, node.column, message))

    def warn(self, node: Node, message: str) -> None:
        """Note a warning at *node*: the file can be used as it is."""
        self.warnings.append(Problem(self.file, node.line, node.column, message))

    def add_at(self, place: SourcePlace, message: str) -> None:
        self.errors.append(Problem(self.file, place.line, place.column, message))

    def warn_at(self, place: SourcePlace, message: str) -> None:
        self.warnings.append(Problem(self.file, place.line, place.column, message))

    def suggest(self, name: str, names: Iterable[str]) -> str:
        """Suggest one of *names*; nothing once there are many problems, for it takes its time."""
        return nearest(name, names) if len(self.errors) < _MANY_PROBLEMS else ""

    def place(self, node: Node) -> SourcePlace:
        return SourcePlace(self.file, node.line, node.column)

    def field(self, node: Node) -> Field:
        """Give the value of *node* with its expressions parsed, at any depth."""
        if isinstance(node, ScalarNode):
            return self.template(node) if isinstance(node.value, str) else node.value
        if isinstance(node, SequenceNode):
            return [self.field(item) for item in node.items]
        return {name: self.field(item) for name, (_, item) in node.entries.items()}

    def warn_of_numbers(self, node: Node) -> None:
        """Warn of each number in *node*, at any depth, that would not be written again as it stands
        in the file.
        """
        if isinstance(node, ScalarNode):
            if is_rewritten(node):
                self.warn(
                    node,
                    f"`{node.text[:60]}` is read as the number {node.value}: quote it if it is a "
                    "text",
                )
        else:
            inside = (
                node.items
                if isinstance(node, SequenceNode)
                else [item for _, item in node.entries.values()]
            )
            for item in inside:
                self.warn_of_numbers(item)

    def template(self, node: ScalarNode) -> str | Template:
        """Give the text of *node*, a Template if expressions stand in it; each wrong one is a
        problem.
        """
        text = node.text
        if "{{" not in text:
            return text
        self._warn_without_dollar(node)
        if "${{" not in text:
            return text
        where = TextMap(self.source, node)
        try:
            template = parse_template(text, self.place(node))
        except ExpressionSyntaxError as error:
            self._syntax(node, where, str(error), error.offset)
            self._syntax_after(node, where, error.offset)
            return text
        return self._placed(template, where) if isinstance(template, Template) else template

    def _warn_without_dollar(self, node: ScalarNode) -> None:
        where = TextMap(self.source, node)
        for match in _WITHOUT_DOLLAR.finditer(node.text):
            place = SourcePlace(self.file, *where.place(match.start()))
            self.warn_at(
                place,
                f"`{match[0][:60]}` is a text, since no `$` stands before it; an expression is "
                f"`${{{{ {match[1][:60]} }}}}`",
            )

    def expression(self, node: ScalarNode) -> Expression | None:
        """Give the expression that *node* is, with or without `${{ }}`; None after a problem."""
        text = node.text
        if text.lstrip().startswith("{{"):
            self.add(node, "an expression is written `${{ … }}`: a `$` is missing")
            return None
        where = TextMap(self.source, node)
        try:
            expression = parse_expression(text, self.place(node))
        except ExpressionSyntaxError as error:
            self._syntax(node, where, str(error), error.offset)
            return None
        start = len(text) - len(text.lstrip())
        if text.startswith("${{", start):
            start = _skip_blanks(text, start + 3)
        return expression._replace(place=SourcePlace(self.file, *where.place(start)))

    def _placed(self, template: Template, where: TextMap) -> Template:
        """Give each expression the place where it starts, instead of that of the whole text."""
        parts: list[str | Expression] = []
        position = 0
        for part in template.parts:
            if isinstance(part, str):
                position += len(part)
                parts.append(part)
                continue
            start = _skip_blanks(template.text, position + 3)
            parts.append(part._replace(place=SourcePlace(self.file, *where.place(start))))
            position = _skip_blanks(template.text, start + len(part.text)) + 2
        return template._replace(parts=tuple(parts))

    def _syntax_after(self, node: ScalarNode, where: TextMap, offset: int) -> None:
        """Look for problems in the expressions that stand behind one with a problem at *offset*."""
        for _ in range(_MORE_ERRORS):
            end = node.text.find("}}", offset)
            start = node.text.find("${{", end)
            if end < 0 or start < 0:
                return
            try:
                parse_template(node.text[start:], self.place(node))
            except ExpressionSyntaxError as error:
                offset = start + error.offset
                self._syntax(node, where, str(error), offset)
            else:
                return

    def _syntax(self, node: ScalarNode, where: TextMap, message: str, offset: int) -> None:
        if not node.style and self.source[node.end : node.end + 2] == " #":
            message += " (` #` starts a comment: quote the text)"
        self.errors.append(Problem(self.file, *where.place(offset), message))


def is_sole(value: object) -> bool:
    """True of a template that is one expression, so that it may give a value of any type."""
    return (
        isinstance(value, Template)
        and len(value.parts) == 1
        and isinstance(value.parts[0], Expression)
    )


def _skip_blanks(text: str, start: int) -> int:
    while start < len(text) and text[start].isspace():
        start += 1
    return start
