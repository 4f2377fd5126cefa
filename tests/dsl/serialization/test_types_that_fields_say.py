"""`type` may be left out where one field says it."""

from __future__ import annotations

from itertools import combinations

import pytest

from maverick.dsl.serialization.loader import check_workflow
from maverick.dsl.steps import TYPES

HEAD = 'version: "1.0"\nname: w\nsteps:\n'
VALUES = {
    "action": "a:b",
    "run": "'true'",
    "agent": "helper",
    "generator": "pr_title",
    "workflow": "other",
    "stages": "[a]",
    "options": "[{when: true, step: {name: c, run: x}}]",
    "steps": "[{name: c, run: x}]",
}
"""A value for each field that says a type."""
SAID_BY = {entry.said_by: kind for kind, entry in TYPES.items() if entry.said_by}


def problems_of(step: str) -> list[str]:
    checked = check_workflow(f"{HEAD}  - {step}\n", "w.yaml")
    return [f"{p.line}:{p.column}: {p.message}" for p in checked.problems]


def test_the_values_here_are_of_all_fields_that_say_a_type() -> None:
    assert VALUES.keys() == SAID_BY.keys()


@pytest.mark.parametrize("field", VALUES)
def test_a_step_without_type_is_the_one_that_its_field_says(field: str) -> None:
    short, long = (
        check_workflow(f"{HEAD}  - {{name: s, {given}{field}: {VALUES[field]}}}\n", "w.yaml")
        for given in ("", f"type: {SAID_BY[field]}, ")
    )

    assert () == short.problems
    assert short.workflow is not None
    assert long.workflow is not None
    assert SAID_BY[field] == short.workflow.steps[0].kind
    assert type(long.workflow.steps[0]) is type(short.workflow.steps[0])


@pytest.mark.parametrize(("one", "other"), list(combinations(VALUES, 2)))
def test_two_fields_that_say_different_types_are_two_steps(one: str, other: str) -> None:
    """No field that says a type is a field of another type, so both were meant."""
    found = problems_of(f"{{name: s, {one}: {VALUES[one]}, {other}: {VALUES[other]}}}")

    assert 1 == len(found)
    assert f"`{one}` says that this is" in found[0]
    assert "make two steps of it" in found[0]


@pytest.mark.parametrize(
    ("kind", "field"), [(k, f) for f, o in SAID_BY.items() for k in TYPES if k != o]
)
def test_a_field_of_another_type_is_refused_with_its_type(kind: str, field: str) -> None:
    if kind == "parallel" and field == "steps":
        return
    found = problems_of(f"{{name: s, type: {kind}, {field}: {VALUES[field]}}}")

    article = "an" if SAID_BY[field][0] in "aeiou" else "a"
    told = f"; it is one of {article} {SAID_BY[field]} step"
    assert any(problem.endswith(told) for problem in found), found


def test_the_other_mistakes_of_a_step_without_a_type_are_told() -> None:
    assert [
        "4:5: missing field `type`",
        "4:23: `pure` must be true or false, not the number 3",
        "4:35: `timeout` must be a number of seconds",
    ] == [
        problem[: len(expected)]
        for problem, expected in zip(
            problems_of("{name: one, pure: 3, timeout: soon}"),
            (
                "4:5: missing field `type`",
                "4:23: `pure` must be true or false, not the number 3",
                "4:35: `timeout` must be a number of seconds",
            ),
            strict=True,
        )
    ]


def test_a_field_that_is_mistyped_is_told_instead_of_the_type() -> None:
    assert ["4:17: unknown field `rnu` in a step; did you mean `run`?"] == problems_of(
        "{name: one, rnu: x}"
    )


def test_a_rollback_and_what_follows_a_failure_need_no_type() -> None:
    assert [] == problems_of(
        "{name: s, stages: [a], on_failure: {run: x}, rollback: {run: y}, retry: 1}"
    )
