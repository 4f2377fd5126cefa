"""The page on expressions, sentence by sentence: each test is one promise to the people who write
workflows.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.asking import PLACE, ask, fill, frame
from maverick.dsl.expressions.evaluate import render
from maverick.dsl.expressions.expressions import (
    ExpressionSyntaxError,
    parse_expression,
    parse_template,
)
from maverick.dsl.expressions.scope import Frame
from maverick.errors import ExpressionFailed


def scope(**inputs: object) -> Frame:
    """A scope inside two loops, with a finished step."""
    outer = frame(
        steps={"plan": {"tasks": ["a", "b"], "my-key": 1}, "my-step": "dashed"},
        env={"HOME": "/home/me"},
        run={"id": "fly-1", "attempt": 2, "idempotency_key": "k"},
        **inputs,
    )
    return outer.child(item="phase", index=0).child(item={"title": "task"}, index=1)


def test_a_string_that_is_one_expression_keeps_the_values_type() -> None:
    assert ["a", "b"] == fill("${{ steps.plan.output.tasks }}", scope())
    assert 3 == fill("${{1+2}}")


def test_inside_other_text_it_is_inserted_as_text() -> None:
    assert "a 3 b" == fill("a ${{ 1 + 2 }} b")


def test_a_blank_beside_it_is_other_text() -> None:
    assert " 3" == fill(" ${{ 1 + 2 }}")
    assert "3\n" == fill("${{ 1 + 2 }}\n")


def test_null_is_inserted_as_nothing_and_booleans_in_lower_case() -> None:
    assert "[][true][false]" == fill("[${{ null }}][${{ True }}][${{ 1 > 2 }}]")


def test_lists_and_mappings_are_inserted_as_json_with_blanks() -> None:
    assert 'x {"a": [1, 2.5, null, true, "é"]}' == fill("x ${{ {'a': [1, 2.5, null, true, 'é']} }}")


def test_an_inserted_text_is_never_evaluated_again() -> None:
    assert "title: ${{ env.HOME }}" == fill("title: ${{ inputs.x }}", scope(x="${{ env.HOME }}"))
    assert "${{ env.HOME }}" == fill("${{ inputs.x }}", scope(x="${{ env.HOME }}"))


def test_expressions_work_at_any_depth_of_lists_and_mappings() -> None:
    field = {"a": [{"b": [parse_template("${{ inputs.x }}", PLACE)]}]}
    assert {"a": [{"b": [[1]]}]} == render(field, scope(x=[1]))


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (7, "inputs.x"),
        ("a", "steps.plan.output.tasks[0]"),
        ("done", "steps.plan.status"),
        ("task", "item.title"),
        (1, "index"),
        ("phase", "parent.item"),
        (0, "parent.index"),
        ("/home/me", "env.HOME"),
        ("fly-1", "run.id"),
        (2, "run.attempt"),
        ("k", "run.idempotency_key"),
    ],
)
def test_names(expected: object, text: str) -> None:
    assert expected == ask(text, scope(x=7))


@pytest.mark.parametrize(
    ("expected", "text"),
    [
        (1, "inputs.m.b"),
        (1, "inputs.m['b']"),
        (1, 'inputs.m["b"]'),
        ("x", "inputs.l[0]"),
        ("z", "inputs.l[-1]"),
        ("five", "inputs.m[5]"),
        ("e", "inputs.t[1]"),
    ],
)
def test_access(expected: object, text: str) -> None:
    """An integer on a mapping asks for that text as key, on a text for a character."""
    assert expected == ask(text, scope(m={"b": 1, "5": "five"}, l=["x", "y", "z"], t="hello"))


def test_a_hyphen_is_allowed_in_a_name_after_a_dot_when_a_letter_follows_it() -> None:
    here = scope(n=5, **{"dry-run": True, "n-x": "dashed", "a-b-c": 1})

    assert "dashed" == ask("steps.my-step.output", here)
    assert 1 == ask("steps.plan.output.my-key", here)
    assert True is ask("inputs.dry-run", here)
    assert "dashed" == ask("inputs.n-x", here)
    assert 1 == ask("inputs.a-b-c", here)
    assert 4 == ask("inputs.n-1", here)
    assert 4 == ask("inputs.n -index", here)
    assert 4 == ask("inputs.n - index", here)
    assert 0 == ask("index-index", here)


def test_what_is_missing_at_any_depth_is_null() -> None:
    for text in [
        "inputs.a",
        "inputs.a.b[0]['c'].d",
        "steps.plan.output.tasks[9].x",
        "item.title.x",
        "env.NOTHING",
    ]:
        assert None is ask(text, scope())


def test_literals() -> None:
    assert ["text", "text", 1, 2.5, True, False, None, True, False, None, [1, 2], {"a": 1}] == ask(
        '[\'text\', "text", 1, 2.5, true, false, null, True, False, None, [1, 2], {"a": 1}]'
    )


def test_operators_from_the_weakest_to_the_strongest() -> None:
    assert "b" == ask("'a' if false else 'b' if true else 'c'")
    assert 1 == ask("1 if 0 or 1 else 2")
    assert 1 == ask("1 or 0 and 0")
    assert True is ask("not 1 and 0 or 1 == 1")
    assert True is ask("not 1 == 2")
    assert True is ask("1 + 1 in [2] and 3 not in [1 + 1]")
    assert 7 == ask("1 + 2 * 3")
    assert [1, 2.5, 1, 2] == ask("[7 % 3, 5 / 2, 7 // 2 % 2, 5 // 2]")
    assert -1 == ask("-2 + 1")
    assert -6 == ask("2 * -3")


def test_and_and_or_return_an_operand() -> None:
    assert ["x", 0, "fallback"] == ask("['x' or 1, 0 and 1, inputs.missing or 'fallback']")


def test_times_takes_numbers_only() -> None:
    assert 6 == ask("2 * 3")
    for text in ["'=' * 80", "[0] * 1000000000", "2 * true", "2 * null"]:
        with pytest.raises(ExpressionFailed, match=r"`\*` takes numbers only"):
            ask(text)


@pytest.mark.parametrize(
    "text", ["1 < 'a'", "null > 1", "[1] <= 1", "true >= 0", "1 + 'a'", "'a' + null", "[] + {}"]
)
def test_comparing_or_adding_unlike_types_is_an_error_with_its_place(text: str) -> None:
    with pytest.raises(ExpressionFailed, match=r"^flow\.yaml:12:7: ") as caught:
        ask(text)
    assert f"`{text}`" in str(caught.value)


def test_equality_of_unlike_types_is_false() -> None:
    assert [False] * 7 == ask(
        "[true == 1, false == 0, 1 == '1', null == false, [] == {}, [true] == [1], true in [1, "
        "'true']]"
    )
    assert [True] * 4 == ask("[1 == 1.0, true != 1, null == null, {'a': [1]} == {'a': [1.0]}]")


def test_an_optional_input_may_be_given_as_null() -> None:
    assert ["none", True, 0] == ask(
        "[default(inputs.limit, 'none'), inputs.limit == null, inputs.limit or 0]",
        scope(limit=None),
    )


def test_every_function_of_the_page(tmp_path: Path) -> None:
    (tmp_path / "venv").mkdir()
    (tmp_path / "b.py").touch()
    here = frame(root=tmp_path)
    assert [
        3,
        "1",
        1,
        1.5,
        True,
        [1],
        "[1]",
        "a-b",
        ["a", "b"],
        "a",
        "A",
        "a",
        "b",
        True,
        True,
    ] == ask(
        "[len('abc'), str(1), int('1'), float('1.5'), bool('x'), json('[1]'), to_json([1]), "
        "join(['a', 'b'], '-'), split('a,b', ','), lower('A'), upper('a'), strip(' a '), "
        "replace('a', 'a', 'b'), startswith('ab', 'a'), endswith('ab', 'b')]"
    )
    assert [
        True,
        ["a"],
        [1],
        [0, 1],
        1,
        2,
        3,
        True,
        False,
        "x",
        "a1",
        "'a b'",
        "c",
        "b",
        ["b.py"],
        True,
        64,
    ] == ask(
        "[contains([1], 1), keys({'a': 1}), values({'a': 1}), range(2), min(1, 2), max([1, 2]), "
        "sum([1, 2]), any([0, 1]), all([0, 1]), default(null, 'x'), format('a{}', 1), quote('a "
        "b'), basename('b/c'), dirname('b/c'), glob('*.py'), exists('venv'), len(hash('x'))]",
        here,
    )


@pytest.mark.parametrize(
    "text",
    [
        "open('/etc/passwd')",
        "__import__('os')",
        "''.__class__()",
        "import os",
        "x = 1",
        "lambda: 1",
        "[x for x in item]",
        "item.title.upper()",
        "len.__globals__",
        "exec('1')",
        "(1)(2)",
        "1; 2",
        "2 ** 100",
        "f'{item}'",
    ],
)
def test_no_statement_attribute_or_call_reaches_python(text: str) -> None:
    with pytest.raises(ExpressionSyntaxError):
        parse_expression(text, PLACE)


def test_pythons_attributes_are_just_missing_keys() -> None:
    for text in [
        "''.__class__",
        "item.__class__.__mro__",
        "inputs.__dict__",
        "[].append",
        "inputs.get",
        "steps.keys",
    ]:
        assert None is ask(text, scope())
    with pytest.raises(ExpressionFailed, match=r"format\(\) found a lone"):
        ask("format('{0.__class__}', 1)")


def test_a_condition_may_stand_with_or_without_braces() -> None:
    assert True is ask("inputs.x == 1", scope(x=1))
    assert True is ask("${{ inputs.x == 1 }}", scope(x=1))
