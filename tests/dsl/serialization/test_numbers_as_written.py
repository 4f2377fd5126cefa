"""`3.10` is a number to YAML and a version to people: it reaches `env` as written, and elsewhere is
warned about.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.runs import Runs
from maverick.dsl.catalog.config import parse_config
from maverick.dsl.expressions.evaluate import as_text
from maverick.dsl.serialization.loader import check_workflow
from maverick.dsl.steps.shell import ShellStep

_HEAD = 'version: "1.0"\nname: flow\n'
_NUMBERS = st.one_of(
    st.from_regex(r"[-+]?[0-9]{1,9}(\.[0-9]{0,6})?([eE][-+]?[0-9]{1,2})?", fullmatch=True),
    st.from_regex(
        r"0x[0-9a-fA-F]{1,8}|0o[0-7]{1,8}|[-+]?\.[0-9]{1,6}|[-+]?\.(inf|Inf)|\.nan", fullmatch=True
    ),
    st.sampled_from(["true", "True", "TRUE", "false", "False", "FALSE"]),
    st.sampled_from(
        [
            "3.10",
            "01234",
            "1_000",
            "0x10",
            "1e3",
            "1234e56",
            "yes",
            "No",
            "on",
            "12:30",
            "2026-01-31",
        ]
    ),
)


@given(_NUMBERS)
def test_what_stands_in_env_reaches_the_step_as_it_is_written(text: str) -> None:
    """Numbers and booleans of every form."""
    checked = check_workflow(
        f"{_HEAD}steps: [{{name: a, type: shell, run: x, env: {{X: {text}}}}}]\n", "flow.yaml"
    )

    assert checked.workflow is not None
    step = checked.workflow.steps[0]
    assert isinstance(step, ShellStep)
    assert isinstance(step.env, dict)
    assert text == as_text(step.env["X"])
    assert () == checked.warnings


def test_a_script_gets_a_version_and_a_postal_code(runs: Runs) -> None:
    runs.flow("""
    - {name: a, type: shell, env: {PY: 3.10, ZIP: 01234, ON: True, LIST: [1, 2]},
       run: 'echo "$PY $ZIP $ON $LIST"'}
    """)

    assert "3.10 01234 True [1, 2]" == runs.start().output["value"]  # type: ignore[call-overload, index]


def test_the_key_of_a_step_stays_where_the_text_is_the_same() -> None:
    """So that runs of earlier versions are recalled: `1` stays the number, and only what differs
    becomes a text.
    """
    checked = check_workflow(
        f"{_HEAD}steps: [{{name: a, type: shell, run: x, env: {{A: 1, B: 2.5, C: true, D: "
        "1.50}}]\n",
        "flow.yaml",
    )

    assert checked.workflow is not None
    assert {"A": 1, "B": 2.5, "C": True, "D": "1.50"} == checked.workflow.steps[0].env  # type: ignore[union-attr]


_PLACES = {
    "for_each": "{name: a, type: loop, for_each: [3.9, 3.10], steps: [{name: b, type: "
    "checkpoint}]}",
    "args": "{name: a, type: python, action: x, args: [{deep: 3.10}]}",
    "kwargs": "{name: a, type: python, action: x, kwargs: {version: 3.10}}",
    "context": "{name: a, type: agent, agent: x, context: {version: 3.10}}",
    "nested in env": "{name: a, type: shell, run: x, env: {X: [3.10]}}",
    "a list in inputs": "{name: a, type: subworkflow, workflow: x, inputs: {a: [3.10]}}",
}


@pytest.mark.parametrize("where", _PLACES)
def test_elsewhere_a_number_that_may_be_a_text_is_warned_about(where: str) -> None:
    """With its place, as `workflow check` prints warnings."""
    line = f"- {_PLACES[where]}"

    checked = check_workflow(f"{_HEAD}steps:\n{line}\n", "flow.yaml")

    column = line.index("3.10") + 1
    message = "`3.10` is read as the number 3.1: quote it if it is a text"
    assert [f"flow.yaml:4:{column}: {message}"] == [str(warning) for warning in checked.warnings]
    assert () == checked.problems


@pytest.mark.parametrize(
    ("number", "value"),
    [("01234", "1234"), ("0x10", "16"), ("1e3", "1000.0"), ("1234e5", "123400000.0"), ("+1", "1")],
)
def test_every_form_whose_text_is_lost_is_named(number: str, value: str) -> None:
    checked = check_workflow(
        f"{_HEAD}steps: [{{name: a, type: checkpoint}}]\noutputs: {number}\n", "flow.yaml"
    )

    assert [f"`{number}` is read as the number {value}: quote it if it is a text"] == [
        warning.message for warning in checked.warnings
    ]


@pytest.mark.parametrize(
    "steps",
    [
        "{name: a, type: python, action: x, args: [3.1, 10, -2.5, true, 1_000, yes, '3.10', .inf]}",
        (
            "{name: a, type: loop, until: 'true', max_iterations: 010, steps: [{name: b, type: "
            "checkpoint}]}"
        ),
        (
            "{name: a, type: shell, run: x, timeout: 1.50, retry: {delay: 0.10, backoff: 1e1, "
            "max_delay: 010}}"
        ),
        "{name: a, type: subworkflow, workflow: x, inputs: {ratio: 0.10}}",
        "{name: a, type: agent, agent: x, output_schema: {type: number, minimum: 1e3}}",
        "{name: a, type: checkpoint, metadata: {weight: 1.50}}",
    ],
)
def test_a_number_where_one_is_asked_for_is_no_mistake(steps: str) -> None:
    assert () == check_workflow(f"{_HEAD}steps:\n- {steps}\n", "flow.yaml").warnings


def test_a_list_of_defaults_is_warned_about_and_a_number_is_not() -> None:
    """The declared type says what is meant; of what is in a list it says nothing."""
    checked = check_workflow(
        f"{_HEAD}inputs:\n"
        "  ratio: {type: float, default: 0.10}\n"
        "  versions: {type: array, default: [3.9, 3.10]}\n"
        "steps: [{name: a, type: checkpoint}]\n",
        "flow.yaml",
    )

    assert ["flow.yaml:5:42"] == [f"{it.file}:{it.line}:{it.column}" for it in checked.warnings]


def test_the_environment_of_an_agent_is_as_it_is_written_too() -> None:
    """There is nobody to warn in maverick.yaml."""
    config = parse_config(
        "agents: {x: {provider: claude, options: {env: {PY: 3.10, ON: True, NONE: , A: b}}}}\n"
    )

    assert {"PY": "3.10", "ON": "True", "NONE": "", "A": "b"} == config.agents["x"].options["env"]
