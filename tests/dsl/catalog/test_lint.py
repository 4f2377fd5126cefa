"""What a workflow names has to be there, and be there in time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import pytest

from maverick.dsl.catalog.actions import Action
from maverick.dsl.catalog.lint import check_text, lint
from maverick.dsl.serialization.loader import parse_workflow
from maverick.dsl.workflow.model import MentionKind, Workflow
from maverick.errors import StepFailed

HEAD = 'version: "1.0"\nname: w\ninputs: {a: {type: string}}\nsteps:\n'


NAMES: dict[str, list[str]] = {
    "action": ["git_commit"],
    "agent": ["implementer"],
    "generator": ["pr_title"],
    "context builder": ["review_context"],
    "validation stage": ["lint", "test"],
}


def _git_commit(message: str, *paths: str, amend: bool = False) -> None:
    """As far as the linter looks at it."""


class Project:
    """A project with some names, and the workflows given (name -> text)."""

    def __init__(self, **workflows: str) -> None:
        self.workflows = workflows
        self.asked: list[str] = []

    def has(self, kind: MentionKind, name: str) -> bool:
        if kind == "action" and name.startswith("broken:"):
            raise StepFailed(f"cannot import {name}")
        return name in NAMES[kind] or (kind == "action" and ":" in name)

    def wrong_arguments(
        self, action: str, args: Sequence[object] | None, kwargs: Mapping[str, object] | None
    ) -> list[tuple[str, str]]:
        if action not in NAMES["action"]:
            return []
        return Action(action, "", _git_commit, "", "").wrong_arguments(args, kwargs)

    def names(self, kind: MentionKind) -> Iterable[str]:
        return self.workflows if kind == "workflow" else NAMES[kind]

    def find_workflow(self, name: str, from_file: str) -> Workflow | None:
        self.asked.append(f"{name} from {from_file}")
        text = self.workflows.get(name)
        return None if text is None else parse_workflow(text, f"{name}.yaml")


def problems_of(steps: str, *, rest: str = "", project: Project | None = None) -> list[str]:
    """Give the messages for a workflow with these steps; each starts a line with `{name`."""
    lines = [line.strip() for line in steps.strip().splitlines()]
    text = (
        HEAD
        + "".join(f"  {'- ' if line.startswith('{name') else '    '}{line}\n" for line in lines)
        + rest
    )
    return [problem.message for problem in lint(parse_workflow(text, "w.yaml"), project)]


FINE = {
    "a step before it": """
        {name: a, type: checkpoint}
        {name: b, type: checkpoint, when: steps.a.output.label and steps.a.status == 'done'}""",
    "a step before the loop around it": """
        {name: a, type: checkpoint}
        {name: b, type: loop, steps:
            [{name: c, type: loop, steps: [{name: d, type: checkpoint, when: steps.a.output}]}]}""",
    "a step before it in its round": """
        {name: l, type: loop, for_each: [1], steps:
            [{name: a, type: checkpoint}, {name: b, type: checkpoint, when: steps.a}]}""",
    "the round's steps in until": """
        {name: l, type: loop, until: steps.a.output and index > 2, steps: [{name: a, type: checkpoint}]}""",
    "the item in a key": """
        {name: l, type: loop, for_each: [1], key: item, steps: [{name: a, type: checkpoint, when: item and index}]}""",
    "the item of the loop around": """
        {name: l, type: loop, for_each: [1], steps: [{name: m, type: loop, for_each: item, steps:
            [{name: a, type: checkpoint, when: parent.item.x and parent.index}]}]}""",
    "the item through a block": """
        {name: l, type: loop, for_each: [1], steps:
            [{name: m, type: parallel, steps: [{name: a, type: checkpoint, when: item}]}]}""",
    "the option of a branch after it": """
        {name: b, type: branch, options: [{when: true, step: {name: x, type: checkpoint}}],
            else: {name: y, type: checkpoint}}
        {name: c, type: checkpoint, when: steps.x.output or steps.y.output or steps.b.output}""",
    "its own step in a rollback": """
        {name: a, type: shell, run: x, rollback: {type: shell, run: "${{ quote(steps.a.output.stdout) }}"}}""",
    "its own step in on_failure": """
        {name: v, type: validate, on_failure: {type: shell, run: "${{ quote(steps.v.output.stages) }}"}}""",
    "names that depend on values": """
        {name: a, type: checkpoint, when: "steps[inputs.a] or len(steps) or inputs['a'] or len(inputs)"}""",
    "what a run knows": """
        {name: a, type: checkpoint,
            checkpoint_id: "${{ run.id }}${{ run.attempt }}${{ run.idempotency_key }}${{ env.HOME }}"}""",
    "a sequential block": """
        {name: l, type: loop, steps: [{name: a, type: checkpoint}, {name: b, type: checkpoint, when: steps.a}]}""",
}

WRONG = {
    "no such step": (
        """
        {name: plan, type: checkpoint}
        {name: b, type: checkpoint, when: steps.pln.output}""",
        "there is no step `pln`; did you mean `plan`?",
    ),
    "a step that comes later": (
        """
        {name: a, type: checkpoint, when: steps.b.output}
        {name: b, type: checkpoint}""",
        "step `b` comes later, at line 6",
    ),
    "a later step, from inside a loop": (
        """
        {name: a, type: loop, steps: [{name: i, type: checkpoint, when: steps.b.output}]}
        {name: b, type: checkpoint}""",
        "step `b` comes later, at line 6",
    ),
    "itself": (
        "{name: a, type: checkpoint, when: steps.a.output}",
        "step `a` has no output yet: this expression stands inside it",
    ),
    "the loop around it": (
        "{name: a, type: loop, steps: [{name: i, type: checkpoint, when: steps.a.output}]}",
        "step `a` has no output yet: this expression stands inside it",
    ),
    "a step inside a loop": (
        """
        {name: a, type: loop, steps: [{name: i, type: checkpoint}]}
        {name: b, type: checkpoint, when: steps.i.output}""",
        "step `i` stands inside `a` and is not seen outside it; use `steps.a.output`",
    ),
    "a step that runs at the same time": (
        (
            "{name: p, type: parallel, steps: [{name: a, type: checkpoint}, {name: b, type: "
            "checkpoint, when: steps.a}]}"
        ),
        "step `a` runs at the same time; concurrent steps do not see each other",
    ),
    "a later step that runs at the same time": (
        """{name: p, type: loop, max_concurrency: 2, steps:
            [{name: a, type: checkpoint, when: steps.b}, {name: b, type: checkpoint}]}""",
        "step `b` runs at the same time; concurrent steps do not see each other",
    ),
    "a field that a step does not have": (
        """
        {name: a, type: checkpoint}
        {name: b, type: checkpoint, when: steps.a.label}""",
        "a step has `output` and `status`, not `label`; did you mean `steps.a.output.label`?",
    ),
    "an undeclared input": (
        "{name: a, type: checkpoint, when: inputs.b}",
        "there is no input `b`; declare it under `inputs`",
    ),
    "a run name": (
        "{name: a, type: checkpoint, when: run.ids}",
        "there is no `run.ids`; there are id, attempt, idempotency_key",
    ),
    "item outside a loop": (
        "{name: a, type: checkpoint, when: item.x}",
        "`item` stands outside a loop",
    ),
    "index in a block that does not iterate": (
        "{name: p, type: parallel, steps: [{name: a, type: checkpoint, when: index}]}",
        "`index` stands outside a loop",
    ),
    "parent in one loop": (
        (
            "{name: l, type: loop, for_each: [1], steps: [{name: a, type: checkpoint, when: "
            "parent.item}]}"
        ),
        "`parent` leads outside: only one loop stands around it",
    ),
    "item of an until loop": (
        "{name: l, type: loop, until: index > 2, steps: [{name: a, type: checkpoint, when: item}]}",
        "the loop `l` has no `for_each`, and so no `item`",
    ),
    "a field of parent": (
        """{name: l, type: loop, for_each: [1], steps: [{name: m, type: loop, for_each: [1], steps:
            [{name: a, type: checkpoint, when: parent.x}]}]}""",
        "`parent` has item, index, parent, previous, not `x`",
    ),
    "previous outside a loop": (
        "{name: a, type: checkpoint, when: previous}",
        "`previous` stands outside a loop",
    ),
    "previous where iterations are independent": (
        (
            "{name: l, type: loop, for_each: [1], key: item, steps: [{name: a, type: checkpoint, when: "
            "previous.a}]}"
        ),
        "the iterations of `l` do not follow each other: there is no `previous`",
    ),
    "a step that the round before has not": (
        (
            "{name: l, type: loop, for_each: [1], steps: [{name: abc, type: checkpoint, when: "
            "previous.abd.status}]}"
        ),
        "the loop `l` has no step `abd`; did you mean `abc`?",
    ),
    "a field that a step of the round before does not have": (
        (
            "{name: l, type: loop, for_each: [1], steps: [{name: a, type: checkpoint, when: "
            "previous.a.label}]}"
        ),
        "a step has `output` and `status`, not `label`; did you mean `previous.a.output.label`?",
    ),
    "for_each that reads its own steps": (
        "{name: l, type: loop, for_each: steps.a.output, steps: [{name: a, type: checkpoint}]}",
        "step `a` stands inside `l` and is not seen outside it; use `steps.l.output`",
    ),
}


@pytest.mark.parametrize("name", FINE)
def test_what_can_be_seen_is_no_problem(name: str) -> None:
    assert [] == problems_of(FINE[name])


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_seen_is_told(name: str) -> None:
    steps, expected = WRONG[name]

    assert [expected] == problems_of(steps)


@pytest.mark.parametrize(
    "field",
    [
        "{name: x, type: python, action: a, args: [{b: '${{ inputs.no }}'}]}",
        "{name: x, type: python, action: a, kwargs: {b: ['${{ inputs.no }}']}}",
        "{name: x, type: shell, run: '${{ quote(inputs.no) }}'}",
        "{name: x, type: shell, run: x, env: {A: '${{ inputs.no }}'}}",
        "{name: x, type: shell, run: x, timeout: '${{ inputs.no }}'}",
        "{name: x, type: shell, run: x, retry: {attempts: '${{ inputs.no }}'}}",
        "{name: x, type: agent, agent: '${{ inputs.no }}'}",
        "{name: x, type: agent, agent: x, context: {a: '${{ inputs.no }}'}}",
        "{name: x, type: validate, stages: '${{ inputs.no }}'}",
        "{name: x, type: validate, retry: '${{ inputs.no }}'}",
        "{name: x, type: subworkflow, workflow: y, inputs: {a: '${{ inputs.no }}'}}",
        "{name: x, type: branch, options: [{when: inputs.no, step: {name: y, type: checkpoint}}]}",
        "{name: x, type: loop, for_each: inputs.no, steps: [{name: y, type: checkpoint}]}",
        (
            "{name: x, type: loop, for_each: [1], key: inputs.no, steps: [{name: y, type: "
            "checkpoint}]}"
        ),
        (
            "{name: x, type: loop, max_concurrency: '${{ inputs.no }}', steps: [{name: y, type: "
            "checkpoint}]}"
        ),
        "{name: x, type: loop, parallel: '${{ inputs.no }}', steps: [{name: y, type: checkpoint}]}",
        "{name: x, type: loop, until: inputs.no, steps: [{name: y, type: checkpoint}]}",
        "{name: x, type: checkpoint, checkpoint_id: '${{ inputs.no }}'}",
        "{name: x, type: checkpoint, rollback: {type: shell, run: x, when: inputs.no}}",
    ],
)
def test_expressions_are_looked_at_in_every_field(field: str) -> None:
    assert ["there is no input `no`; declare it under `inputs`"] == problems_of(field)


def test_outputs_see_all_top_level_steps() -> None:
    steps = (
        "{name: a, type: checkpoint}\n{name: l, type: loop, steps: [{name: i, type: checkpoint}]}"
    )

    assert [] == problems_of(
        steps, rest="outputs: {x: '${{ steps.a.output }}', y: '${{ steps.l.output }}'}\n"
    )
    assert [
        "step `i` stands inside `l` and is not seen outside it; use `steps.l.output`"
    ] == problems_of(steps, rest="outputs: ${{ steps.i.output }}\n")


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (
            "{name: x, type: python, action: git_comit}",
            "unknown action `git_comit`; did you mean `git_commit`?",
        ),
        (
            "{name: x, type: python, action: zzz}",
            (
                "unknown action `zzz`; name `module:function`, or a function of a module under "
                "`actions` in maverick.yaml"
            ),
        ),
        ("{name: x, type: python, action: 'broken:f'}", "cannot import broken:f"),
        (
            "{name: x, type: checkpoint, rollback: git_comit}",
            "unknown action `git_comit`; did you mean `git_commit`?",
        ),
        (
            "{name: x, type: agent, agent: implementor}",
            "unknown agent `implementor`; did you mean `implementer`?",
        ),
        (
            "{name: x, type: agent, agent: zzz}",
            "unknown agent `zzz`; declare it under `agents` in maverick.yaml",
        ),
        (
            "{name: x, type: generate, generator: pr_titel}",
            "unknown generator `pr_titel`; did you mean `pr_title`?",
        ),
        (
            "{name: x, type: agent, agent: implementer, context: rewiew_context}",
            "unknown context builder `rewiew_context`; did you mean `review_context`?",
        ),
        (
            "{name: x, type: validate, stages: [lint, tset]}",
            "unknown validation stage `tset`; did you mean `test`?",
        ),
        (
            "{name: x, type: validate, stages: zzz}",
            "unknown validation stage `zzz`; declare it under `validation.stages` in maverick.yaml",
        ),
        (
            "{name: x, type: subworkflow, workflow: subb}",
            "unknown workflow `subb`; did you mean `sub`?",
        ),
        (
            (
                "{name: x, type: loop, steps: [{name: y, type: checkpoint, rollback: {type: agent, "
                "agent: zzz}}]}"
            ),
            "unknown agent `zzz`; declare it under `agents` in maverick.yaml",
        ),
    ],
)
def test_what_is_named_must_exist(step: str, expected: str) -> None:
    assert [expected] == problems_of(step, project=Project(sub=""))
    assert [] == problems_of(step)


@pytest.mark.parametrize(
    "step",
    [
        "{name: x, type: python, action: 'tools.mine:make'}",
        "{name: x, type: agent, agent: '${{ inputs.a }}', context: '${{ inputs.a }}'}",
        "{name: x, type: validate, stages: [ruff check ., {name: x, run: y}, '${{ inputs.a }}']}",
    ],
)
def test_what_the_file_does_not_tell_is_not_looked_up(step: str) -> None:
    assert [] == problems_of(step, project=Project())


SUB = """
version: "1.0"
name: sub
inputs: {n: {type: integer}, mode: {type: string, choices: [a, b], required: false}}
steps:
  - {name: x, type: checkpoint, when: inputs.n}
"""


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ("{n: 3}", []),
        ("{n: '${{ inputs.a }}', mode: null}", []),
        ("'${{ steps.a.output }}'", []),
        ("{}", ["the workflow `sub` needs the input `n` (integer)"]),
        ("{n: 3, mod: a}", ["the workflow `sub` has no input `mod`; did you mean `mode`?"]),
        (
            "{n: three}",
            ["the input `n` (integer) of the workflow `sub`: an integer is expected, not 'three'"],
        ),
        (
            "{n: 1, mode: c}",
            [
                (
                    "the input `mode` (string) of the workflow `sub`: one of 'a', 'b' is expected, "
                    "not 'c'"
                )
            ],
        ),
    ],
)
def test_the_inputs_of_a_sub_workflow_are_checked(inputs: str, expected: list[str]) -> None:
    steps = (
        "{name: a, type: checkpoint}\n{name: s, type: subworkflow, workflow: sub, inputs: "
        + inputs
        + "}"
    )

    assert expected == problems_of(steps, project=Project(sub=SUB))


def test_a_sub_workflow_sees_nothing_of_its_caller() -> None:
    project = Project(sub=SUB.replace("inputs.n", "steps.outer.output or item"))
    steps = (
        "{name: outer, type: checkpoint}\n{name: s, type: subworkflow, workflow: sub, inputs: {n: "
        "1}}"
    )

    assert ["`item` stands outside a loop", "there is no step `outer`"] == problems_of(
        steps, project=project
    )


def test_the_problems_of_a_sub_workflow_bear_its_name_and_come_once() -> None:
    project = Project(sub=SUB.replace("inputs.n", "inputs.zzz"))
    text = HEAD + "  - {name: s, type: subworkflow, workflow: sub, inputs: {n: 1}}\n" * 2
    workflow = parse_workflow(text.replace("name: s,", "name: t,", 1), "w.yaml")

    assert ["sub.yaml:6:39: there is no input `zzz`; declare it under `inputs`"] == [
        str(problem) for problem in lint(workflow, project)
    ]
    assert ["sub from w.yaml", "sub from w.yaml"] == project.asked


def test_a_sub_workflow_that_cannot_be_read_gives_its_problems() -> None:
    project = Project(sub="name: sub\n")

    assert [
        "missing field `steps`: a workflow needs it",
        "missing field `version`: a workflow needs it",
    ] == problems_of("{name: s, type: subworkflow, workflow: sub}", project=project)


def calling(name: str, called: str) -> str:
    """Give a workflow that runs another."""
    return (
        f'version: "1.0"\nname: {name}\nsteps:\n  - {{name: s, type: subworkflow, workflow: '
        f"{called}}}\n"
    )


def test_a_cycle_of_sub_workflows_is_told_where_it_closes() -> None:
    project = Project(a=calling("a", "b"), b=calling("b", "c"), c=calling("c", "a"))

    problems = lint(parse_workflow(project.workflows["a"], "a.yaml"), project)

    assert ["c.yaml:4:44: a cycle of sub-workflows: a -> b -> c -> a"] == [
        str(problem) for problem in problems
    ]


def test_a_workflow_that_runs_itself_is_a_cycle() -> None:
    project = Project(a=calling("a", "a"))

    assert ["a cycle of sub-workflows: a -> a"] == [
        problem.message
        for problem in lint(parse_workflow(project.workflows["a"], "a.yaml"), project)
    ]


def test_two_ways_to_one_workflow_are_no_cycle() -> None:
    project = Project(a=calling("a", "c"), c=SUB.replace("integer", "integer, default: 1"))
    steps = "{name: s, type: subworkflow, workflow: a}\n{name: t, type: subworkflow, workflow: c}"

    assert [] == problems_of(steps, project=project)


def test_a_long_chain_of_sub_workflows_is_walked_without_recursion() -> None:
    names = [f"w{number}" for number in range(1500)]
    texts = {
        name: calling(name, called) for name, called in zip(names, [*names[1:], "end"], strict=True)
    }
    project = Project(**texts, end=SUB.replace("integer", "integer, default: 1"))

    assert [] == lint(parse_workflow(texts["w0"], "w0.yaml"), project)


def test_problems_of_reading_and_of_names_come_together() -> None:
    """A person mends a file once, not twice."""
    text = HEAD + (
        "  - {name: a, type: shel}\n"
        "  - {name: b, type: python, action: git_comit, when: steps.a.output}\n"
        "  - {name: c, type: loop, until: '1 +', steps: [{name: d, type: checkpoint, when: index "
        "and inputs.b}]}\n"
        "  - {name: e, type: branch, options: [{when: ', step: {name: f, type: checkpoint}}]}\n".replace(
            "when: '", "when: '1 +'"
        )
        + "  - {name: g, type: checkpoint, when: steps.f.output}\n"
    )

    checked = check_text(text, "w.yaml", Project())

    assert checked.workflow is None
    assert [
        "5:21: unknown step type `shel`; did you mean `shell`?",
        "6:37: unknown action `git_comit`; did you mean `git_commit`?",
        "7:38: expected a value, found the end of the expression",
        "7:83: there is no input `b`; declare it under `inputs`",
        "8:50: expected a value, found the end of the expression",
    ] == [f"{p.line}:{p.column}: {p.message}" for p in checked.problems]


def test_a_file_without_problems_is_given_with_its_warnings() -> None:
    checked = check_text(
        HEAD + "  - {name: a, type: shell, run: '${{ inputs.a }}'}\n", "w.yaml", Project()
    )

    assert checked.workflow is not None
    assert (0, 1) == (len(checked.problems), len(checked.warnings))
