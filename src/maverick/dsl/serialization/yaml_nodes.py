"""YAML text to positioned nodes, within limits: a hostile file gives problems, never a crash.

The scalars are those of the YAML 1.2 core schema: `on`, `yes`, `no`, `12:30` and `2026-01-31` are
texts. A key is its text as it is written: `1:` is the key `"1"`, `on:` the key `"on"`. Merge keys
(`<<`), several documents, and tags beyond the core schema are problems. Nodes are composed from the
parser's events without recursion (the recursive composer of the C library crashes the process on
some thousand nested brackets). What the parser complains about is said in words that tell what to
do.
"""

from __future__ import annotations

import re
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import yaml

from maverick.errors import Problem
from maverick.record import record

if TYPE_CHECKING:
    from collections.abc import Iterator

    from maverick.values import Value

_UNCLOSED = "unclosed quote: the text that starts here never ends"
_MESSAGES = (
    ("end of stream", "quoted scalar", _UNCLOSED),
    ("document indicator", "quoted scalar", _UNCLOSED),
    ("did not find expected '-'", "", "a list item (`- `) is expected here; check the indentation"),
    ("expected <document start>", "", "a second document starts here; one file holds one document"),
    ("did not find expected node content", "", "a value is missing, or a `[` or `{` is not closed"),
    (
        "did not find expected key",
        "",
        "a key is expected here; check the indentation and the quotes",
    ),
    (
        "could not find expected ':'",
        "",
        "a key without `:`; every line of a mapping is `key: value`",
    ),
    (
        "unknown escape",
        "",
        "unknown escape in a text in double quotes; double the `\\`, or use single quotes",
    ),
)
"""What stands in the parser's problem and context, and what is said instead."""


def nested_too_deeply(error: yaml.YAMLError) -> yaml.Mark | None:
    """Give the place where the parser's own limit of nesting stopped it; None if something else
    did.

    PyYAML has one since 6.0.4 ("exceeded maximum nesting depth"), libyaml in another wording.
    """
    mark: yaml.Mark | None = getattr(error, "problem_mark", None)
    return mark if "nesting" in str(getattr(error, "problem", "")).lower() else None


def syntax_problem(error: yaml.YAMLError, text: str, file: str) -> Problem:
    """Turn the parser's *error* on *text* into a problem with the place where a person would
    look.
    """
    mark: Any = getattr(error, "problem_mark", None)
    context_mark: Any = getattr(error, "context_mark", None)
    problem = str(getattr(error, "problem", None) or error)
    context = str(getattr(error, "context", None) or "")
    lines = text.split("\n")
    if mark is None:
        return Problem(file, 0, 0, f"not YAML: {problem}")
    line = lines[mark.line] if mark.line < len(lines) else ""
    message = _message(problem, context, line, mark.column)
    opened = context_mark is not None and mark.line >= context_mark.line and "unclosed" in message
    place: Any = context_mark if opened else mark
    return Problem(file, place.line + 1, place.column + 1, message)


def _message(problem: str, context: str, line: str, column: int) -> str:  # noqa: PLR0911 - a table in effect.
    if "\t" in line[: column + 1] and not line[: column + 1].strip():
        return "a tab cannot indent YAML; use spaces"
    for words, wanted_context, message in _MESSAGES:
        if words in problem and wanted_context in context:
            return message
    if "cannot start any token" in problem:
        return f"a text cannot start with `{line[column : column + 1]}` unless it is quoted"
    if "mapping values are not allowed" in problem:
        if "${{" in line[:column]:
            return "`: ` inside an expression: quote the whole text"
        return "a `:` does not fit here; check the indentation, or quote the text if it is one"
    if "flow sequence" in context or "flow mapping" in context:
        bracket = "[" if "flow sequence" in context else "{"
        if line[column:].startswith("{{") and line[:column].endswith("$"):
            return f"quote expressions inside `{bracket}`: '${{{{ … }}}}'"
        return f"unclosed `{bracket}`, or a missing `,` in what starts here"
    return f"not YAML: {problem}" + (f" {context}" if context else "")


MAX_TEXT_CHARACTERS = 1 << 20
MAX_DEPTH = 150
MAX_NODES = 100_000
"""Counted as if every alias were written out."""

_Loader = cast("type[yaml.SafeLoader]", getattr(yaml, "CSafeLoader", yaml.SafeLoader))
_TOO_DEEP = f"nested too deeply: more than {MAX_DEPTH} lists and mappings"
_CORE = "tag:yaml.org,2002:"
_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

Scalar: TypeAlias = bool | int | float | str | None


@record
class ScalarNode:
    """A scalar. `text` is what stands in the file, unescaped; `start` and `end` are offsets into
    the file.
    """

    line: int
    column: int
    value: Scalar
    text: str
    style: str
    start: int
    end: int

    size = 1
    height = 1


@record
class SequenceNode:
    """A list. `size` counts all nodes below, aliases written out; `height` their deepest
    nesting.
    """

    line: int
    column: int
    items: tuple[Node, ...]
    size: int
    height: int


@record
class MappingNode:
    """A mapping, in the order of the file; no key stands in it twice."""

    line: int
    column: int
    entries: dict[str, tuple[ScalarNode, Node]]
    size: int
    height: int


Node: TypeAlias = ScalarNode | SequenceNode | MappingNode


def plain_value(node: Node) -> Value:
    """The value of *node* as it is written; expressions in it stay texts."""
    if isinstance(node, ScalarNode):
        return node.value
    if isinstance(node, SequenceNode):
        return [plain_value(item) for item in node.items]
    return {name: plain_value(item) for name, (_, item) in node.entries.items()}


class _Unreadable(Exception):
    """The rest of the text cannot be read."""


@dataclass(slots=True)
class _Open:
    """A list or mapping whose end has not been read."""

    event: yaml.CollectionStartEvent
    line: int
    column: int
    children: list[Node]


def compose(text: str, file: str) -> tuple[Node | None, list[Problem]]:
    """Give the document in *text*, and every problem found on the way.

    The node is None where the text cannot be read at all; it is there, beside problems, where only
    parts are wrong (a key that stands twice, an unknown tag).
    """
    composer = _Composer(file)
    early = composer.check_text(text)
    if early:
        return None, early
    text = text.removeprefix("\ufeff")
    try:
        return composer.document(yaml.parse(text, Loader=_Loader)), composer.problems
    except _Unreadable:
        return None, composer.problems
    except yaml.YAMLError as error:
        opened = nested_too_deeply(error)
        if opened is None:
            return None, [*composer.problems, syntax_problem(error, text, file)]
    return None, _too_deep(text[: opened.index], opened, file)


def _too_deep(opening: str, end: yaml.Mark, file: str) -> list[Problem]:
    """Find the place where our limit was passed, in what the parser has read before its own limit
    stopped it.

    The parser reads ahead: it may stop before it has given the events of what it has read.
    """
    composer = _Composer(file)
    with suppress(_Unreadable, yaml.YAMLError):
        composer.document(yaml.parse(opening, Loader=_Loader))
    if not any(problem.message == _TOO_DEEP for problem in composer.problems):
        composer.problem(end.line + 1, end.column + 1, _TOO_DEEP)
    return composer.problems


class _Composer:
    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self.anchors: dict[str, Node | None] = {}
        self.nodes = 0

    def problem(self, line: int, column: int, message: str) -> None:
        self.problems.append(Problem(self.file, line, column, message))

    def stop(self, line: int, column: int, message: str) -> _Unreadable:
        self.problem(line, column, message)
        return _Unreadable()

    def check_text(self, text: str) -> list[Problem]:
        if len(text) > MAX_TEXT_CHARACTERS:
            self.problem(0, 0, f"the file is too large: more than {MAX_TEXT_CHARACTERS >> 20} MiB")
            return self.problems
        bad = _UNPRINTABLE.search(text)
        if bad is not None:
            before = text[: bad.start()]
            line, column = before.count("\n") + 1, bad.start() - before.rfind("\n")
            if not (bad.start() == 0 and bad.group() == "\ufeff"):
                self.problem(
                    line,
                    column,
                    f"the character U+{ord(bad.group()):04X} cannot stand in a YAML file",
                )
        return self.problems

    def document(self, events: Iterator[yaml.Event]) -> Node | None:
        """Give the only document's node; raises _Unreadable, or YAMLError of the parser."""
        root: Node | None = None
        documents = 0
        stack: list[_Open] = []
        for event in events:
            if isinstance(event, yaml.ScalarEvent):
                node: Node = self.scalar(event)
            elif isinstance(event, yaml.CollectionStartEvent):
                self.start(event, stack)
                continue
            elif isinstance(event, yaml.CollectionEndEvent):
                node = self.finish(stack.pop())
            elif isinstance(event, yaml.AliasEvent):
                node = self.alias(event, len(stack))
            elif isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    line, column = _position(event)
                    raise self.stop(
                        line,
                        column,
                        "a second document (`---`) starts here; one file holds one document",
                    )
                continue
            else:
                continue
            if stack:
                stack[-1].children.append(node)
            else:
                root = node
        if root is None or (isinstance(root, ScalarNode) and root.value is None):
            raise self.stop(1, 1, "the file is empty")
        return root

    def count(self, size: int, line: int, column: int) -> None:
        self.nodes += size
        if self.nodes > MAX_NODES:
            raise self.stop(
                line, column, f"too many values: more than {MAX_NODES}, with aliases written out"
            )

    def start(self, event: yaml.CollectionStartEvent, stack: list[_Open]) -> None:
        line, column = _position(event)
        self.count(1, line, column)
        if len(stack) >= MAX_DEPTH:
            raise self.stop(line, column, _TOO_DEEP)
        kind = "seq" if isinstance(event, yaml.SequenceStartEvent) else "map"
        if event.tag not in {None, "!", _CORE + kind}:
            self.problem(line, column, _tag_message(event.tag))
        if event.anchor is not None:
            self.anchors[event.anchor] = None
        stack.append(_Open(event, line, column, []))

    def finish(self, opened: _Open) -> Node:
        children = opened.children
        size = 1 + sum(child.size for child in children)
        height = 1 + max((child.height for child in children), default=0)
        node: Node
        if isinstance(opened.event, yaml.SequenceStartEvent):
            node = SequenceNode(opened.line, opened.column, tuple(children), size, height)
        else:
            node = MappingNode(opened.line, opened.column, self.entries(children), size, height)
        if opened.event.anchor is not None:
            self.anchors[opened.event.anchor] = node
        return node

    def entries(self, children: list[Node]) -> dict[str, tuple[ScalarNode, Node]]:
        entries: dict[str, tuple[ScalarNode, Node]] = {}
        for key, value in zip(children[::2], children[1::2], strict=True):
            if not isinstance(key, ScalarNode):
                braces = (
                    "; an expression is quoted: '${{ … }}'" if isinstance(key, MappingNode) else ""
                )
                self.problem(
                    key.line, key.column, f"a key must be a text, not a list or mapping{braces}"
                )
            elif not key.text and not key.style:
                self.problem(key.line, key.column, "a key is missing before the `:`")
            elif key.text == "<<" and not key.style:
                self.problem(
                    key.line,
                    key.column,
                    "merge keys (`<<`) are not part of YAML 1.2; write the fields out",
                )
            elif key.text in entries:
                first = entries[key.text][0]
                place = f"line {first.line}, column {first.column}"
                message = f"duplicate key `{key.text[:60]}`; it stands at {place} already"
                self.problem(key.line, key.column, message)
            else:
                entries[key.text] = (key, value)
        return entries

    def alias(self, event: yaml.AliasEvent, depth: int) -> Node:
        line, column = _position(event)
        name = event.anchor
        if name not in self.anchors:
            raise self.stop(line, column, f"no anchor `&{name}` stands before the alias `*{name}`")
        node = self.anchors[name]
        if node is None:
            raise self.stop(line, column, f"the alias `*{name}` stands inside what it refers to")
        self.count(node.size, line, column)
        if depth + node.height > MAX_DEPTH:
            raise self.stop(line, column, _TOO_DEEP)
        return node

    def scalar(self, event: yaml.ScalarEvent) -> ScalarNode:
        line, column = _position(event)
        self.count(1, line, column)
        value: Scalar = event.value
        try:
            if event.tag is None:
                if not event.style:
                    value = resolve_scalar(event.value)
            elif event.tag != "!":
                value = _tagged(event.tag, event.value)
        except ValueError as error:
            self.problem(line, column, str(error))
        start, end = _mark(event.start_mark).index, _mark(event.end_mark).index
        node = ScalarNode(line, column, value, event.value, event.style or "", start, end)
        if event.anchor is not None:
            self.anchors[event.anchor] = node
        return node


def _position(event: yaml.Event) -> tuple[int, int]:
    mark = _mark(event.start_mark)
    return mark.line + 1, mark.column + 1


def _mark(mark: object) -> yaml.Mark:
    """Every event has marks, whatever the stubs say."""
    return cast("yaml.Mark", mark)


_WORDS: dict[str, Scalar] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys((".inf", ".Inf", ".INF", "+.inf", "+.Inf", "+.INF"), float("inf")),
    **dict.fromkeys(("-.inf", "-.Inf", "-.INF"), float("-inf")),
    **dict.fromkeys((".nan", ".NaN", ".NAN"), float("nan")),
}
_INTEGER = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_NUMBER_STARTS = frozenset("+-.0123456789")
_DIGITS_MAX = 1000


def resolve_scalar(text: str) -> Scalar:
    """Give the value of an unquoted scalar by the YAML 1.2 core schema.

    Raises ValueError for a number that is too large to be read.
    """
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in _NUMBER_STARTS:
        return text
    if _INTEGER.fullmatch(text):
        if len(text) > _DIGITS_MAX:
            raise ValueError(
                f"a number of {len(text)} digits is too long; quote it if it is a text"
            )
        return int(text, 0) if text[:2] in {"0x", "0o"} else int(text)
    if _FLOAT.fullmatch(text):
        number = float(text)
        if number in {float("inf"), float("-inf")}:
            hint = "quote it if it is a text, write .inf if infinity is meant"
            raise ValueError(f"the number {text[:40]} is too large; {hint}")
        return number
    return text


def _tagged(tag: str, text: str) -> Scalar:
    kinds: dict[str, tuple[type, ...]] = {
        "null": (type(None),),
        "bool": (bool,),
        "int": (int,),
        "float": (float, int),
    }
    kind = tag.removeprefix(_CORE)
    if kind == "str" and tag != kind:
        return text
    if kind not in kinds or tag == kind:
        raise ValueError(_tag_message(tag))
    value = resolve_scalar(text)
    if type(value) not in kinds[kind]:
        raise ValueError(f"{text[:40]!r} does not fit its tag `!!{kind}`")
    return float(value) if kind == "float" and isinstance(value, int) else value


def _tag_message(tag: str) -> str:
    shown = tag.replace(_CORE, "!!", 1) if tag.startswith(_CORE) else tag
    return f"the tag `{shown}` is not supported here; only plain YAML values are"
