"""Section 3 of the language: what expressions give, seen through a run's `outputs`."""

from __future__ import annotations

import json
from typing import Any

import pytest

from kit.program import Program, Quick

INPUTS = """
inputs:
  text: {type: string, default: "Ada"}
  n: {type: integer, default: 7}
  x: {type: float, default: 0.5}
  yes: {type: boolean, default: true}
  list: {type: array, default: [3, 1, 2]}
  map: {type: object, default: {a: 1, b-c: {d: [10, 20]}, "1": one}}
  none: {type: string, required: false}
"""
VALUES: dict[str, Any] = {
    # names and paths
    "inputs.text": "Ada",
    "inputs['text']": "Ada",
    'inputs["n"]': 7,
    "inputs.map.b-c.d[0]": 10,
    "inputs.map['b-c'].d[-1]": 20,
    "inputs.map[1]": "one",
    "inputs.n-1": 6,
    "inputs.list[0]": 3,
    "inputs.list[-1]": 2,
    "inputs.list[9]": None,
    "inputs.text[0]": "A",
    "inputs.text[-1]": "a",
    "inputs.map.no.such.thing": None,
    "inputs.none.at.all[3].depths": None,
    "steps.first.output.value": "one",
    "steps.first.output.exit_code": 0,
    "steps.first.status": "done",
    "steps.skipped.status": "skipped",
    "steps.skipped.output": None,
    "steps.broken.status": "failed",
    "contains(steps.broken.output.error, 'exit code 3')": True,
    "env.GREETING": "hello there",
    "env.NO_SUCH_VARIABLE": None,
    "startswith(run.id, 'flow-')": True,
    "run.attempt": 1,
    "len(run.idempotency_key) > 8": True,
    # literals
    "'its'": "its",
    '"a\\nb"': "a\nb",
    "12": 12,
    "1.5": 1.5,
    "[1, 'a', [true]]": [1, "a", [True]],
    '{"a": 1, "b": {"c": null}}': {"a": 1, "b": {"c": None}},
    "[true, false, null, True, False, None]": [True, False, None, True, False, None],
    # operators
    "1 if inputs.yes else 2": 1,
    "1 if false else 2 if false else 3": 3,
    "inputs.none or 'nobody'": "nobody",
    "inputs.text and inputs.n": 7,
    "0 or ''": "",
    "not inputs.list": False,
    "not 1 == 2": True,
    "1 == 1.0": True,
    "true == 1": False,
    "'1' == 1": False,
    "1 != 2": True,
    "1 < 2 and 2 <= 2 and 3 > 2 and 3 >= 3": True,
    "'a' < 'b'": True,
    "2 in inputs.list": True,
    "9 not in inputs.list": True,
    "'da' in inputs.text": True,
    "'a' in inputs.map": True,
    "1 + 2 * 3": 7,
    "(1 + 2) * 3": 9,
    "7 / 2": 3.5,
    "7 // 2": 3,
    "-7 // 2": -4,
    "7 % 3": 1,
    "-7 % 3": 2,
    "-inputs.n": -7,
    "'a' + 'b'": "ab",
    "[1] + [2]": [1, 2],
    "2 - -2": 4,
    "1 if 0 else 'x' + 'y'": "xy",
    # functions
    "len(inputs.list) + len('abc') + len(inputs.map)": 9,
    "str(1) + str(true) + str(null) + str(1.5)": "1true1.5",
    "int('42') + int(3.9)": 45,
    "float('0.25')": 0.25,
    "[bool(''), bool('no'), bool(0), bool([]), bool('yes')]": [False, True, False, False, True],
    "json('{\"a\": [1]}').a[0]": 1,
    'to_json({"a": [1, null]})': '{"a": [1, null]}',
    "join(['a', 'b'], '-')": "a-b",
    "split('a,b,c', ',')": ["a", "b", "c"],
    "lower('AbC') + upper('AbC') + strip('  x ')": "abcABCx",
    "replace('aXbX', 'X', '-')": "a-b-",
    "[startswith('abc', 'a'), endswith('abc', 'c'), contains('abc', 'b'), contains([1], 1)]": [True]
    * 4,
    "keys(inputs.map)": ["a", "b-c", "1"],
    "values({'a': 1, 'b': 2})": [1, 2],
    "range(3)": [0, 1, 2],
    "range(1, 6, 2)": [1, 3, 5],
    "min(inputs.list) + max(inputs.list) + sum(inputs.list)": 10,
    "min(4, 2) + max(4, 2)": 6,
    "[any([0, 1]), all([0, 1]), any([]), all([])]": [True, False, False, True],
    "default(inputs.none, 'fallback')": "fallback",
    "default(0, 5)": 0,
    "format('{} is {}', inputs.text, 3)": "Ada is 3",
    'quote("it\'s")': "'it'\"'\"'s'",
    "basename('a/b.txt') + ' ' + dirname('a/b.txt')": "b.txt a",
    "glob('data/*.txt')": ["data/a.txt", "data/b.txt"],
    "[exists('data/a.txt'), exists('data/no.txt')]": [True, False],
    "hash('x') == hash('x') and hash('x') != hash('y')": True,
}
TEXTS = {
    "${{ inputs.n }} items": "7 items",
    "<${{ inputs.none }}>": "<>",
    "${{ inputs.yes }}!": "true!",
    "${{ inputs.list }} and ${{ {'a': null} }}": '[3, 1, 2] and {"a": null}',
    "${{ '$' + '{{ 1 }}' }} once": "${{ 1 }} once",
    "${{ inputs.x }}": 0.5,
    "  ${{ inputs.n }}": "  7",
    "no expression": "no expression",
}
ERRORS = {
    "'a' + 1": "+",
    "1 < 'a'": "<",
    "'ab' * 3": "*",
    "int('many')": "int",
    "1 / 0": "zero",
    "len(5)": "len",
    "range(99999999999)": "range",
    "json('{')": "json",
    "-'a'": "-",
}
WRONG = {
    "1 +": "",
    "inputs.nosuch": "nosuch",
    "steps.nosuch.output": "nosuch",
    "steps.later.output": "later",
    "nosuchname": "nosuchname",
    "nosuchfunction(1)": "nosuchfunction",
    "inputs.text.upper()": "",
    "''.__class__.__mro__": "",
    "open('/etc/passwd')": "open",
    "lambda: 1": "",
    "a = 1": "",
    "[x for x in inputs.list]": "",
    "len()": "len",
    "'unclosed": "",
}
STEPS = """
steps:
  - {name: first, type: shell, run: echo one}
  - {name: skipped, type: shell, run: "false", when: 1 > 2}
  - {name: broken, type: shell, run: exit 3, continue_on_error: true}
"""


def _step(number: int, expression: str, more: str = "") -> str:
    argument = json.dumps("${{ " + expression + " }}")
    return f"  - {{name: e{number}, type: python, action: log_message, {more}args: [{argument}]}}\n"


def test_every_name_operator_and_function_gives_what_the_contract_says(program: Program) -> None:
    """All in one run; JSON on standard output is what a script sees."""
    program.file("data/a.txt", "")
    program.file("data/b.txt", "")
    outputs = {f"v{number}": f"${{{{ {text} }}}}" for number, text in enumerate(VALUES)}
    outputs |= {f"t{number}": text for number, text in enumerate(TEXTS)}
    outputs["deep"] = {
        "list": [{"value": "${{ inputs.list[0] + 1 }}", "text": "n=${{ inputs.n }}"}]
    }
    program.flow(f"{INPUTS}{STEPS}outputs: {json.dumps(outputs)}\n")
    done = program.run("run", "flow.yaml", "--json", GREETING="hello there")

    assert 0 == done.code, done.err
    given = done.json["output"]
    assert {text: given[f"v{number}"] for number, text in enumerate(VALUES)} == VALUES
    assert {text: given[f"t{number}"] for number, text in enumerate(TEXTS)} == TEXTS
    assert {"list": [{"value": 4, "text": "n=7"}]} == given["deep"]
    assert [type(VALUES[text]) for text in VALUES] == [
        type(given[f"v{number}"]) for number in range(len(VALUES))
    ]


def test_what_cannot_be_evaluated_fails_its_step_with_its_place(program: Program) -> None:
    """One step for each error; the message names file, line and column."""
    steps = "".join(
        _step(number, text, "continue_on_error: true, ") for number, text in enumerate(ERRORS)
    )
    program.flow(f"{INPUTS}steps:\n{steps}outputs: ${{{{ steps }}}}\n")
    done = program.run("run", "flow.yaml", "--json")

    assert 0 == done.code, done.err
    for number, (text, said) in enumerate(ERRORS.items()):
        step = done.json["output"][f"e{number}"]
        assert "failed" == step["status"], text
        assert f"flow.yaml:{12 + number}:" in step["output"]["error"], (text, step)
        assert said in step["output"]["error"], (text, step)


def test_what_is_no_expression_or_reads_what_is_not_there_is_an_error_before_the_run(
    program: Program,
) -> None:
    """All of them at once, each with its place."""
    steps = "".join(_step(number, text) for number, text in enumerate(WRONG))
    program.flow(f"{INPUTS}steps:\n{steps}  - {{name: later, type: shell, run: 'true'}}\n")
    done = program.run("run", "flow.yaml", "--json")
    rows = program.run("workflow", "check", "flow.yaml", "--json").json
    found = {row["line"]: row["message"] for row in rows if row["severity"] == "error"}

    assert 3 == done.code
    assert None is done.json["run"]
    for number, (text, said) in enumerate(WRONG.items()):
        assert said in found.get(12 + number, "nothing found"), (text, found.get(12 + number))
    assert not (program.root / ".maverick").exists()


@pytest.mark.parametrize(
    "text",
    [
        "${{ 'a' * 1000000000 }}",
        "${{ range(1000000000) }}",
        "${{ " + "(" * 500 + "1" + ")" * 500 + " }}",
    ],
)
def test_no_expression_takes_the_machine(quick: Quick, text: str) -> None:
    """Time and memory are bounded."""
    quick.program.flow(f"steps:\n  - {{name: a, type: checkpoint}}\noutputs: {json.dumps(text)}\n")
    done = quick("run", "flow.yaml")

    assert done.code in {1, 3}
    assert "Traceback" not in done.err
