"""How an action is called is judged by `workflow check`, before anything that stands before it has
run.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.runs import Runs
from maverick import library
from maverick.dsl.catalog.actions import load_action
from maverick.dsl.serialization.loader import parse_workflow
from maverick.dsl.serialization.source_text import read_text
from maverick.dsl.steps.python import PythonStep
from maverick.dsl.workflow.model import steps_in
from maverick.errors import WorkflowInvalid
from maverick.project import Project

_ACTIONS = """
def build(target, *parts, level=1, cwd="."): ...
def only(a, /, *, b): ...
def anything(*args, **kwargs): ...
def here(cwd): ...
"""
_RIGHT = [
    "action: build, args: [x]",
    "action: build, args: [x, a, b], kwargs: {level: 2}",
    "action: build, kwargs: {target: x, cwd: sub}",
    "action: build, kwargs: {target: '${{ env.X }}', level: '${{ env.Y }}'}",
    "action: build, args: '${{ [1] }}'",
    "action: build, kwargs: \"${{ {'target': 1} }}\"",
    "action: build, args: '${{ [1] }}', kwargs: {level: 3}",
    "action: only, args: [1], kwargs: {b: 2}",
    "action: anything, args: [1, 2], kwargs: {whatever: 3}",
    "action: here",
    "action: git_commit, kwargs: {message: x}",
    "action: 'math:sqrt', args: [4]",
]
_WRONG = {
    "action: build": ("action", "missing a required argument: 'target'"),
    "action: build, args: []": ("[]", "missing a required argument: 'target'"),
    "action: build, args: [x], kwargs: {target: y}": (
        "{target",
        "multiple values for argument 'target'",
    ),
    "action: build, args: [x], kwargs: {lewel: 2}": (
        "lewel",
        "no parameter `lewel`; did you mean `level`?",
    ),
    "action: build, args: '${{ [1] }}', kwargs: {lewel: 2}": (
        "lewel",
        "no parameter `lewel`; did you mean",
    ),
    "action: only, args: [1, 2], kwargs: {b: 3}": ("{b", "too many positional arguments"),
    "action: only, args: [1, 2], kwargs: '${{ inputs.x }}'": (
        "'$",
        "too many positional arguments",
    ),
    "action: only, kwargs: {a: 1, b: 2}": ("a: 1", "no parameter `a`"),
    "action: git_commit, kwargs: {mesage: x}": (
        "mesage",
        "no parameter `mesage`; did you mean `message`?",
    ),
    "action: git_branch, args: [1, 2, 3, 4, 5]": ("[1,", "too many positional arguments"),
}


@pytest.fixture
def acting(runs: Runs) -> Runs:
    runs.set_actions(_ACTIONS)
    return runs


def _problems(runs: Runs, step: str) -> list[str]:
    runs.flow(f"inputs: {{x: {{type: object}}}}\nsteps:\n- {{name: a, type: python, {step}}}\n")
    return [
        str(problem)
        for problem in Project(runs.root, runs.environment).catalog().check("flow.yaml").problems
    ]


@pytest.mark.parametrize("step", _RIGHT)
def test_what_may_fit_is_no_problem(acting: Runs, step: str) -> None:
    """An expression counts as given, and the step's folder as the `cwd`."""
    assert [] == _problems(acting, step)


@pytest.mark.parametrize("step", _WRONG)
def test_what_does_not_fit_is_a_problem_at_its_place(acting: Runs, step: str) -> None:
    """With the signature, and a near name where there is one."""
    at, message = _WRONG[step]

    problems = _problems(acting, step)

    line = f"- {{name: a, type: python, {step}}}"
    column = line.index(at) + 1 if at != "action" else line.index("build") + 1
    assert 1 == len(problems)
    assert problems[0].startswith(f"flow.yaml:5:{column}: action ")
    assert " cannot be called so: " in problems[0]
    assert message in problems[0]


def test_every_wrong_name_is_told(acting: Runs) -> None:
    assert 2 == len(_problems(acting, "action: build, args: [x], kwargs: {lewel: 2, cmd: 3}"))


def test_nothing_runs_before_an_action_that_cannot_be_called(acting: Runs) -> None:
    """Nor of a workflow that is called."""
    acting.file(
        "inner.yaml",
        'version: "1.0"\nname: inner\nsteps: [{name: b, type: python, action: here, args: [1, '
        "2]}]\n",
    )
    acting.flow("""
    - {name: a, type: python, action: do, args: [a]}
    - {name: sub, type: subworkflow, workflow: ./inner.yaml}
    """)

    with pytest.raises(WorkflowInvalid, match=r"inner\.yaml:3:.*too many positional arguments"):
        acting.start()

    assert [] == acting.log


def test_an_action_that_is_unknown_is_told_once(acting: Runs) -> None:
    assert ["flow.yaml:5:35: unknown action `bild`; did you mean `build`?"] == _problems(
        acting, "action: bild, kwargs: {x: 1}"
    )


@pytest.mark.parametrize("folder", [library.WORKFLOWS, library.FRAGMENTS])
def test_what_ships_calls_its_actions_rightly(folder: Path) -> None:
    """No run looks at that: it would have to load them all."""
    for file in folder.glob("*.yaml"):
        for step in steps_in(parse_workflow(read_text(file), str(file)).steps):
            if isinstance(step, PythonStep):
                action = load_action(library.ACTIONS[step.action], name=step.action)
                args = step.args if isinstance(step.args, list) else []
                kwargs = step.kwargs if isinstance(step.kwargs, dict) else {}
                assert [] == action.wrong_arguments(
                    args, action.in_folder(args, dict(kwargs), ".")
                ), step.place
