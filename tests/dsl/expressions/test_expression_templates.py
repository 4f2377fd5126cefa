"""Fields with expressions in them: what is inserted, and what of them belongs in a step's key."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.asking import PLACE, fill, frame
from maverick.dsl.expressions.evaluate import as_text, key_view, render, truth
from maverick.dsl.expressions.expressions import parse_expression, parse_template
from maverick.errors import ExpressionFailed, MaverickError


@pytest.mark.parametrize("value", [None, True, 0, 1.5, "x", b"\xff", [1, None], {"a": [1]}])
def test_a_string_that_is_one_expression_keeps_the_values_type(value: object) -> None:
    actual = fill("${{ inputs.x }}", frame(x=value))
    assert (type(value), value) == (type(actual), actual)


@pytest.mark.parametrize(
    ("expected", "value"),
    [
        ("", None),
        ("true", True),
        ("false", False),
        ("3", 3),
        ("-1.5", -1.5),
        ("1e+100", 1e100),
        ("1.0", 1.0),
        ("it's ${x}", "it's ${x}"),
        ("é", "é".encode()),
        ("[]", []),
        ("{}", {}),
        ('[1, "é", null, true, [2.5]]', [1, "é", None, True, [2.5]]),
        ('{"b": 1, "a": {"c": []}}', {"b": 1, "a": {"c": []}}),
    ],
)
def test_inside_other_text_a_value_is_inserted_as_text(expected: str, value: object) -> None:
    scope = frame(x=value)
    assert f"<{expected}>" == fill("<${{ inputs.x }}>", scope)
    assert expected + expected == fill("${{ inputs.x }}${{ inputs.x }}", scope)
    assert expected == as_text(value)


def test_an_inserted_text_is_never_evaluated_again() -> None:
    scope = frame(x="${{ env.SECRET }}", y="{{ inputs.x }}", env={"SECRET": "s"})
    assert "a ${{ env.SECRET }} {{ inputs.x }}" == fill("a ${{ inputs.x }} ${{ inputs.y }}", scope)


@given(st.text())
def test_text_without_expressions_and_inserted_text_stay_as_they_are(text: str) -> None:
    plain = text.replace("${{", "")
    assert f"{plain}|{text}" == fill(plain + "|${{ inputs.x }}", frame(x=text))


def test_expressions_work_at_any_depth_but_not_in_keys() -> None:
    template = parse_template("${{ inputs.n + 1 }}", PLACE)
    field = {"${{ inputs.n }}": [template, {"deep": [template, "plain", None]}], "n": 1}

    assert {"${{ inputs.n }}": [2, {"deep": [2, "plain", None]}], "n": 1} == render(
        field, frame(n=1)
    )


def test_a_failure_names_the_place_and_the_expression() -> None:
    with pytest.raises(
        ExpressionFailed,
        match=r"^flow.yaml:12:7: `inputs.x - 1`: `-` takes numbers only, not a string",
    ):
        fill("a ${{ inputs.y }} b ${{ inputs.x - 1 }}", frame(x="one"))
    with pytest.raises(
        ExpressionFailed, match=r"^flow.yaml:12:7: `inputs.x`: the bytes are no UTF-8 text"
    ):
        fill("a ${{ inputs.x }}", frame(x=b"\xff"))


def test_a_long_expression_is_cut_in_the_message() -> None:
    with pytest.raises(ExpressionFailed) as caught:
        fill("${{ " + "1 + " * 500 + "'a' }}")
    assert len(str(caught.value)) < 400


def test_truth_is_pythons() -> None:
    assert [False] * 6 == [truth(value) for value in (None, 0, 0.0, "", [], {})]
    assert [True] * 6 == [truth(value) for value in (True, -1, 0.1, " ", [None], {"": None})]


def test_the_key_view_of_what_is_not_volatile_is_its_value() -> None:
    """Editing the text of an expression that gives the same value runs nothing again."""
    scope = frame(n=1)
    assert {"a": [2, "n=1"], "b": None} == key_view(
        {
            "a": [
                parse_template("${{ inputs.n + 1 }}", PLACE),
                parse_template("n=${{ inputs.n }}", PLACE),
            ],
            "b": None,
        },
        scope,
    )
    assert True is key_view(parse_expression("inputs.n == 1", PLACE), scope)


def test_the_key_view_of_what_is_volatile_is_its_text_and_what_it_reads() -> None:
    """`when: not exists('venv')` must not change its key by the step having run."""
    scope = frame(n=1, steps={"plan": {"a b": [1, 2]}}, env={"HOME": "/secret"})
    view = key_view(
        parse_expression("env.HOME if inputs.n else steps.plan.output['a b'][0]", PLACE), scope
    )

    assert {
        "text": "env.HOME if inputs.n else steps.plan.output['a b'][0]",
        "reads": {"inputs.n": 1, 'steps.plan.output["a b"][0]': 1},
    } == view
    assert {"text": "not exists('venv')", "reads": {}} == key_view(
        parse_expression("not exists('venv')", PLACE), scope
    )


def test_one_volatile_part_makes_a_whole_text_volatile_and_nothing_beside_it() -> None:
    text = "${{ inputs.n }} in ${{ env.HOME }} for ${{ item }}"
    field = [parse_template(text, PLACE), parse_template("${{ inputs.n }}", PLACE)]

    assert [{"text": text, "reads": {"inputs.n": 1, "item": "i"}}, 1] == key_view(
        field, frame(n=1, env={"HOME": "/secret"}).child(item="i")
    )


def test_a_key_view_fails_as_evaluating_does() -> None:
    with pytest.raises(MaverickError, match="division by zero"):
        key_view([parse_template("${{ 1 / 0 }}", PLACE)], frame())
