"""Section 2 of the language: every step type with its fields and outputs, seen from outside."""

from __future__ import annotations

import json
import re

import pytest

from kit.patience import ASLEEP
from kit.program import ANSWER_KEYS, Program, Quick

ACTIONS = '''
import asyncio
import dataclasses
import pathlib


@dataclasses.dataclass
class Point:
    """A point."""
    x: int
    y: float = 0.5


def add(a, b=1):
    """Add."""
    return a + b


async def later(text):
    """Give it later."""
    await asyncio.sleep(0)
    return text


def shapes():
    """What is no plain data."""
    return {"point": Point(1), "path": pathlib.Path("a/b"), "set": {1}, "tuple": (1, 2)}


def count(path, fail_until):
    """Fail the first times."""
    file = pathlib.Path(path)
    number = len(file.read_text()) + 1 if file.exists() else 1
    file.write_text("x" * number)
    if number < fail_until:
        raise ConnectionError(f"attempt {number}")
    return number


def slow():
    """Take long."""
    import time
    time.sleep(6000)


def _hidden():
    """No action."""
'''
FLOW = """
version: "1.0"
name: everything
description: Every row of the table
x-free: {anything: [goes]}
metadata: {owner: me}
inputs: {who: {type: string, default: "O'Hara; exit 1"}}
steps:
  - name: plain
    type: shell
    description: A step
    metadata: {progress: {stage: one, weight: 3}}
    requires: [sh]
    run: |
      echo out; echo err >&2; echo "$GREETING $(basename "$PWD")"
    env: {GREETING: "hi ${{ 1 + 1 }}", LIST: "${{ [1, null] }}", YES: "${{ true }}", NO: "${{ null }}"}
    cwd: sub
  - name: env
    type: shell
    run: 'echo "$LIST|$YES|$NO|"'
    env: {LIST: "${{ [1, 2] }}", YES: "${{ true }}", NO: "${{ null }}"}
  - {name: quoted, type: shell, run: "echo ${{ quote(inputs.who) }}"}
  - {name: lines, type: shell, run: "printf 'a\\nb\\n'", parse: lines}
  - {name: json, type: shell, run: "echo '{\\"n\\": [1, 2]}'", parse: json}
  - {name: other, type: shell, shell: "sh -eu", run: 'echo "$0"; false || echo $-'}
  - {name: strict, type: shell, run: "false | true; echo no", continue_on_error: true}
  - {name: fails, type: shell, run: "echo last words >&2; exit 7", continue_on_error: true}
  - {name: named, type: python, action: add, args: [1], kwargs: {b: 2}}
  - {name: module, type: python, action: "tools.acts:add", kwargs: {a: "${{ steps.named.output }}"}}
  - {name: async, type: python, action: later, args: [text]}
  - {name: shapes, type: python, action: shapes}
  - {name: built_in, type: python, action: log_message, kwargs: {message: hello}}
  - {name: agent, type: agent, agent: helper, context: {task: Write}}
  - name: schema
    type: agent
    agent: json
    context: {task: n}
    output_schema: {type: object, required: [n], properties: {n: {type: integer}}}
  - {name: file, type: agent, agent: file, context: {task: n}}
  - {name: generate, type: generate, generator: commit_message, context: {diff: "+a", message: m}}
  - {name: generate2, type: generate, generator: commit_message_generator, context: {diff: "+a",
     message: m}}
  - name: validate
    type: validate
    stages: [first, {name: second, run: "echo bad; exit 4"}, {name: never, run: "true"}]
  - {name: valid, type: validate, stages: first}
  - {name: listed, type: validate, stages: "${{ ['first', 'true'] }}"}
  - {name: sub, type: subworkflow, workflow: ./sub/inner.yaml, inputs: {n: 4}}
  - {name: named_sub, type: subworkflow, workflow: by_name, inputs: {n: "${{ 2 }}"}}
  - name: branch
    type: branch
    options:
      - {when: 1 > 2, step: {name: left, type: python, action: later, args: [left]}}
      - {when: "${{ 2 > 1 }}", step: {name: right, type: python, action: later, args: [right]}}
    else: {name: other_side, type: python, action: later, args: [else]}
  - name: nothing
    type: branch
    options: [{when: "false", step: {name: never_taken, type: python, action: later, args: [x]}}]
  - name: otherwise
    type: branch
    options: [{when: "false", step: {name: never_taken2, type: python, action: later, args: [x]}}]
    else: {name: taken, type: python, action: later, args: [else]}
  - name: loop
    type: loop
    for_each: [a, b]
    steps:
      - {name: one, type: python, action: later, args: ["${{ item }}${{ index }}"]}
      - {name: mark, type: checkpoint, checkpoint_id: "mark ${{ item }}/../x"}
  - name: collected
    type: loop
    for_each: ${{ range(2) }}
    collect: steps
    max_concurrency: 2
    steps:
      - {name: p, type: python, action: add, args: ["${{ item }}"]}
      - {name: q, type: python, action: add, args: ["${{ steps.p.output }}"]}
  - name: keyed
    type: loop
    for_each: [{id: x}, {id: y}]
    key: item.id
    parallel: true
    steps: [{name: k, type: python, action: later, args: ["${{ item.id }}"]}]
  - name: until
    type: loop
    until: steps.turn.output >= 2
    steps: [{name: turn, type: python, action: add, args: ["${{ index }}", 0]}]
  - name: bounded
    type: loop
    until: "false"
    max_iterations: 3
    on_exhausted: continue
    steps: [{name: t, type: python, action: add, args: [1]}]
  - name: nested
    type: loop
    for_each: [1, 2]
    steps:
      - name: inner
        type: loop
        for_each: [10, 20]
        steps: [{name: sum, type: python, action: add, args: ["${{ item }}", "${{ parent.item }}"]}]
  - {name: empty, type: loop, for_each: [], steps: [{name: n, type: checkpoint}]}
  - name: block
    type: loop
    steps: [{name: b1, type: python, action: add, args: [1]}, {name: b2, type: python, action: add, args: [2]}]
  - name: parallel
    type: parallel
    steps: [{name: p1, type: python, action: add, args: [1]}, {name: p2, type: python, action: add, args: [2]}]
  - name: tolerant
    type: loop
    for_each: [1, 0, 2]
    continue_on_error: true
    steps: [{name: d, type: shell, run: "test ${{ item }} != 0; echo ${{ item }}", parse: json}]
  - {name: skipped, type: python, action: add, args: [1], when: "${{ inputs.who == 'no' }}"}
  - name: retried
    type: python
    action: count
    args: [count, 3]
    retry: {attempts: 5, delay: 0, backoff: 2, on: [ConnectionError]}
  - {name: timeout, type: shell, run: sleep 6000, timeout: 0.2, continue_on_error: true}
  - {name: timeout2, type: python, action: slow, timeout: 1s, continue_on_error: true}
  - {name: check, type: checkpoint}
  - {name: pure, type: python, action: add, args: [1], pure: true}
  - {name: always, type: python, action: add, args: [1], always_run: true}
outputs: ${{ steps }}
"""
INNER = """
version: "1.0"
name: NAME
inputs: {n: {type: integer, required: true}}
steps:
  - {name: twice, type: python, action: add, args: ["${{ inputs.n }}", "${{ inputs.n }}"]}
  - {name: mark, type: checkpoint}
"""
CONFIG = """
actions: [tools.acts]
agents:
  helper: {provider: command, command: [sh, tools/agent.sh]}
  json: {provider: command, command: [printf, 'Well:\n```json\n{"n": 3}\n```\n']}
  file: {provider: command, command: [sh, tools/file.sh], timeout: 30m}
validation: {stages: {first: echo fine}}
"""


def _text(name: str, output: str) -> dict[str, object]:
    return {"stdout": output, "stderr": "", "exit_code": 0, "value": output.removesuffix("\n")}


def _stage(name: str, success: bool, code: int, output: str) -> dict[str, object]:
    return {"name": name, "success": success, "exit_code": code, "output": output}


def test_every_step_type_with_every_field(program: Program) -> None:  # noqa: PLR0915 - one run is enough
    """One run of them all; each output has the shape that the table says."""
    program.file("tools/acts.py", ACTIONS)
    program.file(
        "tools/agent.sh",
        'echo "$MAVERICK_AGENT"; cat; grep -c task "$MAVERICK_CONTEXT"; test -n "$MAVERICK_OUTPUT"',
    )
    program.file("tools/file.sh", """echo '{"f": 1}' > "$MAVERICK_OUTPUT"; echo talk""")
    program.file("maverick.yaml", CONFIG)
    program.file("sub/inner.yaml", INNER.replace("NAME", "inner"))
    program.file(".maverick/workflows/named.yaml", INNER.replace("NAME", "by-name"))
    program.file("everything.yaml", FLOW)
    done = program.run("run", "everything.yaml", "--json", "--events", "events.jsonl")
    assert 0 == done.code, done.err
    steps = done.json["output"]
    output = {name: step["output"] for name, step in steps.items()}

    assert {
        "stdout": "out\nhi 2 sub\n",
        "stderr": "err\n",
        "exit_code": 0,
        "value": "out\nhi 2 sub",
    } == output["plain"]
    assert "[1, 2]|true||" == output["env"]["value"]
    assert "O'Hara; exit 1" == output["quoted"]["value"]
    assert ["a", "b"] == output["lines"]["value"]
    assert {"n": [1, 2]} == output["json"]["value"]
    assert "sh" == output["other"]["value"].splitlines()[0]
    assert ("failed", "failed") == (steps["strict"]["status"], steps["fails"]["status"])
    assert {"error": "exit code 7: last words"} == output["fails"]
    assert (3, 4, "text") == (output["named"], output["module"], output["async"])
    assert {"point": {"x": 1, "y": 0.5}, "path": "a/b", "set": [1], "tuple": [1, 2]} == output[
        "shapes"
    ]
    assert output["agent"].startswith("helper\n## task\n\nWrite")
    assert {"n": 3} == output["schema"]
    assert {"f": 1} == output["file"]
    assert isinstance(output["generate"], str)
    assert output["generate"] == output["generate2"] != ""
    bad = [_stage("first", True, 0, "fine"), _stage("second", False, 4, "bad")]
    assert {"success": False, "passed": False, "stages": bad, "attempts": 1} == output["validate"]
    good = [_stage("first", True, 0, "fine")]
    assert {"success": True, "passed": True, "stages": good, "attempts": 1} == output["valid"]
    assert ["first", "true"] == [it["name"] for it in output["listed"]["stages"]]
    assert (8, 4) == (output["sub"], output["named_sub"])
    assert ("right", "right") == (output["branch"], output["right"])
    assert (None, "done") == (output["nothing"], steps["nothing"]["status"])
    assert "else" == output["otherwise"]
    assert ["a0", "b1"] == output["loop"]
    assert [{"p": 1, "q": 2}, {"p": 2, "q": 3}] == output["collected"]
    assert ["x", "y"] == output["keyed"]
    assert [0, 1, 2] == output["until"]
    assert [2, 2, 2] == output["bounded"]
    assert [[11, 21], [12, 22]] == output["nested"]
    assert [] == output["empty"]
    assert ([2, 3], [2, 3]) == (output["block"], output["parallel"])
    assert [1, {"error": "exit code 1"}, 2] == [it.get("value", it) for it in output["tolerant"]]
    assert {"output": None, "status": "skipped"} == steps["skipped"]
    assert 3 == output["retried"]
    assert ["failed"] * 2 == [steps[name]["status"] for name in ("timeout", "timeout2")]
    assert "timeout" in output["timeout"]["error"] + output["timeout2"]["error"]
    assert {"saved": True, "label": "check"} == output["check"]

    events = [json.loads(line) for line in (program.root / "events.jsonl").read_text().splitlines()]
    assert ["event", "step", "type", "time", "seconds", "message", "data"] == list(events[0])
    assert ["run_started", "run_finished"] == [events[0]["event"], events[-1]["event"]]
    assert [1, 2] == [it["data"]["attempt"] for it in events if it["event"] == "step_retried"]
    assert [3, 1] == [
        it["data"]["attempts"]
        for name in ("retried", "fails")
        for it in events
        if (it["step"], it["seconds"] is None) == (name, False)
    ]
    assert "1 of 3 iterations failed" in [
        it["message"] for it in events if it["step"] == "tolerant"
    ]
    assert ["mark a/../x", "mark b/../x"] == [
        it["message"]
        for it in events
        if it["event"] == "checkpoint_saved" and it["step"].startswith("loop")
    ]

    run = done.json["run"]
    labels = program.run("checkpoint", "list", "--json").json[0]["labels"]
    assert ["mark a/../x", "mark b/../x", "mark", "check"] != labels
    assert {"mark a/../x", "mark b/../x", "mark", "check"} == set(labels)
    shown = program.run(
        "checkpoint", "show", f"{run}@mark a/../x:steps.loop[0].one.output", "--json"
    )
    assert "a0" == shown.json


FAILING = {
    "{name: a, type: shell, run: exit 3}": "exit code 3",
    "{name: a, type: shell, run: echo x, parse: json}": "no JSON",
    "{name: a, type: loop, for_each: '${{ 5 }}', steps: [{name: b, type: checkpoint}]}": "for_each has to be a list",
    "{name: a, type: loop, for_each: [1, 2], steps: [{name: b, type: shell, run: exit 1}]}": "a[0].b",
    "{name: a, type: branch, on_no_match: fail, options: [{when: 0 > 1, step: {name: b, type: "
    "checkpoint}}]}": "holds",
    "{name: a, type: validate, fail: true, stages: [{name: bad, run: 'false'}]}": "bad",
    "{name: a, type: shell, run: 'true', when: \"1 + 'x'\"}": "flow.yaml:4:",
    "{name: a, type: python, action: 'math:sqrt', args: [-1]}": "ValueError",
    "{name: a, type: python, action: 'threading:Lock'}": "cannot store",
    "{name: a, type: checkpoint, checkpoint_id: '${{ null }}'}": "label",
}


@pytest.mark.parametrize("step", FAILING)
def test_what_fails_a_step_fails_the_run_and_says_why(quick: Quick, step: str) -> None:
    """Exit code 1; the run can be resumed by the command that stands last."""
    quick.program.flow(f"- {step}")
    done = quick("run", "flow.yaml", "--json")

    assert 1 == done.code, done.err
    assert "failed" == done.json["status"]
    assert FAILING[step] in done.json["error"], done.json["error"]
    assert done.json["error"].startswith("step a")
    assert 1 == done.json["steps"]["failed"]
    assert (
        f"maverick run flow.yaml --resume={done.json['run']}"
        == done.json["resume"]
        == done.last_line
    )


def test_only_what_is_named_is_worth_another_attempt(program: Program) -> None:
    """`retry.on` names exceptions and `timeout`; the record tells how many attempts were needed."""
    program.file("tools/acts.py", ACTIONS)
    program.flow(
        """
        steps:
          - name: other
            type: python
            action: "tools.acts:count"
            args: [c1, 3]
            retry: {attempts: 5, on: [OSError]}
            continue_on_error: true
          - name: late
            type: shell
            run: "test -e late || { touch late; sleep 6000; }"
            timeout: 0.5
            retry: {attempts: 600, on: [timeout]}
          - name: not_late
            type: shell
            run: "echo x >> c2; exit 1"
            retry: {attempts: 3, on: [timeout]}
            continue_on_error: true
          - {name: count, type: shell, run: wc -l < c2, parse: json}
        outputs: [ "${{ steps.other.output }}", "${{ steps.late.status }}", "${{ steps.count.output.value }}" ]
        """
    )
    done = program.run("run", "flow.yaml", "--json")

    assert 0 == done.code, done.err
    assert [3, "done", 1] == done.json["output"]


def test_a_concurrent_loop_that_fails_keeps_what_finished(program: Program) -> None:
    """It lets running iterations end, and every finished step stays recorded. How many begin before
    the failure is known, the script cannot see: tests/dsl/engine/test_loops.py holds that none begins
    after it.
    """
    program.flow(
        """
        - name: each
          type: loop
          for_each: [0, 1, 2, 3]
          max_concurrency: 2
          steps:
            - name: one
              type: shell
              run: |
                echo ${{ item }} >> log
                if test ${{ item }} = 0; then while ! test -e one; do sleep 0.02; done; test -e ready; fi
                if test ${{ item }} = 1; then touch one; until grep -qs step_failed events; do sleep 0.02; done; fi
        """
    )
    failed = program.run("run", "flow.yaml", "--json", "--events", "events")
    program.file("ready", "")
    done = program.run("run", "flow.yaml", "--resume", "--json")

    assert (1, 0) == (failed.code, done.code)
    ran = failed.json["steps"]["ran"]
    assert {"ran": ran, "recalled": 0, "skipped": 0, "failed": 1, "reused": 0} == failed.json[
        "steps"
    ]
    assert 1 <= ran <= 3
    assert {"ran": 4 - ran, "recalled": ran, "skipped": 0, "failed": 0, "reused": 0} == done.json[
        "steps"
    ]
    assert ["0", "0", "1", "2", "3"] == sorted((program.root / "log").read_text().split())


def test_a_shell_step_ends_with_its_shell_and_names_what_it_left(program: Program) -> None:
    """Whatever still holds its pipes is stopped."""
    program.flow(f"- {{name: a, type: shell, run: 'sleep 300 & {ASLEEP}; echo done'}}")
    done = program.run("run", "flow.yaml")

    assert 0 == done.code
    assert "sleep 300" in done.err


def test_what_an_agent_needs_is_missed_before_the_run_starts(program: Program) -> None:
    """All of it at once: programs under `requires`, and those that play agents."""
    program.file(
        "maverick.yaml",
        "agents: {helper: {provider: claude}, other: {provider: command, command: "
        "[no-such-agent]}}",
    )
    program.flow(
        """
        - {name: a, type: shell, run: 'true', requires: [sh, no-such-tool]}
        - {name: b, type: agent, agent: helper, context: {task: x}}
        - {name: c, type: agent, agent: other, context: {task: x}}
        """
    )
    done = program.run("run", "flow.yaml", PATH="/usr/bin:/bin")

    assert 1 == done.code
    for said in ("no-such-tool (for a)", "claude", "no-such-agent", "step b"):
        assert said in done.err, done.err
    assert not (program.root / ".maverick").exists()


def test_a_workflow_says_everything_that_is_wrong_with_it_at_once(program: Program) -> None:
    """As `file:line:column: message`, with a suggestion where there is one."""
    program.file(
        "flow.yaml",
        """
        version: "1.0"
        name: Wrong Name
        inputs:
          a: {type: strin}
          b: {type: string, required: true, default: x}
          c: {type: string, choices: [x], default: y}
        steps:
          - {name: one, type: shel, run: x}
          - {name: two, type: shell, rum: x, run: y}
          - {name: two, type: shell, run: z}
          - {name: three, type: python, action: log_mesage}
          - {name: four, type: subworkflow, workflow: revew}
          - {name: five, type: agent, agent: code_reviewr}
          - {name: six, type: shell, run: "echo ${{ steps.eight.output }}"}
          - {name: seven, type: shell, run: "echo ${{ inputs.aa }}", when: "1 +"}
          - {name: eight, type: loop, steps: [], for_each: [1]}
          - {name: nine, type: shell, run: x, run: y}
          - {name: ten, type: generate, generator: commit_mesage}
          - {name: eleven, type: shell, run: x, timeout: soon, retry: {attempts: 0}}
        unknown: 1
        """,
    )
    done = program.run("workflow", "check", "flow.yaml", "--json")
    lines = {row["line"] for row in done.json if row["severity"] == "error"}
    messages = " ".join(row["message"] for row in done.json)

    assert 3 == done.code
    assert set(range(3, 22)) - {4, 8} <= lines, sorted(set(range(3, 22)) - lines)
    for said in (
        "`shell`",
        "`run`",
        "`log_message`",
        "`review`",
        "`code_reviewer`",
        "`commit_message`",
    ):
        assert f"did you mean {said}" in messages, said
    for line in done.err.splitlines():
        assert line.startswith(("flow.yaml:", "warning: flow.yaml:", "error: 19 problems:")), line


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[" * 30000, "deep"),
        (
            "a: &a [1]\nb: &b [*a, *a]\n"
            + "".join(f"c{n}: &c{n} [{', '.join(['*b'] * 9)}]\n" for n in range(9)),
            "",
        ),
        (
            "version: '1.0'\nname: x\nsteps: [{name: a, type: checkpoint}]\nname: y\n",
            "flow.yaml:4:",
        ),
        ("version: '2.0'\nname: x\nsteps: [{name: a, type: checkpoint}]\n", "version"),
        ("version: '1.0'\nname: x\nsteps: []\n", "steps"),
        ("\tversion: x", "flow.yaml:1:"),
        ("", ""),
        ("- 1", ""),
        ("\x00", ""),
    ],
)
def test_a_hostile_file_gives_an_error_and_no_crash(quick: Quick, text: str, said: str) -> None:
    """Whatever it holds."""
    (quick.program.root / "flow.yaml").write_text(text)
    done = quick("workflow", "check", "flow.yaml")

    assert 3 == done.code
    assert said in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("names", [["shel"], ["shel", "pyton"]])
def test_each_problem_is_a_line_that_begins_with_its_place(quick: Quick, names: list[str]) -> None:
    """However many there are; with `--json`, `error` holds nothing else."""
    quick.program.flow("\n".join(f"- {{name: {name}, type: {name}}}" for name in names))
    expected = [
        rf"flow\.yaml:{line}:\d+: unknown step type `{name}`" for line, name in enumerate(names, 4)
    ]
    checked = quick("workflow", "check", "flow.yaml")
    run = quick("run", "flow.yaml", "--json")
    found = [line for line in checked.err.splitlines() if line.startswith("flow.yaml:")]

    assert (3, 3, ANSWER_KEYS) == (checked.code, run.code, list(run.json))
    assert all(re.match(*pair) for pair in zip(expected, found, strict=True)), checked.err
    assert found == run.json["error"].splitlines()


def test_words_of_yaml_1_1_are_texts(program: Program) -> None:
    """`on`, `yes`, `no` are strings except where a boolean is declared; any 1.x is a version."""
    program.file(
        "flow.yaml",
        """
        version: 1.7
        name: words
        inputs: {a: {type: string, default: no}, b: {type: boolean, default: yes}}
        steps:
          - {name: x, type: checkpoint, continue_on_error: yes}
        outputs: {on: [on, yes, off, 012, 1_000, "${{ inputs.a }}", "${{ inputs.b }}"]}
        """,
    )
    done = program.run("run", "flow.yaml", "--json")

    assert 0 == done.code, done.err
    assert {"on": ["on", "yes", "off", 12, "1_000", "no", True]} == done.json["output"]
