"""`maverick run`, from outside: exit codes, what stands on which stream, the object of `--json`."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from kit.program import Program, Quick

KEYS = [
    "run",
    "resumed_from",
    "workflow",
    "status",
    "output",
    "error",
    "checkpoint",
    "resume",
    "steps",
    "rollback_errors",
    "project",
]
HELLO = """
    inputs:
      name: {type: string, default: World}
      limit: {type: integer, default: 3}
    steps:
      - {name: greet, type: shell, run: 'echo "hello $NAME"', env: {NAME: "${{ inputs.name }}"}}
    outputs: ${{ steps.greet.output.value }}
    """
FRAGILE = """
    - {name: first, type: shell, run: "echo one"}
    - {name: second, type: shell, run: "test -e fixed || { echo 'no such luck' >&2; exit 7; }"}
    """


def test_text_output_is_printed_as_it_is_and_progress_goes_to_stderr(program: Program) -> None:
    program.flow(HELLO)

    done = program.run("run", "flow.yaml", "-i", "name=Ada")

    assert (0, "hello Ada\n") == (done.code, done.out)
    run = re.search(r"flow-[0-9]{8}-[0-9]{6}-\w+", done.err)
    assert run is not None
    shapes = [
        re.sub(r"[0-9.]+ (ms|s)\b", "TIME", line)
        for line in done.err.replace(run[0], "RUN").splitlines()
    ]
    assert [
        "     run  RUN",
        "   start  greet",
        "    done  greet  TIME",
        "RUN done in TIME: 1 step ran",
    ] == shapes


def test_other_output_is_printed_as_json_and_null_not_at_all(quick: Quick) -> None:
    quick.program.flow(
        "steps: [{name: a, type: checkpoint}]\noutputs: {a: [1, null], ä: 'ö'}", "mapping"
    )
    quick.program.flow("steps: [{name: a, type: checkpoint}]\noutputs: null", "nothing")

    assert {"a": [1, None], "ä": "ö"} == quick("run", "mapping.yaml").json
    assert "ä" in quick("run", "mapping.yaml").out
    assert "" == quick("run", "nothing.yaml").out


def test_json_is_one_object_with_exactly_these_keys(program: Program) -> None:
    """Scripts read them by name; what the steps print must not come between."""
    program.flow(HELLO)

    done = program.run("run", "flow.yaml", "--json")

    answer = done.json
    assert KEYS == list(answer)
    assert answer["checkpoint"] == program.run("checkpoint", "log", "--json").json[0]["checkpoint"]
    expected = {
        "run": answer["run"],
        "resumed_from": None,
        "workflow": "flow",
        "status": "done",
        "output": "hello World",
        "error": None,
        "checkpoint": answer["checkpoint"],
        "resume": None,
        "steps": {"ran": 1, "recalled": 0, "skipped": 0, "failed": 0},
        "rollback_errors": [],
        "project": str(program.root),
    }
    assert expected == answer


def test_a_failed_step_exits_1_and_the_last_line_is_the_command_that_resumes(
    program: Program,
) -> None:
    program.flow(FRAGILE)

    done = program.run("run", "flow.yaml", "--json")

    assert 1 == done.code
    answer = done.json
    assert ("failed", {"ran": 1, "recalled": 0, "skipped": 0, "failed": 1}) == (
        answer["status"],
        answer["steps"],
    )
    assert "no such luck" in answer["error"]
    assert f"maverick run flow.yaml --resume={answer['run']}" == answer["resume"] == done.last_line


def test_the_command_that_is_printed_resumes(program: Program) -> None:
    """It is there to be copied into the same shell."""
    program.flow(FRAGILE)
    failed = program.run("run", "flow.yaml", "--json")
    program.file("fixed", "")

    done = program.shell(f"{failed.last_line} --json")

    assert 0 == done.code
    assert {"ran": 1, "recalled": 1, "skipped": 0, "failed": 0} == done.json["steps"]
    assert (failed.json["run"], failed.json["checkpoint"]) == (
        done.json["run"],
        done.json["resumed_from"],
    )


def test_resuming_a_run_that_is_done_reports_it_and_runs_nothing(quick: Quick) -> None:
    quick.program.flow(HELLO)
    first = quick("run", "flow.yaml", "--json").json

    again = quick("run", "flow.yaml", "--resume", "--json")

    assert (0, f"run {first['run']} is done; nothing was run") == (again.code, again.last_line)
    assert ("done", "hello World", 0) == (
        again.json["status"],
        again.json["output"],
        again.json["steps"]["ran"],
    )


def test_nothing_to_resume_exits_10_and_runs_nothing(quick: Quick) -> None:
    """A restart that nobody asked for would be worse than an error."""
    quick.program.flow("- {name: touch, type: shell, run: 'touch $MARK'}")

    done = quick("run", "flow.yaml", "--resume")

    assert 10 == done.code
    assert not quick.program.mark.exists()


def test_quiet_leaves_errors_and_the_result(quick: Quick) -> None:
    quick.program.flow(HELLO)
    quick.program.flow(FRAGILE, "fragile")

    assert ("hello World\n", "") == (
        quick("run", "flow.yaml", "--quiet").out,
        quick("run", "flow.yaml", "--quiet").err,
    )
    failed = quick("run", "fragile.yaml", "--quiet")
    assert failed.err.startswith("error: step second: ")
    assert failed.last_line.startswith("maverick run fragile.yaml --resume=fragile-")


# --- inputs ---


def test_inputs_come_from_a_file_and_the_command_line_goes_before(quick: Quick) -> None:
    quick.program.flow(HELLO)
    quick.program.file("in.yaml", "name: Yaml\nlimit: 5")
    quick.program.file("in.json", '{"name": "J\\ud83d\\ude00"}')

    assert "hello Yaml\n" == quick("run", "flow.yaml", "--inputs", "in.yaml").out
    assert "hello J😀\n" == quick("run", "flow.yaml", "--inputs", "in.json").out
    assert "hello Me\n" == quick("run", "flow.yaml", "--inputs", "in.yaml", "-i", "name=Me").out
    assert "hello stdin\n" == quick("run", "flow.yaml", "--inputs", "-", stdin="name: stdin").out
    assert "hello b=c\n" == quick("run", "flow.yaml", "-i", "name=a", "-i", "name=b=c").out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["-i", "name"], "key=value"),
        (["-i", "=x"], "key=value"),
        (["-i", "limit=many"], "limit"),
        (["-i", "nmae=x"], "did you mean `name`"),
        (["--inputs", "missing.yaml"], "cannot read the inputs from missing.yaml"),
        (["--inputs", "list.yaml"], "has to hold a mapping"),
        (["--inputs", "bad.yaml"], "bad.yaml:1:"),
        (["--inputs", "empty.yaml"], "empty.yaml"),
    ],
)
def test_wrong_inputs_exit_2_and_say_which(quick: Quick, args: list[str], said: str) -> None:
    quick.program.flow(HELLO)
    quick.program.file("list.yaml", "[1]")
    quick.program.file("bad.yaml", "a: [1")
    quick.program.file("empty.yaml", "")

    done = quick("run", "flow.yaml", *args)

    assert (2, "") == (done.code, done.out)
    assert done.err.startswith("error: ")
    assert said in done.err


# --- usage ---


@pytest.mark.parametrize(
    ("args", "said"),
    [
        ([], "which workflow?"),
        (["--resume"], "which workflow?"),
        (["flow.yaml", "--resume="], "--resume= needs"),
        (["flow.yaml", "--rerun", "--as-recorded", "--resume"], "exclude each other"),
        (["flow.yaml", "--rerun"], "--rerun says how to resume"),
        (["flow.yaml", "--as-recorded"], "--as-recorded says how to resume"),
        (["flow.yaml", "--change-inputs"], "--change-inputs says how to resume"),
        (["flow.yaml", "more"], "unexpected extra argument"),
        (["flow.yaml", "--nosuch"], "No such option: --nosuch"),
        (["flow.yaml", "--events", "no/such/folder"], "cannot write events"),
    ],
)
def test_wrong_usage_exits_2_and_answers_in_json_if_asked(
    quick: Quick, args: list[str], said: str
) -> None:
    """A script that asked for JSON gets JSON, whatever happens."""
    quick.program.flow(HELLO)

    done = quick("run", *args)
    asked = quick("run", "--json", *args)

    assert (2, "") == (done.code, done.out)
    assert said in done.err
    assert KEYS == list(asked.json)
    assert (None, None, True) == (
        asked.json["run"],
        asked.json["status"],
        said in asked.json["error"],
    )


def test_an_invalid_workflow_exits_3_with_every_problem_on_its_line(quick: Quick) -> None:
    quick.program.file(
        "bad.yaml", 'version: "1.0"\nname: bad\nsteps:\n  - {name: a, type: shel}\n  - {name: a}\n'
    )

    done = quick("run", "bad.yaml", "--json")

    assert 3 == done.code
    places = re.findall(r"^bad\.yaml:(\d+):\d+: ", done.err, re.MULTILINE)
    assert {"4", "5"} == set(places)
    assert KEYS == list(done.json)


def test_inputs_that_differ_exit_12_naming_both_values(quick: Quick) -> None:
    quick.program.flow(
        "inputs: {who: {type: string}}\nsteps:\n  - {name: no, type: shell, run: 'exit 1'}"
    )
    quick("run", "flow.yaml", "-i", "who=Ada")

    done = quick("run", "flow.yaml", "--resume", "-i", "who=Bob")

    assert 12 == done.code
    assert "Ada" in done.err
    assert "Bob" in done.err


def test_a_workflow_file_is_found_from_the_callers_folder(program: Program) -> None:
    """Steps run in the project's root, but the command line speaks of the folder it is typed in."""
    program.file(
        "deep/down/flow.yaml",
        'version: "1.0"\nname: f\nsteps:\n  - {name: where, type: shell, run: pwd}\n',
    )
    program.file("deep/down/in.yaml", "{}")
    deep = program.root / "deep" / "down"

    done = program.run(
        "run", "./flow.yaml", "--inputs", "in.yaml", "--events", "log", "--json", cwd=deep
    )

    assert f"{program.root}\n" == done.json["output"]["stdout"]
    assert (deep / "log").exists()
    assert not (deep / ".maverick").exists()


# --- streams ---


def test_what_python_actions_print_does_not_spoil_the_result(program: Program) -> None:
    """Also not what the programs print that they start, which inherit the file descriptor."""
    program.file(
        "acts.py",
        "import os\ndef talk():\n    print('printed')\n    os.system('echo spoken')\n    return "
        "'given'\n",
    )
    program.flow("- {name: talk, type: python, action: 'acts:talk'}")

    done = program.run("run", "flow.yaml")

    assert "given\n" == done.out
    assert {"printed", "spoken"} <= set(done.err.splitlines())


def test_values_that_json_does_not_know_are_written_as_documented(program: Program) -> None:
    source = (
        "def give():\n    return {'b': b'\\x00\\xff', 'n': float('nan'), 'i': float('-inf'), "
        "'big': 7 ** 10000}\n"
    )
    program.file("acts.py", source)
    program.flow("- {name: give, type: python, action: 'acts:give'}")

    output = program.run("run", "flow.yaml", "--json").json["output"]

    big = output.pop("big")
    assert {"b": {"$bytes": "AP8="}, "n": "NaN", "i": "-Infinity"} == output
    assert 7**10000 == int(big["$int"], 16)


def test_events_are_one_json_object_per_line(program: Program) -> None:
    program.flow(HELLO)

    program.run("run", "flow.yaml", "--events", "events.jsonl")

    events = [json.loads(line) for line in (program.root / "events.jsonl").read_text().splitlines()]
    assert ["run_started", "step_started", "step_output", "step_done", "run_finished"] == [
        it["event"] for it in events
    ]
    assert ["event", "step", "type", "time", "seconds", "message", "data"] == list(events[0])


def test_events_on_stdout_make_it_json_lines_to_the_end(program: Program) -> None:
    program.flow(HELLO)

    alone = program.run("run", "flow.yaml", "--events", "-")
    both = program.run("run", "flow.yaml", "--events", "-", "--json")

    assert "run_finished" == json.loads(alone.out.splitlines()[-1])["event"]
    assert KEYS == list(json.loads(both.out.splitlines()[-1]))


def test_a_reader_that_leaves_is_no_error(program: Program) -> None:
    """`| head` closes the pipe: no traceback, and the run's own exit code."""
    program.flow("steps: [{name: a, type: checkpoint}]\noutputs: ${{ range(10000) }}")

    done = program.shell("set -o pipefail; maverick run flow.yaml --quiet | head -1")
    listed = program.shell("set -o pipefail; maverick checkpoint show @latest:output | head -1")

    assert (0, "[\n", "") == (done.code, done.out, done.err)
    assert (0, "[\n", "") == (listed.code, listed.out, listed.err)


def test_stdout_that_takes_nothing_is_an_error(program: Program) -> None:
    """What cannot be reported must not look like a success."""
    program.flow(HELLO)

    done = program.shell("maverick run flow.yaml --quiet > /dev/full")

    assert (1, "error: cannot write to standard output: No space left on device\n") == (
        done.code,
        done.err,
    )


def test_closed_streams_do_no_harm(program: Program) -> None:
    program.flow(HELLO)

    assert 0 == program.shell("maverick run flow.yaml >&-").code
    assert "hello World\n" == program.shell("maverick run flow.yaml 2>&-").out


def test_a_bug_keeps_its_traceback_in_a_file(program: Program) -> None:
    """The message says whose fault it is and names the file, which is for who mends it."""
    program.file(
        "sitecustomize.py",
        "import maverick.runs.start\nmaverick.runs.start.start = lambda *a: 1 / 0\n",
    )
    program.flow(HELLO)

    done = program.run(
        "run",
        "flow.yaml",
        PYTHONPATH=f"{program.root}{os.pathsep}{program.environment['PYTHONPATH']}",
    )

    assert 1 == done.code
    assert "Traceback" not in done.err
    assert (
        "this is a fault of maverick, not of your workflow: ZeroDivisionError: division by zero"
        in done.err
    )
    file = Path(done.err.partition("the traceback is in ")[2].partition(";")[0])
    assert "Traceback" in file.read_text()
    file.unlink()


def test_the_version_is_printed(program: Program) -> None:
    done = program.run("--version")

    assert (0, "maverick 0.1.0\n") == (done.code, done.out)
    assert "maverick 0.1.0\n" == program.run("--version", "runs").out


def test_a_log_in_the_project_is_no_change_of_it(program: Program) -> None:
    """`maverick fly > log.txt` stands in many a script; so may the file of the events."""
    program.flow(
        """
        steps:
          - {name: ready, type: python, action: run_preflight_checks}
          - {name: write, type: shell, run: echo new > new.txt}
          - {name: stage, type: python, action: git_stage_all}
        outputs: ${{ steps.stage.output.files }}
        """
    )
    git = "git init -q && git add . && git -c user.name=a -c user.email=a@b commit -qm first && "

    done = program.shell(
        f"{git} maverick run flow.yaml --events events.jsonl > out.txt 2> log.txt; cat out.txt "
        "log.txt"
    )

    assert '[\n  "new.txt"\n]\n' == (program.root / "out.txt").read_text()
    assert "left out, since this program writes it: events.jsonl, log.txt, out.txt" in done.out


def test_a_step_may_remove_the_folder_that_the_command_was_given_in(program: Program) -> None:
    """`rm -rf build`, typed in `build`: the run is done, and its exit code says so."""
    program.file("build/made", "")
    program.flow("steps:\n  - {name: clean, type: shell, run: rm -r build}")

    done = program.run("run", "../flow.yaml", "--json", cwd=program.root / "build")

    assert (0, "done") == (done.code, done.json["status"])


@pytest.mark.parametrize(
    ("step", "places"),
    [
        ("type: shell, run: 'exit 3'", []),
        ("type: shell, run: 'echo out; exit 3'", ["steps.a.output.stdout"]),
        (
            "type: shell, run: 'echo out; echo err >&2; exit 3'",
            ["steps.a.output.stdout", "steps.a.output.stderr"],
        ),
        (
            "type: validate, fail: true, retry: 1, stages: ['true', 'echo out; exit 3']",
            ["steps.a[1].output.stages[1].output"],
        ),
        ("type: validate, fail: true, stages: ['exit 3']", []),
    ],
)
def test_a_failed_run_says_where_all_is_that_the_step_wrote(
    program: Program, step: str, places: list[str]
) -> None:
    """A command for each stream that has something, which prints it as text."""
    program.flow(f"- {{name: a, {step}}}")

    ended = program.run("run", "flow.yaml")

    hints = [
        line.partition(": ")[2]
        for line in ended.err.splitlines()
        if line.startswith("all that it wrote")
    ]
    assert places == [shlex.split(hint)[-1].partition(":")[2] for hint in hints]
    shown = [program.shell(hint).out for hint in hints]
    assert [{"stderr": "err\n"}.get(place.rpartition(".")[2], "out\n") for place in places] == shown


def test_what_a_failed_agent_was_asked_can_be_looked_at(program: Program) -> None:
    program.file(
        "maverick.yaml",
        "agents: {x: {provider: command, command: [sh, -c, 'cat >/dev/null; exit 4']}}\n",
    )
    program.flow("- {name: a, type: agent, agent: x, context: {task: dig deep}}")
    program.run("run", "flow.yaml")

    shown = program.run("checkpoint", "show", "@latest:steps.a.output.prompt")

    assert (0, True) == (shown.code, "dig deep" in shown.out)


FORKING = """
import multiprocessing, os, pathlib, time

def child():
    if (pid := os.fork()) == 0:
        os.closerange(0, 256)  # The test reads to the end of the streams, wherever they are kept.
        time.sleep(600)
    pathlib.Path("pid").write_text(str(pid))
    return "forked"

def daemon():
    multiprocessing.get_context("fork").Process(target=asleep, daemon=True).start()
    return "forked"

def asleep():
    pathlib.Path("asleep").touch()
    time.sleep(600)

def terminated():
    child = multiprocessing.get_context("fork").Process(target=asleep)
    child.start()
    while not pathlib.Path("asleep").exists():
        time.sleep(0.01)
    child.terminate()
    child.join()
    return "forked"

def both():
    os.fork()
    return "forked"
"""


@pytest.mark.parametrize(
    ("action", "timeout"),
    [
        ("child", ""),
        ("child", ", timeout: 300"),
        ("both", ", timeout: 300"),
        ("daemon", ""),
        ("daemon", ", timeout: 300"),
        ("terminated", ""),
        ("terminated", ", timeout: 300"),
    ],
)
def test_a_process_that_an_action_forks_does_not_hold_its_step(
    program: Program, action: str, timeout: str
) -> None:
    """It has all that the action's process has open, its signals, too, and may even come back from
    the action.
    """
    program.file("forking.py", FORKING)
    program.flow(f"- {{name: a, type: python, action: 'forking:{action}'{timeout}}}")

    ended = program.begin("run", "flow.yaml", "--json").end()

    assert ("done", 0) == (ended.json["status"], ended.code), ended.err
    assert "forked" == program.run("checkpoint", "show", "@latest:steps.a.output").out.strip()
    if (program.root / "pid").exists():
        with suppress(ProcessLookupError):  # With a timeout it was stopped with its step's process.
            os.kill(int((program.root / "pid").read_text()), signal.SIGKILL)


@pytest.mark.parametrize(
    "remove", ["rm -rf .maverick", "git init -q . && git clean -qfdx -e '*.yaml'"]
)
def test_a_step_that_removes_the_store_is_told_as_that(program: Program, remove: str) -> None:
    """It is no fault of maverick, and there is nothing to resume."""
    program.flow(
        f"- {{name: a, type: shell, run: echo one}}\n- {{name: clean, type: shell, run: {remove}}}"
    )

    ended = program.run("run", "flow.yaml", "--json")

    assert (1, None) == (ended.code, ended.json["resume"])
    store = program.root / ".maverick" / "checkpoints"
    assert ended.json["error"].startswith(
        f"step clean: the store {store} was removed while the run went on"
    )
    assert "fault" not in ended.err


def test_inputs_without_an_end_are_refused(program: Program) -> None:
    program.flow("- {name: a, type: shell, run: echo one}")

    ended = program.run("run", "flow.yaml", "--inputs", "/dev/zero")

    assert (2, True) == (
        ended.code,
        "cannot read the inputs from /dev/zero: more than 64 MiB" in ended.err,
    )
