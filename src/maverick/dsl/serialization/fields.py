"""Reads the fields of one mapping, each with its type.

An accessor registers the name it asks for, so that what nobody asked for is unknown. After a
problem it gives the field's default, and reading goes on: every problem of a file is reported at
once.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypeVar

from maverick.dsl.durations import parse_duration
from maverick.dsl.expressions.expressions import Expression, Template
from maverick.dsl.serialization.foreign_words import Word, Words
from maverick.dsl.serialization.problems import Problems, describe, is_null, is_sole
from maverick.dsl.serialization.yaml_nodes import (
    MappingNode,
    Node,
    ScalarNode,
    SequenceNode,
    plain_value,
)
from maverick.dsl.workflow.inputs import truth_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from maverick.dsl.expressions.expressions import Field, SourcePlace
    from maverick.values import Value

Common: TypeAlias = dict[str, Any]
"""The keyword arguments that every step's record takes."""


class Inner(NamedTuple):
    """The shape of a mapping: *read* asks for its fields, *about* is its name in the descriptions.

    See `maverick.dsl.catalog.schema`.
    """

    read: Callable[[Fields], object]
    about: str


Shape: TypeAlias = "Mapping[str, object] | Inner | None"
"""What a value may be, as JSON Schema in which an `Inner` may stand; None says nothing.

Reading does not look at it: it is what editors are told of a value that a reader takes apart
itself.
"""
STEP: Final = {"$ref": "#/$defs/step"}
UNNAMED_STEP: Final = {"$ref": "#/$defs/unnamed_step"}
TRUTH: Final = {"$ref": "#/$defs/truth"}
EXPRESSION: Final = {"type": "string", "pattern": r"\$\{\{"}

_T = TypeVar("_T")
_Word = TypeVar("_Word", bound=str)
_DURATION = "a number of seconds, or a duration such as 90s, 15m or 2h"


class Fields:
    """The fields of one mapping; *what* names it in messages: `a workflow`, `a shell step`.

    In a *fixed* one, such as maverick.yaml's, there are no expressions. *words* are those of other
    systems: each that stands there is answered.
    """

    def __init__(
        self,
        problems: Problems,
        node: MappingNode,
        what: str,
        *,
        fixed: bool = False,
        words: Words | None = None,
    ) -> None:
        self.problems = problems
        self.node = node
        self.what = what
        self._fixed = fixed
        self._asked: dict[str, None] = {}
        self._words = {name: words[name] for name in node.entries if name in words} if words else {}
        """Those that stand there and are not answered yet."""

    def others(self) -> Iterator[ScalarNode]:
        """Give the key of each field that nobody asked for, except `x-…`."""
        for name, (key, _) in self.node.entries.items():
            if name not in self._asked and not name.startswith("x-"):
                yield key

    def refuse_others(self, elsewhere: Mapping[str, str] | None = None) -> None:
        """Report each of the others. *elsewhere*: fields that are known in another mapping, and
        which.
        """
        for key in self.others():
            name = key.text
            if name in self._words:
                self.problems.add(key, f"`{name}`: {self._answer(self._words[name])}")
                continue
            if elsewhere and name in elsewhere:
                hint = f"; it is one of {elsewhere[name]}"
            else:
                hint = (
                    self.problems.suggest(name, self._asked)
                    or f"; there are {', '.join(self._asked)}"
                )
            self.problems.add(key, f"unknown field `{name[:60]}` in {self.what}{hint}")

    def _answer(self, word: Word) -> str:
        if word.same and word.field in self._asked:
            return f"here it is `{word.field}`"
        return word.answer or f"here it would be `{word.field}`, which {self.what} does not have"

    def answer_words(self) -> None:
        """Answer the words of other systems, where nobody can say which fields there would be."""
        for key in self.others():
            word = self._words.get(key.text)
            if word is not None:
                answer = word.answer or f"here it is `{word.field}`"
                self.problems.add(key, f"`{key.text}`: {answer}")

    def stands_in(self, name: str) -> bool:
        """Whether a word of another system stands there in place of the field *name*."""
        return any(word.field == name for word in self._words.values())

    def _read_word(self, name: str) -> None:
        """Let a word of another system that means the field *name* be that field, and tell it."""
        other = next(
            (other for other, word in self._words.items() if word.same and word.field == name), None
        )
        if other is None:
            return
        del self._words[other]
        self.problems.add(self.node.entries[other][0], f"`{other}`: here it is `{name}`")
        self.node = replace(
            self.node,
            entries={
                name if key == other else key: entry for key, entry in self.node.entries.items()
            },
        )

    def has(self, name: str) -> bool:
        if self._words and name not in self.node.entries:
            self._read_word(name)
        return name in self.node.entries

    def node_of(self, name: str, *, required: bool = False, shape: Shape = None) -> Node | None:  # noqa: ARG002 - for `schema`
        """Give the field's node; a required one that is missing is a problem.

        *shape*: what it may be.
        """
        self._asked[name] = None
        if self.has(name):
            return self.node.entries[name][1]
        if required and not self.stands_in(name):
            self.problems.add(self.node, f"missing field `{name}`: {self.what} needs it")
        return None

    def optional(self, name: str, *, shape: Shape = None) -> Node | None:
        """Give the field's node; one that is left empty counts as not given."""
        node = self.node_of(name, shape=shape)
        return None if node is None or is_null(node) else node

    def optional_mapping(self, name: str, *, shape: Shape = None) -> MappingNode | None:
        """Give the node of a mapping; one that is left empty counts as not given."""
        return None if self.optional(name) is None else self.mapping(name, shape=shape)

    def inner(self, name: str, read: Callable[[Fields], _T], default: _T) -> _T:
        """Give what *read* makes of the mapping *name*; *default* where it is not given, or empty.

        The descriptions have it under its name, too: see `Inner`.
        """
        node = self.optional_mapping(name, shape=Inner(read, name))
        return default if node is None else self.read_inner(node, f"`{name}`", read)

    def read_inner(
        self,
        node: MappingNode,
        what: str,
        read: Callable[[Fields], _T],
        *,
        words: Words | None = None,
    ) -> _T:
        """Give what *read* makes of a mapping in this one, and refuse its other fields."""
        inner = Fields(self.problems, node, what, fixed=self._fixed, words=words)
        result = read(inner)
        inner.refuse_others()
        return result

    def place_of(self, name: str) -> SourcePlace:
        """Where the field's value stands, or the mapping if it is not given."""
        entry = self.node.entries.get(name)
        return self.problems.place(entry[1] if entry else self.node)

    def places(self) -> dict[str, SourcePlace]:
        return {name: self.problems.place(node) for name, (_, node) in self.node.entries.items()}

    def entry_places(self, name: str) -> dict[str, SourcePlace]:
        """Where the entries of the field, a mapping, stand: under `NAME.ENTRY`."""
        node = self.node.entries[name][1] if name in self.node.entries else None
        entries = node.entries.items() if isinstance(node, MappingNode) else ()
        return {f"{name}.{entry}": self.problems.place(key) for entry, (key, _) in entries}

    def wrong(self, name: str, node: Node, wanted: str, hint: str = "") -> None:
        """Report that the field's value is not what is *wanted*."""
        self.problems.add(node, f"`{name}` must be {wanted}, not {describe(node)}{hint}")

    def text(self, name: str, *, required: bool = False, pattern: str = "") -> str:  # noqa: ARG002 - for `schema`
        """Give a text that holds no expression; *pattern*: what the caller asks of it."""
        value = self.template(name, required=required)
        if isinstance(value, Template):
            self.problems.add(
                self.node.entries[name][1], f"`{name}` must be a fixed text, without expressions"
            )
            return ""
        return value or ""

    def template(self, name: str, *, required: bool = False) -> str | Template | None:
        """Give a text, perhaps with expressions; None if it is not given. A required one is not
        empty.
        """
        node = self.node_of(name, required=required)
        if node is None:
            return None
        if not isinstance(node, ScalarNode) or not isinstance(node.value, str):
            quotable = isinstance(node, ScalarNode) and node.value is not None
            self.wrong(name, node, "a text (in quotes)" if quotable else "a text")
            return None
        if required and not node.value.strip():
            self.problems.add(node, f"`{name}` is empty")
        return self.problems.template(node)

    def free_text(self, name: str) -> str:
        """Give a description: any scalar, as it is written."""
        node = self.node_of(name)
        if node is None:
            return ""
        if not isinstance(node, ScalarNode):
            self.wrong(name, node, "a text")
            return ""
        return node.text

    def flag(self, name: str, *, default: bool = False) -> bool:
        """Give a boolean; `yes`, `no`, `on` and `off` are ones here."""
        node = self.node_of(name)
        if node is None:
            return default
        value = truth_of(node.value) if isinstance(node, ScalarNode) else None
        if value is None:
            self.wrong(name, node, "true or false")
            return default
        return value

    def word(
        self,
        name: str,
        words: Sequence[_Word],
        default: _Word,
        *,
        others: Mapping[str, str] | None = None,
    ) -> _Word:
        """Give one of *words*; `true`, `false` and `null` match what YAML makes of them.

        *others*: what other systems call them.
        """
        node = self.node_of(name)
        if node is None:
            return default
        text = node.text if isinstance(node, ScalarNode) else ""
        for word in words:
            if text == word or (word == "null" and is_null(node)):
                return word
        hint = self.problems.suggest(text, words) if text else ""
        if others and not hint and text.lower() in others:
            hint = f"; here it is `{others[text.lower()]}`"
        self.wrong(name, node, f"{', '.join(words[:-1])} or {words[-1]}")
        if hint:
            last = self.problems.errors.pop()
            self.problems.add(node, last.message + hint)
        return default

    def texts(self, name: str) -> tuple[str, ...]:
        """Give a list of texts; one text alone is a list of one."""
        node = self.node_of(name)
        if node is None:
            return ()
        items = node.items if isinstance(node, SequenceNode) else (node,)
        for item in items:
            if not isinstance(item, ScalarNode) or not item.text or is_null(item):
                self.wrong(name, item, "a list of texts")
                return ()
        return tuple(item.text for item in items if isinstance(item, ScalarNode))

    def field(self, name: str) -> Field:
        """Give any value, with its expressions parsed."""
        node = self.node_of(name)
        if node is None:
            return None
        self.problems.warn_of_numbers(node)
        return self.problems.field(node)

    def shaped(
        self,
        name: str,
        kinds: tuple[type[Node], ...],
        wanted: str,
        *,
        typed: bool = False,
        entries: Shape = None,  # noqa: ARG002 - for `schema`
    ) -> Field:
        """Give a value that is of one of *kinds*, a null, or one expression that gives such a
        value.

        *typed*: the entries of the mapping have declared types, so that a number is no text by
        mistake. *entries*: what stands in a list.
        """
        node = self.node_of(name)
        if node is None or is_null(node):
            return None
        value = self.problems.field(node)
        inside = (
            [item for _, item in node.entries.values()]
            if typed and isinstance(node, MappingNode)
            else [node]
        )
        for item in inside:
            if not (typed and isinstance(item, ScalarNode)):
                self.problems.warn_of_numbers(item)
        if isinstance(node, kinds):
            if not isinstance(node, ScalarNode) or isinstance(node.value, str):
                return value
        elif is_sole(value):
            return value
        elif (
            isinstance(node, ScalarNode) and "${{" in node.text and not isinstance(value, Template)
        ):
            return None  # A syntax error, reported already.
        self.wrong(name, node, wanted)
        return None

    def free_mapping(self, name: str) -> dict[str, Value]:
        """Give a mapping of anything, as it is written."""
        node = self.mapping(name)
        return (
            {}
            if node is None
            else {key: plain_value(item) for key, (_, item) in node.entries.items()}
        )

    def mapping(self, name: str, *, shape: Shape = None) -> MappingNode | None:
        node = self.node_of(name, shape=shape)
        if node is None or isinstance(node, MappingNode):
            return node
        self.wrong(name, node, "a mapping")
        return None

    def sequence(
        self,
        name: str,
        *,
        required: bool = False,
        entries: Shape = None,
    ) -> SequenceNode | None:
        """Give the node of a list that is not empty; *entries*: what stands in it."""
        node = self.node_of(name, required=required)
        if node is None:
            return None
        if not isinstance(node, SequenceNode):
            named = next(iter(node.entries), "") if isinstance(node, MappingNode) else ""
            hint = (
                f"; write each step as `- name: {named[:60]}`" if named and entries is STEP else ""
            )
            self.wrong(name, node, "a list", hint)
            return None
        if not node.items:
            self.problems.add(
                node, f"`{name}` is empty: {self.what} needs at least one entry in it"
            )
        return node

    def count(self, name: str, default: int | None, *, least: int = 1) -> Field:
        """Give an integer of at least *least*, or an expression."""

        def convert(value: Field) -> int | None:
            return (
                value
                if isinstance(value, int) and not isinstance(value, bool) and value >= least
                else None
            )

        return self._literal(name, default, convert, f"an integer from {least}")

    def number(self, name: str, default: float, *, least: float) -> Field:
        """Give a number of at least *least*, or an expression."""

        def convert(value: Field) -> float | None:
            if not isinstance(value, int | float) or isinstance(value, bool):
                return None
            return value if least <= value < float("inf") else None

        return self._literal(name, default, convert, f"a number from {least:g}")

    def seconds(self, name: str, default: float | None = None, *, positive: bool = False) -> Field:
        """Give a duration in seconds, or an expression."""

        def convert(value: Field) -> float | None:
            try:
                seconds = parse_duration(value if isinstance(value, str | int | float) else "")
            except ValueError:
                return None
            return seconds if seconds > 0 or not positive else None

        return self._literal(name, default, convert, _DURATION + (", above 0" if positive else ""))

    def _literal(
        self, name: str, default: Field, convert: Callable[[Field], float | None], wanted: str
    ) -> Field:
        """Give what *convert* makes of the scalar that is given, or its expression."""
        node = self.node_of(name)
        if node is None:
            return default
        if isinstance(node, ScalarNode):
            value = node.value if self._fixed else self.problems.field(node)
            if isinstance(value, Template):
                return value
            if isinstance(value, str) and "${{" in value and not self._fixed:
                return default  # A syntax error, reported already.
            converted = convert(value)
            if converted is not None:
                return converted
        self.wrong(name, node, wanted if self._fixed else f"{wanted}, or an expression")
        return default

    def expression(self, name: str, *, required: bool = False) -> Expression | None:
        """Give the expression that the field is, with or without `${{ }}`."""
        node = self.node_of(name, required=required)
        if node is None:
            return None
        if not isinstance(node, ScalarNode) or not node.text.strip() or (is_null(node)):
            self.wrong(name, node, "an expression")
            return None
        return self.problems.expression(node)
