"""What operators and accesses give on every pair of types, and what they refuse."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.asking import ask, frame
from maverick.errors import ExpressionFailed

SAMPLES: dict[str, Any] = {
    "null": None,
    "boolean": True,
    "integer": 1,
    "float": 1.0,
    "string": "1",
    "bytes": b"1",
    "list": [1],
    "mapping": {"1": 1},
}
NUMBERS = {"integer", "float"}
PAIRS = [(left, right) for left in SAMPLES for right in SAMPLES]
SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary()
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=10
)


@pytest.mark.parametrize(("left", "right"), PAIRS)
def test_equality_of_unlike_types_is_false(left: str, right: str) -> None:
    """`true == 1` is false although Python says otherwise; 1 and 1.0 are both numbers."""
    scope = frame(a=SAMPLES[left], b=SAMPLES[right])
    expected = left == right or {left, right} == NUMBERS

    assert expected is ask("inputs.a == inputs.b", scope)
    assert expected is not ask("inputs.a != inputs.b", scope)
    assert expected is ask("[[inputs.a]] == [[inputs.b]]", scope)
    assert expected is ask("{'x': inputs.a} == {'x': inputs.b}", scope)
    assert expected is ask(
        "inputs.a in [null, inputs.b] if inputs.a != null else inputs.b == null", scope
    )


@pytest.mark.parametrize("sign", ["<", "<=", ">", ">="])
@pytest.mark.parametrize(("left", "right"), PAIRS)
def test_comparing_unlike_types_is_an_error(left: str, right: str, sign: str) -> None:
    """Only numbers, texts and bytes have an order, each among themselves."""
    scope = frame(a=SAMPLES[left], b=SAMPLES[right])
    if {left, right} <= NUMBERS or (left == right and left in ("string", "bytes")):
        assert (sign in ("<=", ">=")) is ask(f"inputs.a {sign} inputs.b", scope)
    else:
        with pytest.raises(
            ExpressionFailed, match=r"^flow.yaml:12:7: `inputs.a .* inputs.b`: .*cannot"
        ):
            ask(f"inputs.a {sign} inputs.b", scope)


@pytest.mark.parametrize(("left", "right"), PAIRS)
def test_adding_unlike_types_is_an_error(left: str, right: str) -> None:
    scope = frame(a=SAMPLES[left], b=SAMPLES[right])
    if {left, right} <= NUMBERS or (left == right and left in ("string", "bytes", "list")):
        assert SAMPLES[left] + SAMPLES[right] == ask("inputs.a + inputs.b", scope)
    else:
        with pytest.raises(
            ExpressionFailed, match=r"^flow.yaml:12:7: `inputs.a \+ inputs.b`: `\+` cannot add"
        ):
            ask("inputs.a + inputs.b", scope)


@pytest.mark.parametrize("sign", ["-", "*", "/", "%", "//"])
@pytest.mark.parametrize(("left", "right"), PAIRS)
def test_the_other_operators_take_numbers_only(left: str, right: str, sign: str) -> None:
    """`'=' * 80` and `'%s' % x` are Python's; here they are errors."""
    scope = frame(a=SAMPLES[left], b=SAMPLES[right])
    if {left, right} <= NUMBERS:
        expected = {"-": 0, "*": 1, "/": 1.0, "%": 0, "//": 1}[sign]
        assert expected == ask(f"inputs.a {sign} inputs.b", scope)
    else:
        with pytest.raises(ExpressionFailed, match="takes numbers only, not"):
            ask(f"inputs.a {sign} inputs.b", scope)


@pytest.mark.parametrize("kind", SAMPLES)
def test_minus_takes_numbers_only(kind: str) -> None:
    scope = frame(a=SAMPLES[kind])
    if kind in NUMBERS:
        assert -1 == ask("-inputs.a", scope)
    else:
        with pytest.raises(ExpressionFailed, match="takes numbers only"):
            ask("-inputs.a", scope)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (2.5, "5 / 2"),
        (2.0, "4 / 2"),
        (2, "5 // 2"),
        (-3, "-5 // 2"),
        (1, "-5 % 2"),
        (2.0, "5.0 // 2"),
        (0.5, "2.5 % 1"),
        (3.5, "1 + 2.5"),
        ("ab", "'a' + 'b'"),
        ([1, 2], "[1] + [2]"),
    ],
)
def test_arithmetic_is_pythons(expected: object, text: str) -> None:
    actual = ask(text)
    assert (type(expected), expected) == (type(actual), actual)


@pytest.mark.parametrize("text", ["1 / 0", "1 // 0", "1 % 0", "1 / 0.0", "1.5 % 0"])
def test_division_by_zero_is_an_error_with_its_place(text: str) -> None:
    with pytest.raises(ExpressionFailed, match=f"^flow.yaml:12:7: `{text}`: division by zero$"):
        ask(text)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (True, "1 < 2 < 3"),
        (False, "1 < 3 < 3"),
        (True, "1 < 3 > 2 == 2.0"),
        (False, "3 < 1 < 1 // 0"),
        (True, "'a' < 'b' <= 'b'"),
        (True, "1 in [1] == [1]"),
    ],
)
def test_comparisons_chain_as_in_python(expected: bool, text: str) -> None:
    """Each neighbouring pair must hold; what follows the first false one is not evaluated."""
    assert expected is ask(text)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (True, "1 in [0, 1]"),
        (True, "1.0 in [0, 1]"),
        (False, "true in [0, 1]"),
        (False, "1 in ['1', true, null]"),
        (True, "null in [null]"),
        (True, "[1] in [[1]]"),
        (True, "'b' in 'abc'"),
        (True, "'' in ''"),
        (False, "'x' in 'abc'"),
        (True, "'a' in {'a': null}"),
        (False, "'b' in {'a': null}"),
        (False, "1 in {'1': 0}"),
        (True, "2 not in [1]"),
        (False, "'a' not in 'abc'"),
    ],
)
def test_in(expected: bool, text: str) -> None:
    assert expected is ask(text)


@pytest.mark.parametrize(
    "text", ["1 in '123'", "null in 'a'", "1 in 2", "1 in null", "'a' in true"]
)
def test_in_refuses_what_holds_nothing(text: str) -> None:
    with pytest.raises(ExpressionFailed, match="cannot look"):
        ask(text)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (0, "0 or 0"),
        ("x", "'' or 'x'"),
        ([1], "[] or {} or [1] or [2]"),
        ({}, "[] or {}"),
        (None, "1 and null and 2"),
        (2, "1 and 2"),
        (1, "1 or 1 // 0"),
        (0, "0 and 1 // 0"),
        (True, "not []"),
        (False, "not 'x'"),
        ("b", "'a' if '' else 'b'"),
        ("b", "1 // 0 if 0.0 else 'b'"),
    ],
)
def test_and_or_and_choices_give_an_operand_and_leave_the_rest_alone(
    expected: object, text: str
) -> None:
    assert expected == ask(text)


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (1, "inputs.m.a"),
        (1, "inputs.m['a']"),
        ("ten", "inputs.m[10]"),
        ("minus", "inputs.m[-1]"),
        (None, "inputs.m.b"),
        (None, "inputs.m.b.c[0].d['e']"),
        (None, "inputs.none.x"),
        (None, "inputs.nothing.x"),
        (3, "inputs.l[2]"),
        (3, "inputs.l[-1]"),
        (1, "inputs.l[-3]"),
        (None, "inputs.l[3]"),
        (None, "inputs.l[-4]"),
        (None, "inputs.l.x"),
        (None, "inputs.l['0']"),
        ("h", "inputs.t[0]"),
        ("o", "inputs.t[-1]"),
        (None, "inputs.t[5]"),
        (None, "inputs.t.length"),
        (None, "inputs.l[0].x"),
        (None, "inputs.m[null]"),
        (2, "inputs.l[inputs.l[0]]"),
        (None, "inputs.big[0]"),
        (None, "inputs.m[inputs.big]"),
        (2, "{'a': {'b': [1, 2]}}.a.b[1]"),
        ("b", "'abc'[1]"),
    ],
)
def test_what_is_missing_at_any_depth_is_null(expected: object, text: str) -> None:
    """An integer on a mapping asks for that text as key, on a text for a character."""
    scope = frame(
        m={"a": 1, "10": "ten", "-1": "minus"}, l=[1, 2, 3], t="hello", none=None, big=1 << 100_000
    )
    assert expected == ask(text, scope)


@pytest.mark.parametrize("key", ["1.0", "true", "[1]", "{}"])
def test_an_index_is_text_or_an_integer(key: str) -> None:
    with pytest.raises(ExpressionFailed, match="an index is a string or an integer"):
        ask(f"[1, 2][{key}]")


def test_the_keys_of_a_literal_mapping_are_text() -> None:
    with pytest.raises(ExpressionFailed, match="the keys of a mapping are strings, not integer"):
        ask("{1: 2}")


def test_not_a_number_is_no_ones_equal_and_has_no_order() -> None:
    scope = frame(nan=math.nan)
    for text in [
        "inputs.nan == inputs.nan",
        "inputs.nan < 1",
        "inputs.nan >= 1",
        "1 <= inputs.nan",
    ]:
        assert False is ask(text, scope)


@given(VALUES, VALUES)
def test_equality_is_an_equivalence_on_values(left: object, right: object) -> None:
    scope = frame(a=left, b=right)
    assert True is ask("inputs.a == inputs.a", scope)
    assert ask("inputs.a == inputs.b", scope) is ask("inputs.b == inputs.a", scope)


@given(VALUES)
def test_a_result_is_a_copy(value: Any) -> None:
    """A step that changes its arguments must not change a recorded output."""
    scope = frame(a=[value, {"x": value}])
    result = ask("inputs.a", scope)

    assert [value, {"x": value}] == result
    assert scope.inputs["a"] is not result
    assert isinstance(result, list)
    assert result[1] is not scope.inputs["a"][1]  # type: ignore[index]
