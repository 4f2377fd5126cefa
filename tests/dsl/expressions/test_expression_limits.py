"""No expression runs away: not in time, not in memory, not in depth, and never with another error
than its own.
"""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kit.asking import PLACE, ask, fill, frame
from maverick.dsl.expressions.evaluate import evaluate
from maverick.dsl.expressions.expressions import (
    ExpressionSyntaxError,
    parse_expression,
    parse_template,
)
from maverick.dsl.expressions.functions import FUNCTIONS
from maverick.dsl.expressions.parser import ROOTS
from maverick.errors import ExpressionFailed

TOO_LONG = "characters; the limit is 67,108,864"


@pytest.mark.parametrize(
    ("message", "text"),
    [
        ("at most 1,000,000 entries", "range(1000001)"),
        ("at most 1,000,000 entries", f"range({10**30})"),
        ("at most 1,000,000 entries", f"range(0, -{10**30}, -1)"),
        ("more than 1,000,000 entries", "split(replace(inputs.mega, 'x', 'x,'), ',')"),
        ("more than 1,000,000 entries", "split(replace(inputs.mega, 'x', 'x '))"),
        ("too much work", "[" + "range(1000000), " * 500 + "]"),
        ("too much work", "[" + "split(inputs.spaced), " * 400 + "]"),
        (TOO_LONG, " + ".join(["inputs.text"] * 5)),
        (TOO_LONG, "replace(inputs.mega, 'x', replace('" + "x" * 80 + "', 'x', 'xx'))"),
        (TOO_LONG, "join(range(1000000), '" + "-" * 70 + "')"),
        (TOO_LONG, "join(values(inputs.texts), '')"),
        (TOO_LONG, "format('{0}{0}{0}{0}{0}', inputs.text)"),
        (TOO_LONG, "to_json([" + "inputs.text, " * 5 + "])"),
        (TOO_LONG, "quote(replace(inputs.text, 'x', \"'\"))"),
        ("too much work", "to_json([" + "inputs.mega, " * 700 + "])"),
        ("too much work", "hash([" + "inputs.mega, " * 700 + "])"),
        ("too much work", " + ".join(["inputs.mega"] * 50)),
        ("too much work", " and ".join(["inputs.text + 'a' == inputs.text + 'a'"] * 20)),
        ("too much work", " or ".join(["'y' in inputs.text"] * 20)),
        ("too much work", " or ".join(["-1 in inputs.many"] * 60)),
        ("too much work", " or ".join(["inputs.many != inputs.many"] * 60)),
        ("too much work", " or ".join(["any(inputs.zeros)"] * 60)),
        ("too much work", " or ".join(["len(upper(inputs.text)) < 0"] * 20)),
        ("too much work", "sum(" + " + ".join(["inputs.many"] * 20) + ")"),
        ("the integer is too large", " * ".join(["inputs.large"] * 3)),
        ("too much work", "format(replace(inputs.text, 'x', '{{'))"),
        ("at most 256 different characters", "strip(inputs.text, inputs.alphabet)"),
        ("the integer is too large", "inputs.huge + 1"),
        ("the integer is too large", "1 % inputs.huge"),
        ("too large for a float", "inputs.large / 3"),
        ("too large for a float", "inputs.large * 1.5"),
        ("cannot convert an integer that large", "float(inputs.large)"),
        ("too large to be written as text", "str(inputs.huge)"),
        ("too large to be written as text", "to_json([inputs.huge])"),
        (r"int\(\) cannot convert", "int(inputs.digits)"),
        ("cannot write integer as", "format('{:f}', inputs.large)"),
    ],
)
def test_a_runaway_expression_is_stopped(message: str, text: str) -> None:
    scope = frame(
        mega="x" * 2**20,
        text="x" * 2**24,
        texts={str(number): "x" * 2**24 for number in range(5)},
        spaced="x " * 900_000,
        many=list(range(300_000)),
        alphabet="".join(map(chr, range(1000))),
        zeros=[0] * 300_000,
        large=1 << 40_000,
        huge=1 << 200_000,
        digits="9" * 10_000,
    )
    with pytest.raises(ExpressionFailed, match=message):
        ask(text, scope)


def test_the_text_that_a_template_builds_is_limited() -> None:
    with pytest.raises(ExpressionFailed, match="the limit is 67,108,864"):
        fill("${{ inputs.x }}" * 70, frame(x="x" * 2**20))


def test_large_values_can_be_read_however_large_they_are() -> None:
    """The limits are on what an expression builds; what a step gave can always be passed on."""
    many = list(range(2_000_000))
    text = "x" * (70 * 2**20)
    scope = frame(many=many, text=text)

    assert many == ask("inputs.many", scope)
    assert text == ask("inputs.text", scope)
    assert [2_000_000, 1_999_999, len(text)] == ask(
        "[len(inputs.many), inputs.many[-1], len(inputs.text)]", scope
    )


def test_large_integers_are_written_in_full() -> None:
    """Python stops at 4,300 digits; the language at its own limit."""
    assert "1" + "0" * 9_000 == ask("str(inputs.x)", frame(x=10**9_000))
    assert "-" + "9" * 8_001 == ask("str(inputs.x)", frame(x=-(10**8_001 - 1)))


def test_a_deep_value_is_an_error_and_no_crash() -> None:
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for text in ["inputs.x", "to_json(inputs.x)", "hash(inputs.x)", "str(inputs.x)", "[inputs.x]"]:
        with pytest.raises(ExpressionFailed, match="nested"):
            ask(text, frame(x=deep))
    assert True is ask("inputs.x == inputs.x", frame(x=deep))
    while deep:  # take it apart from the outside: freeing it at once would recurse
        deep = deep.pop()


WORDS = [
    *ROOTS,
    *FUNCTIONS,
    *[
        "if",
        "else",
        "or",
        "and",
        "not",
        "in",
        "true",
        "null",
        "x",
        "output",
        "'a'",
        '"}}"',
        "0",
        "1",
        "2.5",
        "-3",
    ],
    *[
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        ",",
        ".",
        ":",
        "+",
        "-",
        "*",
        "/",
        "%",
        "//",
        "==",
        "!=",
        "<",
        ">=",
        "${{",
        "}}",
    ],
]


TEXTS = (
    st.text()
    | st.lists(st.sampled_from(WORDS)).map(" ".join)
    | st.lists(st.sampled_from(WORDS)).map("".join)
)


@given(TEXTS | TEXTS.map("${{{{{}}}}}".format))
@example("'\\")
@example("1" * 5000)
@example("\ud800")
@example("${{")
@example("a." * 4000)
def test_the_parser_raises_nothing_but_its_own_error(text: str) -> None:
    for parse in (parse_expression, parse_template):
        try:
            parse(text, PLACE)
            offset = 0
        except ExpressionSyntaxError as error:
            offset = error.offset
        assert 0 <= offset <= len(text)


ATOMS = st.sampled_from(
    [
        "null",
        "true",
        "0",
        "1",
        "-2",
        "2.5",
        "1e308",
        "'a'",
        "''",
        "'1'",
        "[]",
        "{}",
        "item",
        "item.x",
        "index",
        "steps",
        "inputs",
        "inputs.big",
        "inputs.nan",
        "inputs.data",
        "inputs.list",
        "inputs.map",
        "env",
        "run.id",
        "parent.item",
    ]
)
_SIGNS = ("+", "-", "*", "/", "%", "//", "==", "!=", "<", "<=", ">", ">=", "in", "and", "or")


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    signs = st.sampled_from(["not in", *_SIGNS])
    calls = st.sampled_from(sorted(set(FUNCTIONS) - {"glob", "exists"})).flatmap(
        lambda name: st.lists(
            inner,
            min_size=FUNCTIONS[name].least,
            max_size=FUNCTIONS[name].most or FUNCTIONS[name].least + 2,
        ).map(lambda arguments: f"{name}({', '.join(arguments)})")
    )
    return st.one_of(
        calls,
        st.tuples(inner, signs, inner).map(lambda parts: f"({parts[0]} {parts[1]} {parts[2]})"),
        st.tuples(inner, inner).map(lambda parts: f"{parts[0]}[{parts[1]}]"),
        st.tuples(inner, inner, inner).map(
            lambda parts: f"({parts[0]} if {parts[1]} else {parts[2]})"
        ),
        st.lists(inner, max_size=3).map(lambda parts: f"[{', '.join(parts)}]"),
        st.tuples(inner, inner).map(lambda parts: f"{{{parts[0]}: {parts[1]}}}"),
        inner.map(lambda part: f"(not {part})"),
        inner.map(lambda part: f"(-{part})"),
        inner.map(lambda part: f"({part}).x"),
    )


@settings(max_examples=400)
@given(st.recursive(ATOMS, _larger, max_leaves=12))
def test_evaluating_raises_nothing_but_its_own_error(text: str) -> None:
    scope = frame(
        big=1 << 90_000,
        nan=float("nan"),
        data=b"\xff",
        list=[1, "a", None, [2.5], {"x": 1}],
        map={"a": 1, "1": [None], "x": {"x": "y"}},
        steps={"x": {"a": 1}},
        env={"a": "b"},
        run={"id": "r"},
    ).child(item={"x": "${{ item }}"}, index=3)
    expression = parse_expression(text, PLACE)
    try:
        value = evaluate(expression, scope)
    except ExpressionFailed as error:
        value = str(error).split("`")[0]
        beginning = value
    else:
        beginning = f"{PLACE}: "

    assert f"{PLACE}: " == beginning
    assert type(value) in (type(None), bool, int, float, str, bytes, list, dict)
