"""Words of GitHub Actions, GitLab, Taskfile, Ansible, Argo and others are answered, and what else is
wrong is told as well.
"""

from __future__ import annotations

import pytest

from maverick.dsl.catalog.lint import check_text
from maverick.dsl.serialization import foreign_words as words
from maverick.dsl.serialization.loader import check_workflow
from maverick.dsl.serialization.steps import STEP_TYPES

STEPS = 'version: "1.0"\nname: w\nsteps:\n'


def problems_of(text: str) -> list[str]:
    """Give `line:column: message` of each problem."""
    return [f"{p.line}:{p.column}: {p.message}" for p in check_workflow(text, "w.yaml").problems]


def lint(text: str) -> list[str]:
    return [f"{p.line}:{p.column}: {p.message}" for p in check_text(text, "w.yaml").problems]


STEP = {
    "if": ("{name: a, run: x, if: 'true'}", "4:23: `if`: here it is `when`"),
    "working-directory": (
        "{name: a, run: x, working-directory: src}",
        "4:23: `working-directory`: here it is `cwd`",
    ),
    "a field that the type has not": (
        "{name: a, action: m:f, working-directory: src}",
        "4:28: `working-directory`: here it would be `cwd`, which a python step does not have",
    ),
    "id in place of the name": ("{id: a, run: x}", "4:6: `id`: here it is `name`"),
    "id beside the name": ("{id: a, name: b, run: x}", "4:6: `id`: here it is `name`"),
    "environment": (
        "{name: a, run: x, environment: {B: c}}",
        "4:23: `environment`: here it is `env`",
    ),
    "command": ("{name: a, command: x}", "4:15: `command`: here it is `run`"),
    "cmds": (
        "{name: a, cmds: [x]}",
        "4:15: `cmds`: `run: |` takes a script of several lines",
    ),
    "needs": ("{name: a, run: x, needs: [b]}", "4:23: `needs`: steps run in order"),
    "depends_on": ("{name: a, run: x, depends_on: b}", "4:23: `depends_on`: steps run in order"),
    "parallel": ("{name: a, run: x, parallel: true}", "4:23: `parallel`: steps run in order"),
    "uses": ("{name: a, uses: actions/checkout@v4}", "4:15: `uses`: nothing is fetched"),
    "with": ("{name: a, action: m:f, with: {}}", "4:28: `with`: `args` and `kwargs` are for"),
    "matrix": (
        "{name: a, run: x, matrix: {}}",
        "4:23: `matrix`: what repeats is a step of its own",
    ),
    "foreach of a loop": (
        "{name: a, foreach: [1], steps: [{name: b, run: x}]}",
        "4:15: `foreach`: here it is `for_each`",
    ),
    "foreach of another step": (
        "{name: a, run: x, foreach: [1]}",
        "4:23: `foreach`: what repeats is a step of its own",
    ),
    "timeout-minutes": (
        "{name: a, run: x, timeout-minutes: 5}",
        "4:23: `timeout-minutes`: write `timeout` with a unit: `timeout: 15m`",
    ),
    "continue-on-error": (
        "{name: a, run: x, continue-on-error: true}",
        "4:23: `continue-on-error`: here it is `continue_on_error`",
    ),
    "question": (
        "{name: a, question: Really?}",
        "4:15: `question`: steps that ask a person are not part of the language yet",
    ),
    "a type": ("{name: a, type: bash, run: x}", "4:21: `type: bash`: here it is `type: shell`"),
}


@pytest.mark.parametrize("name", STEP)
def test_a_word_of_another_system_is_answered(name: str) -> None:
    step, expected = STEP[name]

    found = problems_of(f"{STEPS}  - {step}\n")

    assert [expected] == [problem[: len(expected)] for problem in found]


def test_the_value_of_a_word_that_means_the_same_is_read() -> None:
    """So its own mistakes, and those of the rest of the step, are told at once."""
    assert [
        "5:5: `if`: here it is `when`",
        "5:9: there is no step `b`",
        "6:5: `script`: here it is `run`",
        "6:23: there is no input `x`; declare it under `inputs`",
        (
            "7:14: `timeout` must be a number of seconds, or a duration such as 90s, 15m or 2h, above 0, "
            "or an expression, not the text 'soon'"
        ),
    ] == lint(
        STEPS
        + "  - name: a\n    if: steps.b.output\n    script: echo '${{ inputs.x }}'\n"
        + "    timeout: soon\n"
    )


def test_words_beside_steps_are_answered() -> None:
    found = problems_of(
        'version: "1.0"\nname: w\non: push\nenv: {A: b}\njobs:\n  - {name: a, run: x}\n'
    )
    expected = (
        "3:1: `on`: a run is started",
        "4:1: `env`: `env` belongs",
        "5:1: `jobs`: here it is `steps`",
    )

    assert list(expected) == [
        problem[: len(start)] for problem, start in zip(found, expected, strict=True)
    ]


def test_steps_that_are_a_mapping_are_told_how_to_be_a_list() -> None:
    """As jobs and tasks are elsewhere."""
    found = problems_of('version: "1.0"\nname: w\nsteps:\n  build: {run: x}\n')

    assert [
        "4:3: `steps` must be a list, not a mapping; write each step as `- name: build`"
    ] == found


def test_words_of_inputs_are_answered() -> None:
    found = problems_of(
        STEPS
        + "  - {name: a, run: x}\ninputs:\n  b: {type: str, desc: x}\n"
        + "  c: {type: string, options: [d], minimum: 3}\n"
    )

    assert [
        (
            "6:13: `type` must be string, integer, float, number, boolean, array or object, not the "
            "text 'str'; did you mean `string`?"
        ),
        "6:18: `desc`: here it is `description`",
        "7:21: `options`: here it is `choices`",
        "7:35: `minimum`: values are checked by `type` and `choices`; check more in a first step",
    ] == found


def test_a_word_that_stands_for_the_same_field_twice_is_told_twice() -> None:
    assert ["4:15: `cmd`: here it is `run`", "4:23: `script`: here it is `run`"] == problems_of(
        f"{STEPS}  - {{name: a, cmd: x, script: y}}\n"
    )


def test_every_type_that_a_word_means_is_one() -> None:
    assert set(words.TYPE_WORDS.values()) <= set(STEP_TYPES)
    assert words.TYPE_WORDS.keys().isdisjoint(STEP_TYPES)


EXPRESSIONS = {
    "steps.one.outputs.x": "a step has `output` and `status`, not `outputs`; did you mean "
    "`steps.one.output.x`?",
    "steps.one.conclusion": "a step has `output` and `status`, not `conclusion`; did you mean "
    "`steps.one.status`?",
    'steps.one.stdout["a b"][0]': "a step has `output` and `status`, not `stdout`; did you mean "
    '`steps.one.output.stdout["a b"][0]`?',
    "steps.one.output.stdot": "the output of the shell step `one` has no `stdot`; did you mean "
    "`stdout`?",
    "steps.two.output.succes": "the output of the validate step `two` has no `succes`; did you "
    "mean `success`?",
    "steps.three.output.name": "the output of the checkpoint step `three` has no `name`; it has "
    "saved, label",
    "success()": "there is no function `success`: a step runs only if those before it succeeded; "
    "remove it",
    "github.sha": "there is no name `github`: a run reads `env.NAME`, and `run.id`; what CI knows "
    "is in `env.GITHUB_…` (a text is written in quotes)",
}
RIGHT = (
    "steps.one.output.stdout",
    "steps.one.output.truncated",
    "steps.one.output.value.anything",
    "steps.two.output.stages[0].name",
    "steps.three.output.label",
    "steps.four.output.error",
    "steps.five.output.anything",
    "steps.six.output.stdout",
)
BEFORE = STEPS + (
    "  - {name: one, run: x}\n"
    "  - {name: two, stages: [a b]}\n"
    "  - {name: three, type: checkpoint}\n"
    "  - {name: four, run: x, continue_on_error: true}\n"
    "  - {name: five, action: m:f}\n"
    "  - {name: b, options: [{when: true, step: {name: six, run: x}}]}\n"
)


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_with_a_foreign_or_mistyped_name_is_told_the_right_one(
    expression: str,
) -> None:
    found = lint(f"{BEFORE}outputs: ${{{{ {expression} }}}}\n")

    assert [EXPRESSIONS[expression]] == [problem.split(": ", 1)[1] for problem in found]


@pytest.mark.parametrize("expression", RIGHT)
def test_what_the_output_of_a_step_has_is_no_problem(expression: str) -> None:
    assert [] == lint(f"{BEFORE}outputs: ${{{{ {expression} }}}}\n")


def test_what_a_step_of_a_loop_gives_is_not_judged_by_one_of_its_name_outside() -> None:
    """A name means the step of the nearest block that has it, whatever that one gives."""
    text = STEPS + (
        "  - {name: a, run: 'true'}\n"
        "  - name: each\n"
        "    for_each: [1]\n"
        "    steps:\n"
        "      - {name: a, action: 'm:f'}\n"
        "      - {name: b, action: 'm:f', args: ['${{ steps.a.output.own }}']}\n"
    )

    assert [] == lint(text)


@pytest.mark.parametrize(
    "step",
    [
        "{name: a, run: x, rollback: {run: 'echo ${{ quote(steps.a.output.own) }}'}}",
        "{name: a, stages: [x y], on_failure: {run: 'echo ${{ quote(steps.a.output.own) }}'}}",
    ],
)
def test_a_step_that_belongs_to_another_knows_what_that_one_gives(step: str) -> None:
    [problem] = lint(f"{STEPS}  - {step}\n")

    assert "step `a` has no `own`; it has " in problem


def test_braces_without_a_dollar_are_warned_of_where_they_look_like_an_expression() -> None:
    text = STEPS + (
        "  - name: a\n"
        "    description: '{{ inputs.n }}'\n"
        "    run: |\n"
        "      docker ps --format '{{ .Names }}'\n"
        "      echo {{ inputs.n }}, ${{ index }}, {{steps.a.output}}\n"
        "      echo {{ previous.a }}\n"
    )

    assert [
        (
            "8:12: `{{ inputs.n }}` is a text, since no `$` stands before it; an expression is "
            "`${{ inputs.n }}`"
        ),
        (
            "8:42: `{{steps.a.output}}` is a text, since no `$` stands before it; an expression is "
            "`${{ steps.a.output }}`"
        ),
        (
            "9:12: `{{ previous.a }}` is a text, since no `$` stands before it; an expression is "
            "`${{ previous.a }}`"
        ),
    ] == [f"{w.line}:{w.column}: {w.message}" for w in check_workflow(text, "w.yaml").warnings]


def test_braces_without_a_dollar_are_no_expression() -> None:
    assert ["4:29: an expression is written `${{ … }}`: a `$` is missing"] == problems_of(
        STEPS + "  - {name: a, run: x, when: '{{ inputs.n }}'}\n"
    )
