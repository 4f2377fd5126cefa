"""Every rule of a workflow file has its message, with line and column; all of a file's problems
come at once.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from maverick.dsl.serialization.loader import check_workflow, parse_workflow
from maverick.dsl.serialization.source_text import read_text
from maverick.errors import WorkflowInvalid

HEAD = 'version: "1.0"\nname: w\n'
STEPS = HEAD + "steps:\n"
_DURATION = "a number of seconds, or a duration such as 90s, 15m or 2h"
STEP = STEPS + "  - {name: a, type: shell, run: 'true'}\n"


def problems_of(text: str) -> list[str]:
    """Give `line:column: message` of each problem of *text*."""
    return [f"{p.line}:{p.column}: {p.message}" for p in check_workflow(text, "w.yaml").problems]


FIELDS = (
    "version, name, description, inputs, on_failure, checkpoints, steps, outputs, notices, metadata"
)

BROKEN_FILES = {
    "no mapping": (
        "- a\n",
        "1:1: a workflow must be a mapping with `name` and `steps`, not a list",
    ),
    "notices that are no list": (
        "version: 1.0\nname: w\nnotices: x\nsteps: [{name: a, type: checkpoint}]\n",
        "3:10: `notices` must be a list, not the text 'x'",
    ),
    "a notice that is no mapping": (
        "version: 1.0\nname: w\nnotices: [x]\nsteps: [{name: a, type: checkpoint}]\n",
        "3:11: a notice must be a mapping with `when` and `message`, not the text 'x'",
    ),
    "a notice without a message": (
        "version: 1.0\nname: w\nnotices: [{when: inputs}]\nsteps: [{name: a, type: checkpoint}]\n",
        "3:11: missing field `message`: a notice needs it",
    ),
    "a notice with an unknown field": (
        (
            "version: 1.0\nname: w\nnotices: [{message: a, level: 1}]\n"
            "steps: [{name: a, type: checkpoint}]\n"
        ),
        "3:24: unknown field `level` in a notice; there are when, message",
    ),
    "no version": (
        "name: w\nsteps: [{name: a, type: checkpoint}]\n",
        "1:1: missing field `version`: a workflow needs it",
    ),
    "no name": (
        "version: 1.0\nsteps: [{name: a, type: checkpoint}]\n",
        "1:1: missing field `name`: a workflow needs it",
    ),
    "no steps": (HEAD, "1:1: missing field `steps`: a workflow needs it"),
    "version 2": (
        STEP.replace("1.0", "2.0"),
        '1:10: version `2.0` is not supported; this is version 1 of the language: "1.0"',
    ),
    "name with a space": (
        STEP.replace("name: w", "name: My Flow", 1),
        (
            "2:7: bad name 'My Flow' of a workflow: lower-case letters, digits, `_` and `-`, at "
            "most 64, a letter first; for instance `my-flow`"
        ),
    ),
    "unknown field": (
        STEP + "output: 3\n",
        "5:1: unknown field `output` in a workflow; did you mean `outputs`?",
    ),
    "unknown field, none near": (
        STEP + "zzz: 3\n",
        f"5:1: unknown field `zzz` in a workflow; there are {FIELDS}",
    ),
    "on_failure": (
        STEP + "on_failure: stop\n",
        "5:13: `on_failure` must be rollback or keep, not the text 'stop'",
    ),
    "checkpoints": (
        STEP + "checkpoints: {workspace: steps}\n",
        (
            "5:26: `workspace` must be false, label or step, not the text 'steps'; did you mean "
            "`step`?"
        ),
    ),
    "steps empty": (
        HEAD + "steps: []\n",
        "3:8: `steps` is empty: a workflow needs at least one entry in it",
    ),
    "steps null": (HEAD + "steps:\n", "3:7: `steps` must be a list, not empty"),
    "input type": (
        STEP + "inputs: {a: {type: int}}\n",
        (
            "5:20: `type` must be string, integer, float, number, boolean, array or object, not "
            "the text 'int'; did you mean `integer`?"
        ),
    ),
    "input without type": (
        STEP + "inputs: {a: {}}\n",
        "5:13: missing field `type`: an input needs it",
    ),
    "input name": (
        STEP + "inputs: {a b: {type: string}}\n",
        (
            "5:10: bad name 'a b' of an input: letters, digits, `_` and `-`, at most 64, not a "
            "digit first; for instance `a_b`"
        ),
    ),
    "input default of another type": (
        STEP + "inputs: {a: {type: integer, default: '3'}}\n",
        "5:38: `default`: an integer is expected, not '3'",
    ),
    "a boolean is no integer": (
        STEP + "inputs: {a: {type: integer, default: true}}\n",
        "5:38: `default`: an integer is expected, not true",
    ),
    "default that is no choice": (
        STEP + "inputs: {a: {type: string, choices: [x, y], default: z}}\n",
        "5:54: `default`: one of 'x', 'y' is expected, not 'z'",
    ),
    "choice of another type": (
        STEP + "inputs: {a: {type: string, choices: [x, 1]}}\n",
        "5:41: `choices`: a text is expected, not 1; a number or a boolean in quotes is one",
    ),
    "required with a default": (
        STEP + "inputs: {a: {type: string, required: true, default: x}}\n",
        "5:38: `required: true` and `default` exclude each other",
    ),
    "duplicate key": (
        STEP + "name: x\n",
        "5:1: duplicate key `name`; it stands at line 2, column 1 already",
    ),
}

BROKEN_STEPS = {
    "no mapping": (
        "just text",
        "4:5: a step must be a mapping with `name` and `type`, not the text 'just text'",
    ),
    "no name": ("{type: checkpoint}", "4:5: missing field `name`: a checkpoint step needs it"),
    "no type": (
        "{name: a}",
        (
            "4:5: missing field `type`: a step needs it (python, shell, agent, generate, "
            "subworkflow, checkpoint, validate, branch, loop, parallel), or a field that says it: "
            "`action`, `run`, `agent`, `generator`, `workflow`, `stages`, `options`, `steps`"
        ),
    ),
    "unknown type": (
        "{name: a, type: shel}",
        "4:21: unknown step type `shel`; did you mean `shell`?",
    ),
    "bad name": (
        "{name: 1st, type: checkpoint}",
        (
            "4:12: bad name '1st' of a checkpoint step: letters, digits, `_` and `-`, at most 64, not "
            "a digit first"
        ),
    ),
    "name that is no text": (
        "{name: true, type: checkpoint}",
        "4:12: the name of a checkpoint step must be a text, not the boolean true",
    ),
    "unknown field": (
        "{name: a, type: shell, run: x, retires: 3}",
        "4:36: unknown field `retires` in a shell step; did you mean `requires`?",
    ),
    "timeout": (
        "{name: a, type: checkpoint, timeout: soon}",
        (
            "4:42: `timeout` must be a number of seconds, or a duration such as 90s, 15m or 2h, "
            "above 0, or an expression, not the text 'soon'"
        ),
    ),
    "timeout of 0": (
        "{name: a, type: checkpoint, timeout: 0}",
        (
            "4:42: `timeout` must be a number of seconds, or a duration such as 90s, 15m or 2h, "
            "above 0, or an expression, not the number 0"
        ),
    ),
    "retry": (
        "{name: a, type: checkpoint, retry: 3}",
        "4:40: `retry` must be a mapping such as {attempts: 3}, not the number 3",
    ),
    "retry attempts": (
        "{name: a, type: checkpoint, retry: {attempts: 0}}",
        "4:51: `attempts` must be an integer from 1, or an expression, not the number 0",
    ),
    "flag": (
        "{name: a, type: checkpoint, pure: 1}",
        "4:39: `pure` must be true or false, not the number 1",
    ),
    "requires": (
        "{name: a, type: checkpoint, requires: {git: 1}}",
        "4:43: `requires` must be a list of texts, not a mapping",
    ),
    "when": (
        "{name: a, type: checkpoint, when: }",
        "4:39: `when` must be an expression, not empty",
    ),
    "rollback": (
        "{name: a, type: checkpoint, rollback: [x]}",
        "4:43: `rollback` must be the name of an action, or a step, not a list",
    ),
    "run missing": ("{name: a, type: shell}", "4:5: missing field `run`: a shell step needs it"),
    "grace no duration": (
        "{name: a, type: shell, run: x, grace: soon}",
        f"4:43: `grace` must be {_DURATION}, or an expression, not the text 'soon'",
    ),
    "run empty": ("{name: a, type: shell, run: ''}", "4:33: `run` is empty"),
    "run a number": (
        "{name: a, type: shell, run: 5}",
        "4:33: `run` must be a text (in quotes), not the number 5",
    ),
    "parse": (
        "{name: a, type: shell, run: x, parse: xml}",
        "4:43: `parse` must be text, json or lines, not the text 'xml'",
    ),
    "action with an expression": (
        "{name: a, type: python, action: '${{ inputs.a }}'}",
        "4:37: `action` must be a fixed text, without expressions",
    ),
    "args": (
        "{name: a, type: python, action: x, args: {a: 1}}",
        "4:46: `args` must be a list, not a mapping",
    ),
    "kwargs": (
        "{name: a, type: python, action: x, kwargs: text}",
        "4:48: `kwargs` must be a mapping, not the text 'text'",
    ),
    "context": (
        "{name: a, type: agent, agent: x, context: [1]}",
        "4:47: `context` must be a mapping, or the name of a context builder, not a list",
    ),
    "stages": (
        "{name: a, type: validate, stages: 3}",
        (
            "4:39: `stages` must be a list of stages, an expression, or the name of one in "
            "maverick.yaml, not the number 3"
        ),
    ),
    "validate retry": (
        "{name: a, type: validate, retry: -1}",
        "4:38: `retry` must be an integer from 0, or an expression, not the number -1",
    ),
    "options missing": (
        "{name: a, type: branch}",
        "4:5: missing field `options`: a branch step needs it",
    ),
    "option without step": (
        "{name: a, type: branch, options: [{when: true}]}",
        "4:39: missing field `step`: an option needs it",
    ),
    "on_no_match": (
        (
            "{name: a, type: branch, options: [{when: true, step: {name: b, type: checkpoint}}], "
            "on_no_match: no}"
        ),
        "4:102: `on_no_match` must be null or fail, not the text 'no'",
    ),
    "option named as the branch": (
        "{name: a, type: branch, options: [{when: true, step: {name: a, type: checkpoint}}]}",
        "4:58: duplicate step name `a`: it is the name of the branch itself",
    ),
    "for_each": (
        "{name: a, type: loop, for_each: 3, steps: [{name: b, type: checkpoint}]}",
        "4:37: `for_each` must be a list, or an expression that gives one, not the number 3",
    ),
    "steps empty": (
        "{name: a, type: loop, steps: []}",
        "4:34: `steps` is empty: a loop step needs at least one entry in it",
    ),
    "max_concurrency": (
        "{name: a, type: loop, max_concurrency: 0, steps: [{name: b, type: checkpoint}]}",
        "4:44: `max_concurrency` must be an integer from 1, or an expression, not the number 0",
    ),
    "until and parallel": (
        (
            "{name: a, type: loop, until: 'true', parallel: true, steps: [{name: b, type: "
            "checkpoint}]}"
        ),
        "4:52: `until` needs one round after the other: it cannot run concurrently",
    ),
    "checkpoint workspace": (
        "{name: a, type: checkpoint, workspace: src}",
        "4:44: `workspace` must be true, false, or a list of globs, not the text 'src'",
    ),
}


@pytest.mark.parametrize("name", BROKEN_FILES)
def test_a_broken_file_is_told_in_exact_words(name: str) -> None:
    text, expected = BROKEN_FILES[name]

    assert [expected] == problems_of(text)


@pytest.mark.parametrize("name", BROKEN_STEPS)
def test_a_broken_step_is_told_in_exact_words(name: str) -> None:
    text, expected = BROKEN_STEPS[name]

    assert [expected] == problems_of(f"{STEPS}  - {text}\n")


def test_all_problems_come_at_once_in_the_order_of_the_file() -> None:
    found = problems_of(
        "version: 3\nname: W\nfoo: 1\nsteps:\n"
        "  - {name: a, type: shel}\n  - {name: a, type: shell, run: '${{ 1 + }}'}\n"
    )

    assert [1, 2, 3, 5, 6, 6] == [int(problem.split(":")[0]) for problem in found]


def test_a_workflow_with_problems_is_not_given() -> None:
    with pytest.raises(WorkflowInvalid) as raised:
        parse_workflow("name: w\n", "w.yaml")

    assert [
        "w.yaml:1:1: missing field `steps`: a workflow needs it",
        "w.yaml:1:1: missing field `version`: a workflow needs it",
    ] == str(raised.value).split("\n")


def test_step_names_differ_within_a_block() -> None:
    step = "{name: a, type: checkpoint}"

    assert ["4:16: duplicate step name `a`; it stands at line 3 already"] == problems_of(
        f"{HEAD}steps: [{step},\n       {' ' * 8}{step}]\n"
    )


def test_the_same_name_may_stand_in_another_block() -> None:
    text = (
        STEPS
        + "  - {name: a, type: loop, steps: [{name: b, type: checkpoint}]}\n  - {name: b, type: "
        "checkpoint}\n"
    )

    assert [] == problems_of(text)


def test_a_step_may_not_have_the_name_of_an_option_beside_it() -> None:
    """After the branch both would be `steps.b`."""
    text = (
        STEPS + "  - {name: a, type: branch, options: [{when: true, step: {name: b, type: "
        "checkpoint}}]}\n" + "  - {name: b, type: checkpoint}\n"
    )

    assert ["5:5: duplicate step name `b`; it stands at line 4 already"] == problems_of(text)


@pytest.mark.parametrize(
    ("scalar", "line", "column"),
    [
        ("echo ${{ foo }}", 6, 19),
        ("'it''s ${{ foo }}'", 6, 21),
        (r'"a\u0041\n ${{ foo }}"', 6, 25),
        ("|\n      echo a\n        echo ${{ foo }}\n", 8, 18),
        (">-\n      echo a\n      b\n\n      c ${{ foo }}\n", 10, 13),
        ("a b\n      c ${{ foo }}", 7, 13),
        ('"a \\\n       b\n\n       ${{ foo }}"', 9, 12),
        ("!!str 'a ${{ foo }}'", 6, 23),
        ("&x ${{ quote('a') }} ${{ foo }}", 6, 35),
        ("| # ${{ comment }}\n      ${{ quote(\n        foo) }}", 8, 9),
    ],
)
def test_a_syntax_error_stands_where_it_is_in_the_file(scalar: str, line: int, column: int) -> None:
    """Quotes, escapes, indentation and folding lie between a scalar's text and the file."""
    text = STEPS + f"  - name: a\n    type: shell\n    run: {scalar}\n"

    problem = check_workflow(text, "w.yaml").problems[0]

    assert problem.message.startswith("there is no name `foo`")
    assert (line, column) == (problem.line, problem.column)


def test_every_wrong_expression_of_a_text_is_told() -> None:
    found = problems_of(
        STEPS + "  - {name: a, type: shell, run: '${{ 1 + }} ${{ 1 }} ${{ 2 2 }}'}\n"
    )

    assert ["4:42", "4:60"] == [problem.rsplit(": ", 1)[0][:4] for problem in found]


def test_a_comment_that_cuts_an_expression_is_pointed_at() -> None:
    found = problems_of(STEPS + "  - name: a\n    type: checkpoint\n    when: inputs.a == # what\n")

    assert found[0].endswith("(` #` starts a comment: quote the text)")


def test_keys_that_begin_with_x_are_free_everywhere() -> None:
    text = (
        STEPS
        + "  - {name: a, type: checkpoint, x-a: 1, retry: {x-b: 2}}\nx-c: [1]\nmetadata: {a: b}\n"
    )

    assert [] == problems_of(text)


@pytest.mark.parametrize("version", ["1.0", '"1.0"', "1.7", '"1.12"', "1"])
def test_any_version_1_is_read(version: str) -> None:
    assert [] == problems_of(STEP.replace('"1.0"', version))


def test_steps_nest_only_so_deep() -> None:
    """What walks steps by recursion must not be brought down by a file."""
    text = STEPS + "  - "
    text += "{name: a, type: loop, steps: [" * 60 + "{name: b, type: checkpoint}" + "]}" * 60

    assert ["steps are nested too deeply: more than 50 levels"] == [
        problem.message for problem in check_workflow(text, "w.yaml").problems
    ]


def test_a_folder_is_no_workflow(tmp_path: Path) -> None:
    with pytest.raises(WorkflowInvalid, match="is a folder, not a file"):
        read_text(tmp_path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(WorkflowInvalid, match="there is no such file"):
        read_text(tmp_path / "w.yaml")


def test_bytes_that_are_not_utf_8_are_told_with_their_place(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_bytes(b"name: w\n# gr\xfc\xdfe\n")

    with pytest.raises(
        WorkflowInvalid, match=r"w\.yaml:2:5: not UTF-8: byte 0xfc; save the file as UTF-8"
    ):
        read_text(tmp_path / "w.yaml")


def test_a_file_may_start_with_a_byte_order_mark_and_have_any_line_ends(tmp_path: Path) -> None:
    (tmp_path / "w.yaml").write_bytes(b"\xef\xbb\xbf" + STEP.replace("\n", "\r\n").encode())

    workflow = parse_workflow(read_text(tmp_path / "w.yaml"), "w.yaml")

    assert ("w", ["a"]) == (workflow.name, [step.name for step in workflow.steps])


def test_a_default_makes_an_input_optional() -> None:
    text = STEP + (
        "inputs:\n"
        "  a: {type: string}\n"
        "  b: {type: string, required: false}\n"
        "  c: {type: boolean, default: yes}\n"
        "  d: {type: float, default: 1}\n"
        "  e: {type: array, default: null}\n"
    )

    inputs = parse_workflow(text, "w.yaml").inputs

    assert {"a": True, "b": False, "c": False, "d": False, "e": False} == {
        k: v.required for k, v in inputs.items()
    }
    assert (True, 1.0, None) == (inputs["c"].default, inputs["d"].default, inputs["e"].default)
    assert (False, True) == (inputs["b"].has_default, inputs["e"].has_default)
