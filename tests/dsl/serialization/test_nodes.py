"""YAML text becomes nodes of the YAML 1.2 core schema, and a hostile text becomes problems."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from maverick.dsl.catalog.config import parse_config
from maverick.dsl.catalog.lint import check_text
from maverick.dsl.serialization.loader import parse_workflow
from maverick.dsl.serialization.source_text import decode_text
from maverick.dsl.serialization.yaml_nodes import (
    MAX_DEPTH,
    MappingNode,
    Scalar,
    ScalarNode,
    compose,
)
from maverick.errors import WorkflowInvalid


def value_of(text: str) -> Scalar:
    """Give the value of the scalar *text*, as YAML reads it."""
    node, problems = compose(f"a: {text}", "f")
    assert [] == problems
    assert isinstance(node, MappingNode)
    value = node.entries["a"][1]
    assert isinstance(value, ScalarNode)
    return value.value


def problems_of(text: str) -> list[str]:
    """Give `line:column: message` of each problem."""
    return [f"{p.line}:{p.column}: {p.message}" for p in compose(text, "f")[1]]


@pytest.mark.parametrize(
    "text", ["on", "off", "yes", "no", "On", "y", "12:30", "2026-01-31", "1_000", "0b1", "1e", "="]
)
def test_what_only_yaml_1_1_converts_stays_text(text: str) -> None:
    assert text == value_of(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("true", True),
        ("False", False),
        ("12", 12),
        ("-0", 0),
        ("007", 7),
        ("0x1F", 31),
        ("0o17", 15),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1.", 1.0),
        ("+1e3", 1000.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("'12'", "12"),
        ('"null"', "null"),
        ("!!str 12", "12"),
        ("! 12", "12"),
        ("!!int '12'", 12),
        ("!!float 12", 12.0),
    ],
)
def test_scalars_are_those_of_the_core_schema(text: str, expected: Scalar) -> None:
    assert (expected, type(expected)) == (value_of(text), type(value_of(text)))


def test_nan_is_a_number() -> None:
    value = value_of(".nan")

    assert isinstance(value, float)
    assert math.isnan(value)


def test_a_key_is_its_text_as_it_is_written() -> None:
    node, problems = compose("1: a\ntrue: b\non: c\n'x y': d\n0x1: e\n", "f")

    assert [] == problems
    assert isinstance(node, MappingNode)
    assert ["1", "true", "on", "x y", "0x1"] == list(node.entries)


def test_an_alias_stands_for_what_its_anchor_has() -> None:
    node, problems = compose("a: &x [1, 2]\nb: *x\n", "f")

    assert [] == problems
    assert isinstance(node, MappingNode)
    assert node.entries["a"][1] is node.entries["b"][1]


LAUGHS = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{','.join([f'*{chr(97 + n)}'] * 10)}]\n" for n in range(12)
)
HOSTILE = {
    "empty": ("", "1:1: the file is empty"),
    "only a comment": ("# nothing\n", "1:1: the file is empty"),
    "only null": ("~", "1:1: the file is empty"),
    "a tab": ("a:\n\tb: 1\n", "2:1: a tab cannot indent YAML; use spaces"),
    "an unclosed quote": (
        "a: 'x\nb: 1\n",
        "1:4: unclosed quote: the text that starts here never ends",
    ),
    "an unclosed bracket": (
        "a: [1, 2\nb: 3\n",
        "1:4: unclosed `[`, or a missing `,` in what starts here",
    ),
    "an unclosed brace": (
        "a: {b: 1\nc: 2\n",
        "1:4: unclosed `{`, or a missing `,` in what starts here",
    ),
    "a value that is missing": ("a: [", "2:1: a value is missing, or a `[` or `{` is not closed"),
    "an expression in brackets": (
        "a: [${{ x }}]\n",
        "1:6: quote expressions inside `[`: '${{ … }}'",
    ),
    "a colon in an expression": (
        "a: ${{ {'x': 1} }}\n",
        "1:12: `: ` inside an expression: quote the whole text",
    ),
    "a colon too many": (
        "a: b: c\n",
        "1:5: a `:` does not fit here; check the indentation, or quote the text if it is one",
    ),
    "a reserved character": ("a: @x\n", "1:4: a text cannot start with `@` unless it is quoted"),
    "an unknown escape": (
        'a: "\\d"\n',
        "1:5: unknown escape in a text in double quotes; double the `\\`, or use single quotes",
    ),
    "wrong indentation": (
        "a:\n  b: 1\n c: 2\n",
        "3:2: a key is expected here; check the indentation and the quotes",
    ),
    "a key among items": (
        "- a\nb: 1\n",
        "2:1: a list item (`- `) is expected here; check the indentation",
    ),
    "a line without a colon": (
        "a: 1\nb\nc: 2\n",
        "3:1: a key without `:`; every line of a mapping is `key: value`",
    ),
    "a NUL": ("a: 'x\0'", "1:6: the character U+0000 cannot stand in a YAML file"),
    "half a surrogate pair": ("a: \ud800", "1:4: the character U+D800 cannot stand in a YAML file"),
    "two documents": (
        "a: 1\n---\nb: 1\n",
        "2:1: a second document (`---`) starts here; one file holds one document",
    ),
    "a duplicate key": (
        "a: 1\nb: 2\na: 3\n",
        "3:1: duplicate key `a`; it stands at line 1, column 1 already",
    ),
    "a duplicate key of another spelling": (
        "a: {1: x, '1': y}\n",
        "1:11: duplicate key `1`; it stands at line 1, column 5 already",
    ),
    "a merge key": (
        "a: &a {x: 1}\nb:\n  <<: *a\n",
        "3:3: merge keys (`<<`) are not part of YAML 1.2; write the fields out",
    ),
    "a list as key": ("? [a]\n: b\n", "1:3: a key must be a text, not a list or mapping"),
    "a tag that makes objects": (
        "a: !!python/object/apply:os.system [x]\n",
        (
            "1:4: the tag `!!python/object/apply:os.system` is not supported here; only plain YAML "
            "values are"
        ),
    ),
    "a tag of its own": (
        "a: !x 1\n",
        "1:4: the tag `!x` is not supported here; only plain YAML values are",
    ),
    "a tag that does not fit": ("a: !!int b\n", "1:4: 'b' does not fit its tag `!!int`"),
    "an alias without anchor": ("a: *b\n", "1:4: no anchor `&b` stands before the alias `*b`"),
    "an alias inside its anchor": (
        "a: &a [*a]\n",
        "1:8: the alias `*a` stands inside what it refers to",
    ),
    "a billion laughs": (
        LAUGHS,
        "5:29: too many values: more than 100000, with aliases written out",
    ),
    "30,000 brackets": ("[" * 30_000, "1:151: nested too deeply: more than 150 lists and mappings"),
    "30,000 braces": (
        "{a: " * 30_000,
        "1:601: nested too deeply: more than 150 lists and mappings",
    ),
    "30,000 dashes": ("- " * 30_000, "1:301: nested too deeply: more than 150 lists and mappings"),
    "a number without end": (
        "a: " + "9" * 5000,
        "1:4: a number of 5000 digits is too long; quote it if it is a text",
    ),
    "a number beyond floats": (
        "a: 1e999\n",
        (
            "1:4: the number 1e999 is too large; quote it if it is a text, write .inf if infinity is "
            "meant"
        ),
    ),
    "a file without end": ("#" * (2 << 20), "0:0: the file is too large: more than 1 MiB"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_cannot_be_read_is_told_with_its_place(name: str) -> None:
    text, expected = HOSTILE[name]

    assert [expected] == problems_of(text)


FLOWS = ["[", "{a: ", '{"…": ', "{? ", "[x, ", "{a: 1, b: ", "[  # why\n", "[\n\n"]
BLOCKS = ["- ", "? ", "-   "]


@given(
    st.lists(st.sampled_from(BLOCKS), max_size=3),
    st.lists(st.sampled_from(FLOWS), min_size=1, max_size=5),
    st.integers(0, 2),
    st.integers(MAX_DEPTH + 1, 1500),
)
@example([], ["["], 0, 30_000)
@example([], ["{a: "], 0, 30_000)
@example(["- "], ["["], 1, 30_000)
@example(["- ", "? "], ["["], 1, 999)
@example([], ["[\n\n"], 0, 1001)
def test_the_place_of_what_is_too_deep_is_ours(
    blocks: list[str], flows: list[str], share: int, depth: int
) -> None:
    """A parser that has a limit of its own stops at another place, and says it in its own words."""
    if blocks:  # A line that begins less deeply would end them.
        flows = [flow for flow in flows if "\n" not in flow] or ["["]
    lists = depth * share // 2 if blocks else 0
    openers = [blocks[number % len(blocks)] for number in range(lists)]
    openers += [flows[number % len(flows)] for number in range(depth - lists)]
    before = "".join(openers[:MAX_DEPTH])
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")

    expected = [f"{line}:{column}: nested too deeply: more than 150 lists and mappings"]
    assert expected == problems_of("".join(openers))


@pytest.mark.parametrize("depth", [MAX_DEPTH + 1, 999, 1000, 1001, 1400])
def test_lines_that_are_indented_too_deeply_are_told_with_their_place(depth: int) -> None:
    expected = ["151:151: nested too deeply: more than 150 lists and mappings"]

    assert expected == problems_of("".join(f"{' ' * level}a:\n" for level in range(depth)))
    assert expected == problems_of("".join(f"{' ' * level}-\n" for level in range(depth)))


def test_aliases_cannot_nest_deeper_than_brackets() -> None:
    """Each line nests 60 deep; by alias the third stands 180 deep."""
    text = "".join(
        f"{name}: &{name} {'[' * 60}{inner}{']' * 60}\n"
        for name, inner in (("a", 1), ("b", "*a"), ("c", "*b"))
    )

    assert ["3:67: nested too deeply: more than 150 lists and mappings"] == problems_of(text)


def read_everything(text: str) -> None:
    """Read *text* in every way there is; a problem is the only thing that may come of it."""
    for read in (parse_workflow, parse_config):
        try:
            read(text, "f")
        except WorkflowInvalid as error:
            assert error.problems  # noqa: PT017 - the point is that nothing else is raised.
    check_text(text, "f")


@settings(max_examples=200)
@given(st.binary(max_size=200))
@example(b"\xff\xfea\x00")
@example(b"%YAML 2.0\n---\na")
@example(b"&a &b x")
@example(b"a: !<x y")
def test_any_bytes_give_problems_and_nothing_else(data: bytes) -> None:
    try:
        text = decode_text(data, "f")
    except WorkflowInvalid:
        return
    read_everything(text)


_SIGNS = [
    "\n",
    "\n  ",
    "\n    - ",
    ": ",
    "- ",
    ", ",
    "${{ ",
    " }}",
    *"{}[]'\"|",
    ">-",
    "&a ",
    "*a",
    "!x ",
    "<<",
    "#",
]
_WORDS = (
    "name type steps inputs version run shell loop 1.0 on null item steps. until for_each branch "
    "options when step rollback retry agents validation"
)
_TOKENS = st.sampled_from([*_SIGNS, *_WORDS.split()])


@settings(max_examples=300)
@given(st.lists(_TOKENS, max_size=40).map("".join))
def test_any_sequence_of_yaml_tokens_gives_problems_and_nothing_else(text: str) -> None:
    read_everything(text)


_ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 9)
    | st.floats(allow_nan=False)
    | st.sampled_from(["", "x", "${{ item }}"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["name", "type", "run", "x"]), inner)
    ),
    max_leaves=4,
)
# fmt: off
_FIELDS = [
    "name", "type", "description", "when", "requires", "retry", "timeout", "continue_on_error", "rollback",
    "pure", "always_run", "metadata", "action", "args", "kwargs", "run", "shell", "cwd", "env", "parse",
    "agent", "context", "output_schema", "generator", "stages", "on_failure", "fail", "workflow", "inputs",
    "options", "else", "on_no_match", "steps", "for_each", "until", "max_iterations", "max_concurrency",
    "parallel", "key", "collect", "checkpoint_id", "workspace",
]
_TYPES = [
    "python", "shell", "agent", "generate", "validate", "subworkflow", "branch", "loop", "parallel",
    "checkpoint",
]
# fmt: on
_STEPS = st.builds(
    lambda kind, fields: {"name": "a", "type": kind, **fields},
    st.sampled_from(_TYPES),
    st.dictionaries(st.sampled_from(_FIELDS), _ANYTHING, max_size=6),
)


@settings(max_examples=300)
@given(st.lists(_STEPS, min_size=1, max_size=3))
def test_any_value_in_any_field_gives_problems_and_nothing_else(steps: list[object]) -> None:
    import json  # noqa: PLC0415

    read_everything(json.dumps({"version": "1.0", "name": "w", "steps": steps}))
