"""`maverick run`, from outside: exit codes, what stands on which stream, the object of `--json`."""

from __future__ import annotations

import os
import re
import shlex
import signal
from contextlib import suppress
from pathlib import Path

import pytest

from kit.program import ANSWER_KEYS, Program, Quick
from maverick.visible import duration

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


def test_text_output_is_printed_as_it_is_and_progress_goes_to_stderr(quick: Quick) -> None:
    quick.program.flow(HELLO)

    done = quick("run", "flow.yaml", "-i", "name=Ada")

    assert (0, "hello Ada\n") == (done.code, done.out)
    run = re.search(r"flow-[0-9]{8}-[0-9]{6}-\w+", done.err)
    assert run is not None
    shapes = [
        re.sub(r"[0-9.]+ (ms|s)\b", "TIME", re.sub(r"^[0-9:]{8}  | {17}(?=│)", "", line))
        for line in done.err.replace(run[0], "RUN").splitlines()
    ]
    assert [
        "     run  RUN",
        "   start  greet",
        "│ greet  hello Ada",
        "    done  greet  TIME",
        "RUN done in TIME: 1 step ran",
    ] == shapes


def test_the_time_of_the_closing_line_is_that_of_runs_and_show(quick: Quick) -> None:
    """Of a resumption that of this execution alone."""
    quick.program.flow("- {name: a, type: shell, run: 'sleep 0.05; exit 1'}")

    closing = quick("run", "flow.yaml").err
    row = quick("runs", "--json").json[0]
    again = quick("resume").err
    page, both = quick("show").out, quick("runs", "--json").json[0]

    assert f"failed after {duration(row['seconds'])}:" in closing
    assert f"failed after {duration(both['seconds'] - row['seconds'])}:" in again
    assert f"after {duration(both['seconds'])}\n" in page


def test_other_output_is_printed_as_json_and_null_not_at_all(quick: Quick) -> None:
    quick.program.flow(
        "steps: [{name: a, type: checkpoint}]\noutputs: {a: [1, null], ä: 'ö'}", "mapping"
    )
    quick.program.flow("steps: [{name: a, type: checkpoint}]\noutputs: null", "nothing")

    assert {"a": [1, None], "ä": "ö"} == quick("run", "mapping.yaml").json
    assert "ä" in quick("run", "mapping.yaml").out
    assert "" == quick("run", "nothing.yaml").out


def test_json_is_one_object_with_exactly_these_keys(quick: Quick) -> None:
    """Scripts read them by name; what the steps print must not come between."""
    quick.program.flow(HELLO)

    done = quick("run", "flow.yaml", "--json")

    answer = done.json
    assert ANSWER_KEYS == list(answer)
    assert answer["checkpoint"] == quick("checkpoint", "log", "--json").json[0]["checkpoint"]
    expected = {
        "run": answer["run"],
        "resumed_from": None,
        "workflow": "flow",
        "status": "done",
        "output": "hello World",
        "error": None,
        "failed_at": None,
        "checkpoint": answer["checkpoint"],
        "resume": None,
        "steps": {"ran": 1, "recalled": 0, "skipped": 0, "failed": 0, "reused": 0},
        "rollback_errors": [],
        "notices": [],
        "waiting": None,
        "seconds": answer["seconds"],
        "usd": None,
        "project": str(quick.program.root),
    }
    assert expected == answer
    assert 0 < answer["seconds"] < 60


def test_json_says_where_a_run_failed_and_what_it_took_in_all(quick: Quick) -> None:
    """Of a run that is done nothing runs, and yet it is told what it took."""
    quick.program.flow(
        "steps: [{name: a, type: shell, run: 'true'}, {name: b, type: shell, run: test -e ready}]"
    )
    failed = quick("run", "flow.yaml", "--json").json
    quick.program.file("ready", "")
    done = quick("run", "flow.yaml", "--resume", "--json").json
    again = quick("run", "flow.yaml", "--resume", "--json").json

    assert ["b", None, None] == [it["failed_at"] for it in (failed, done, again)]
    assert 0 < failed["seconds"] < done["seconds"] == again["seconds"]


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
    assert ANSWER_KEYS == list(asked.json)
    assert (None, None, True) == (
        asked.json["run"],
        asked.json["status"],
        said in asked.json["error"],
    )


def test_a_workflow_file_is_found_from_the_callers_folder(
    quick: Quick, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Steps run in the project's root, but the command line speaks of the folder it is typed in."""
    text = 'version: "1.0"\nname: f\nsteps:\n  - {name: where, type: shell, run: pwd}\n'
    deep = quick.program.file("deep/down/flow.yaml", text).parent
    quick.program.file("deep/down/in.yaml", "{}")
    monkeypatch.chdir(deep)

    done = quick("run", "./flow.yaml", "--inputs", "in.yaml", "--events", "log", "--json")

    assert f"{quick.program.root}\n" == done.json["output"]["stdout"]
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
    assert {"│ talk  printed", "spoken"} <= {line.strip() for line in done.err.splitlines()}


def test_values_that_json_does_not_know_are_written_as_documented(quick: Quick) -> None:
    source = (
        "def give():\n    return {'b': b'\\x00\\xff', 'n': float('nan'), 'i': float('-inf'), "
        "'big': 7 ** 10000}\n"
    )
    quick.program.file("acts.py", source)
    quick.program.flow("- {name: give, type: python, action: 'acts:give'}")

    output = quick("run", "flow.yaml", "--json").json["output"]

    big = output.pop("big")
    assert {"b": {"$bytes": "AP8="}, "n": "NaN", "i": "-Infinity"} == output
    assert 7**10000 == int(big["$int"], 16)


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
    for end in ("--progress json 2>&-", "2>&- < /dev/ptmx"):  # That is a terminal.
        done = program.shell(f"maverick run flow.yaml {end}")
        assert (0, "hello World\n") == (done.code, done.out)
    for command in (
        "run flow.yaml --inputs -",
        "checkpoint edit @latest inputs --file -",
        "checkpoint import -",
    ):
        done = program.shell(f"maverick {command} <&-")
        assert (2, "error: standard input is closed\n") == (done.code, done.err)


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
    ("step", "wrote"),
    [
        ("type: shell, run: 'exit 3'", None),
        ("type: shell, run: 'echo out; exit 3'", "out\n"),
        ("type: shell, run: 'echo err >&2; exit 3'", "err\n"),
        ("type: shell, run: 'echo out; echo err >&2; exit 3'", "out\nerr\n"),
        (
            "type: validate, fail: true, retry: 1, stages: ['true', 'echo out; exit 3']",
            "a[0] | out\na[1] | out\n",
        ),
        ("type: validate, fail: true, stages: ['exit 3']", None),
        ("type: loop, for_each: [1], steps: [{name: b, run: 'echo in; exit 3'}]", "in\n"),
    ],
)
def test_a_failed_run_says_where_all_is_that_the_step_wrote(
    quick: Quick, step: str, wrote: str | None
) -> None:
    """A command that prints it, unless there is nothing."""
    quick.program.flow(f"- {{name: a, {step}}}")

    ended = quick("run", "flow.yaml")

    hints = [
        line.partition(": ")[2]
        for line in ended.err.splitlines()
        if line.startswith("everything it wrote: ")
    ]
    shown = [quick(*shlex.split(hint)[1:]).out for hint in hints]
    assert ([] if wrote is None else [wrote]) == shown


def test_what_a_failed_agent_was_asked_can_be_looked_at(quick: Quick) -> None:
    quick.program.file(
        "maverick.yaml",
        "agents: {x: {provider: command, command: [sh, -c, 'cat >/dev/null; exit 4']}}\n",
    )
    quick.program.flow("- {name: a, type: agent, agent: x, context: {task: dig deep}}")
    quick("run", "flow.yaml")

    shown = quick("checkpoint", "show", "@latest:steps.a.output.prompt")

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

    assert ("done", "forked", 0) == (
        ended.json["status"],
        ended.json["output"],
        ended.code,
    ), ended.err
    if (program.root / "pid").exists():
        with suppress(ProcessLookupError):  # With a timeout it was stopped with its step's process.
            os.kill(int((program.root / "pid").read_text()), signal.SIGKILL)


@pytest.mark.parametrize(
    "remove", ["rm -rf .maverick", "git init -q . && git clean -qfdx -e '*.yaml'"]
)
def test_a_step_that_removes_the_store_is_told_as_that(quick: Quick, remove: str) -> None:
    """It is no fault of maverick, and there is nothing to resume."""
    quick.program.flow(
        f"- {{name: a, type: shell, run: echo one}}\n- {{name: clean, type: shell, run: {remove}}}"
    )

    ended = quick("run", "flow.yaml", "--json")

    assert (1, None) == (ended.code, ended.json["resume"])
    store = quick.program.root / ".maverick" / "checkpoints"
    assert ended.json["error"].startswith(
        f"step clean: the store {store} was removed while the run went on"
    )
    assert "fault" not in ended.err


def test_inputs_without_an_end_are_refused(quick: Quick) -> None:
    quick.program.flow("- {name: a, type: shell, run: echo one}")

    ended = quick("run", "flow.yaml", "--inputs", "/dev/zero")

    assert (2, True) == (
        ended.code,
        "cannot read the inputs from /dev/zero: more than 64 MiB" in ended.err,
    )
