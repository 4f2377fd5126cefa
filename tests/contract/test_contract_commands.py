"""Section 5 of the language: commands, `--resume`, JSON keys and exit codes, seen from outside."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from pathlib import Path

import pytest

from kit.program import ANSWER_KEYS, Program, Quick
from maverick.checkpoints.disk import sealed

RUN = [
    *["run", "workflow", "status", "started", "updated", "step", "checkpoints", "bytes", "error"],
    *["failed_at", "seconds", "usd", "waiting", "notices", "project"],
]
RELEASE = """
inputs:
  who: {type: string, default: Ada}
  level: {type: integer, default: 1}
steps:
  - {name: build, type: shell, run: "echo build >> log; echo ${{ quote(inputs.who) }}"}
  - {name: built, type: checkpoint}
  - {name: publish, type: shell, run: "echo publish >> log; test -e ready; echo done"}
outputs: "${{ steps.build.output.value }} ${{ inputs.level }}"
"""


def _log(program: Program) -> list[str]:
    path = program.root / "log"
    return path.read_text().split() if path.exists() else []


def test_the_life_of_a_run(program: Program) -> None:
    """Nothing to resume; failed; resumed; done; told again; all with the JSON that scripts rely
    on.
    """
    program.flow(RELEASE, "release")

    nothing = program.run("run", "release.yaml", "--resume", "--json")
    assert (10, [], ANSWER_KEYS) == (nothing.code, _log(program), list(nothing.json))
    assert (None, None) == (nothing.json["run"], nothing.json["status"])
    assert [] == program.run("runs", "--json").json

    failed = program.run("run", "release.yaml", "--json")
    assert (1, ANSWER_KEYS, "failed") == (failed.code, list(failed.json), failed.json["status"])
    assert {"ran": 2, "recalled": 0, "skipped": 0, "failed": 1, "reused": 0} == failed.json["steps"]
    run = failed.json["run"]
    assert "release" == failed.json["workflow"]
    assert re.fullmatch(r"release-\d{8}-\d{6}-\w{4}", run)
    assert failed.json["resume"] == failed.last_line == f"maverick run release.yaml --resume={run}"
    assert (None, None, []) == (
        failed.json["output"],
        failed.json["resumed_from"],
        failed.json["rollback_errors"],
    )
    assert failed.json["error"].startswith("step publish: exit code 1")

    program.file("ready", "")
    resumed = program.shell(f"{failed.last_line} --json")
    assert (0, run, "Ada 1") == (resumed.code, resumed.json["run"], resumed.json["output"])
    assert failed.json["checkpoint"] == resumed.json["resumed_from"]
    assert {"ran": 1, "recalled": 2, "skipped": 0, "failed": 0, "reused": 0} == resumed.json[
        "steps"
    ]
    assert ["build", "publish", "publish"] == _log(program)

    again = program.run("run", "release.yaml", "--resume", "--json")
    assert (0, "done", "Ada 1") == (again.code, again.json["status"], again.json["output"])
    assert (
        dict.fromkeys(("ran", "recalled", "skipped", "failed", "reused"), 0) == again.json["steps"]
    )
    assert (again.json["checkpoint"], None) == (again.json["resumed_from"], again.json["resume"])
    assert f"run {run} is done; nothing was run" == again.last_line

    rows = program.run("runs", "--json").json
    assert [RUN] == [list(row) for row in rows]
    assert (run, "release", "done", "publish") == tuple(
        rows[0][key] for key in ("run", "workflow", "status", "step")
    )
    listed = program.run("checkpoint", "list", "--json").json
    assert [*RUN, "labels"] == list(listed[0])
    assert ["built"] == listed[0]["labels"]
    log = program.run("checkpoint", "log", run, "--json").json
    assert ["checkpoint", "kind", "label", "step", "created", "parent"] == list(log[0])
    assert ["final", "auto", "failure", "label", "auto", "auto"] == [row["kind"] for row in log]
    assert (None, None) == (log[-1]["step"], log[-1]["parent"])
    assert [row["parent"] for row in log[:-1]] == [row["checkpoint"] for row in log[1:]]
    assert (
        "Ada" == program.run("checkpoint", "show", f"{run}:steps.build.output.value", "--json").json
    )
    assert {"name", "kind", "size"} == set(
        program.run("checkpoint", "show", f"{run}:steps", "--json").json[0]
    )
    changes = program.run("checkpoint", "diff", f"{run}@built", run, "--json").json
    assert ["path", "change", "old", "new"] == list(changes[0])
    assert {"added"} == {row["change"] for row in changes}
    assert ["removed_objects", "removed_bytes", "kept_objects", "runs"] == list(
        program.run("checkpoint", "gc", "--dry-run", "--json").json
    )
    assert [] == program.run("checkpoint", "fsck", "--json").json

    forked = program.run("run", f"--resume={run}@built", "--json")
    assert (0, 1, 2) == (forked.code, forked.json["steps"]["ran"], forked.json["steps"]["recalled"])
    assert forked.json["run"] != run
    assert "forked" in forked.err
    assert 2 == len(program.run("runs", "--json").json)


def test_inputs_choose_among_runs(quick: Quick) -> None:
    """None given: the recorded ones; the same: fine; others: 12, with both values, unless
    `--change-inputs`.
    """
    quick.program.flow(RELEASE, "release")
    quick("run", "release.yaml", "-i", "who=Ada")
    bob = quick("run", "release.yaml", "-i", "who=Bob", "--json").json["run"]
    quick("run", "release.yaml", "-i", "who=Eve", "-i", "level=2")

    def resumed(*args: str) -> str:
        return str(quick("run", "release.yaml", "--resume", *args, "--json").json["run"])

    assert bob == resumed("-i", "who=Bob")
    assert resumed("-i", "level=2") == resumed() not in {bob, ""}
    other = quick("run", "release.yaml", "--resume", "-i", "who=Zoe", "-i", "level=9")
    assert 12 == other.code
    for said in ('who was "Eve", now "Zoe"', "level was 2, now 9", "--change-inputs"):
        assert said in other.err
    quick.program.file("ready", "")
    lines = len(_log(quick.program))
    changed = quick("run", "release.yaml", "--resume", "-i", "who=Zoe", "--change-inputs")
    assert (0, "Zoe 2\n") == (changed.code, changed.out)
    assert ["build", "publish"] == _log(quick.program)[lines:]


def test_inputs_choose_among_finished_runs_where_no_other_is_left(quick: Quick) -> None:
    """The same: told again; others: 12, unless `--change-inputs`, which goes on in a run of its
    own.
    """
    quick.program.flow(
        "inputs: {n: {type: integer, default: 1}}\nsteps: [{name: a, type: checkpoint}]\noutputs: "
        "${{ inputs.n }}"
    )
    done = quick("run", "flow.yaml", "--json").json
    same = quick("run", "flow.yaml", "--resume", "-i", "n=1", "--json").json
    other = quick("run", "flow.yaml", "--resume", "-i", "n=2")
    changed = quick("run", "flow.yaml", "--resume", "-i", "n=2", "--change-inputs", "--json")

    assert (done["run"], 1, 0) == (same["run"], same["output"], same["steps"]["ran"])
    assert 12 == other.code
    assert "n was 1, now 2" in other.err
    assert (0, 2, True) == (
        changed.code,
        changed.json["output"],
        changed.json["run"] != done["run"],
    )


def test_what_finished_runs_again_only_if_asked(program: Program) -> None:
    """An edit of a finished step: 12, naming step and part; `--rerun` and `--as-recorded` say what
    to do.
    """
    program.flow(RELEASE, "release")
    program.run("run", "release.yaml")
    program.flow(RELEASE.replace("echo build", "echo rebuild"), "release")
    program.file("ready", "")
    refused = program.run("run", "release.yaml", "--resume")
    told = program.run("run", "release.yaml", "--resume", "--json")
    kept = program.run("run", "release.yaml", "--resume", "--as-recorded")

    assert 12 == refused.code
    assert "step build has finished, and its field `run` changed since" in refused.err
    assert (12, ANSWER_KEYS, "release", None) == (
        told.code,
        list(told.json),
        told.json["workflow"],
        told.json["status"],
    )
    assert told.json["error"] in told.err
    assert (0, ["build", "publish", "publish"]) == (kept.code, _log(program))

    program.flow(RELEASE, "release")
    (program.root / "ready").unlink()
    program.run("run", "release.yaml")
    program.file("ready", "")
    program.flow(RELEASE.replace("echo build", "echo rebuild"), "release")
    rerun = program.run("run", "release.yaml", "--resume", "--rerun", "--json")
    assert (3, 0) == (rerun.json["steps"]["ran"], rerun.json["steps"]["recalled"])


def test_a_word_after_resume_is_its_value_only_if_the_workflow_stood_before(
    quick: Quick,
) -> None:
    """`--resume release.yaml` and `release.yaml --resume RUN` both mean what they look like."""
    quick.program.flow(RELEASE, "release")
    run = quick("run", "release.yaml", "--json").json["run"]

    assert run == quick("run", "--resume", "release.yaml", "--json").json["run"]
    assert run == quick("run", "release.yaml", "--resume", run, "--json").json["run"]
    assert run == quick("run", f"--resume={run}", "--json").json["run"]
    assert run == quick("run", "--json", "--resume=@latest").json["run"]
    assert 2 == quick("run", "--resume").code
    assert 10 == quick("run", "release.yaml", "--resume", "no-such-run").code


def test_a_definition_that_is_gone_is_taken_from_the_run(program: Program) -> None:
    """And it says so."""
    program.flow(RELEASE, "release")
    run = program.run("run", "release.yaml", "--json").json["run"]
    (program.root / "release.yaml").unlink()
    program.file("ready", "")
    resumed = program.run("run", f"--resume={run}")

    assert (0, "Ada 1\n") == (resumed.code, resumed.out)
    assert "release.yaml is gone" in resumed.err
    assert 3 == program.run("run", "release.yaml").code


FITTING = [
    ("integer", "5", 5),
    ("integer", "-3", -3),
    ("float", "2.5", 2.5),
    ("number", "3", 3),
    ("boolean", "yes", True),
    ("boolean", "off", False),
    ("boolean", "TRUE", True),
    ("boolean", "n", False),
    ("boolean", "1", True),
    ("array", '["a", 1]', ["a", 1]),
    ("object", '{"a": [1]}', {"a": [1]}),
    ("string", "012", "012"),
    ("string", "", ""),
]
NOT_FITTING = [
    ("integer", "many"),
    ("integer", "1.5"),
    ("boolean", "maybe"),
    ("array", "a,b"),
    ("object", "[1]"),
]


def _declare(program: Program, types: list[str]) -> None:
    inputs = ", ".join(
        f"i{number}: {{type: {declared}, required: false}}" for number, declared in enumerate(types)
    )
    program.flow(
        f"inputs: {{{inputs}}}\nsteps: [{{name: a, type: checkpoint}}]\noutputs: ${{{{ inputs }}}}"
    )


def test_a_value_of_the_command_line_becomes_the_declared_type(program: Program) -> None:
    """As a person would write it there."""
    _declare(program, [declared for declared, _, _ in FITTING])
    given = [
        word for number, (_, text, _) in enumerate(FITTING) for word in ("-i", f"i{number}={text}")
    ]
    done = program.run("run", "flow.yaml", "--json", *given)

    assert 0 == done.code, done.err
    expected = [value for _, _, value in FITTING]
    assert expected == list(done.json["output"].values())
    assert [type(value) for value in expected] == [
        type(value) for value in done.json["output"].values()
    ]


@pytest.mark.parametrize(("declared", "text"), NOT_FITTING)
def test_a_value_that_does_not_fit_is_refused(quick: Quick, declared: str, text: str) -> None:
    """The error names input, type and value."""
    _declare(quick.program, [declared])
    done = quick("run", "flow.yaml", "-i", f"i0={text}")

    assert 2 == done.code
    for said in ("i0", declared, text):
        assert said in done.err
    assert not (quick.program.root / ".maverick").exists()


def test_inputs_are_checked_before_anything_runs(quick: Quick) -> None:
    """Missing, unknown (with a suggestion), not among the choices: exit 2."""
    quick.program.flow(
        """
        inputs:
          branch: {type: string, required: true}
          mode: {type: string, choices: [fast, full], default: fast}
          maybe: {type: integer, required: false}
        steps: [{name: a, type: checkpoint}]
        outputs: ["${{ inputs.mode }}", "${{ inputs.maybe }}"]
        """
    )
    for args, said in (
        ([], "branch"),
        (["-i", "branch=x", "-i", "brnach=x"], "did you mean `branch`"),
        (["-i", "branch=x", "-i", "mode=slow"], "fast"),
        (["-i", "branch"], "KEY=VALUE"),
    ):
        done = quick("run", "flow.yaml", *args)
        assert 2 == done.code
        assert said.lower() in done.err.lower(), done.err
    assert not (quick.program.root / ".maverick").exists()
    quick.program.file("in.json", '{"branch": "a", "maybe": null}')
    assert ["fast", None] == quick("run", "flow.yaml", "--inputs", "in.json", "--json").json[
        "output"
    ]
    assert ["full", 3] == quick(
        "run", "flow.yaml", "--inputs", "in.json", "-i", "mode=full", "-i", "maybe=3", "--json"
    ).json["output"]


def test_results_go_to_stdout_and_everything_else_to_stderr(program: Program) -> None:
    """So that a pipe gets the result alone; `--quiet` leaves errors; `--events -` makes it lines of
    JSON.
    """
    program.flow(
        "steps: [{name: a, type: shell, run: echo result}]\noutputs: ${{ steps.a.output.value }}"
    )
    plain = program.run("run", "flow.yaml")
    quiet = program.run("run", "flow.yaml", "--quiet")
    alone = program.run("run", "flow.yaml", "--events", "-").out.splitlines()
    lines = program.run("run", "flow.yaml", "--events", "-", "--json").out.splitlines()

    assert ("result\n", "result\n", "") == (plain.out, quiet.out, quiet.err)
    assert "\x1b" not in plain.err
    events = [json.loads(line) for line in lines]
    assert ["run_started", "step_started", "step_output", "step_done", "run_finished"] == [
        it["event"] for it in events[:-1]
    ]
    assert ANSWER_KEYS == list(events[-1])
    assert [event["event"] for event in events[:-1]] == [json.loads(it)["event"] for it in alone]


def test_a_reader_that_leaves_is_no_error(program: Program) -> None:
    """`| head -1` has seen enough: no traceback, and the command's own exit code."""
    program.flow("steps: [{name: a, type: checkpoint}]\noutputs: ${{ join(range(100000), '\\n') }}")
    program.flow("steps: [{name: a, type: checkpoint}]\noutputs: ${{ range(10000) }}", "list")

    done = program.shell(
        """
        set -o pipefail
        maverick run flow.yaml --quiet | head -1; echo $?
        maverick run list.yaml --quiet | head -1; echo $?
        maverick checkpoint show @latest:output | head -1; echo $?
        maverick runs | head -0; echo $?
        """
    )

    assert ("0\n0\n[\n0\n[\n0\n0\n", "") == (done.out, done.err)


def test_paths_may_hold_anything(tmp_path: Path) -> None:
    """Spaces, quotes, letters of other alphabets: of the project, of the workflow, of what the run
    prints to resume.
    """
    program = Program(tmp_path / "my 'pröject' 計画")
    program.file(
        "work flows/größe (1).yaml",
        "version: '1.0'\nname: size\nsteps:\n  - {name: a, type: shell, run: 'pwd; test -e "
        "ready'}\n",
    )
    failed = program.run("run", "work flows/größe (1).yaml")
    program.file("ready", "")
    resumed = program.shell(failed.last_line)

    assert (1, 0) == (failed.code, resumed.code), resumed.err
    assert f"{program.root}\n" == json.loads(resumed.out)["stdout"]


def test_a_project_is_found_from_any_of_its_folders(program: Program) -> None:
    """Steps run at its root; workflow files are named from where one is."""
    program.file(
        "deep/er/flow.yaml",
        program.flow("- {name: a, type: shell, run: pwd, parse: lines}").read_text(),
    )
    done = program.run("run", "flow.yaml", "--json", cwd=program.root / "deep" / "er")

    assert [str(program.root)] == done.json["output"]["value"]
    assert ["flow"] == [
        row["workflow"] for row in program.run("runs", "--json", cwd=program.root / "deep").json
    ]
    assert (program.root / ".maverick").exists()


def test_a_run_that_is_executed_elsewhere_is_refused(program: Program) -> None:
    """Exit 11, naming pid and host; killed, it is resumable at once; interrupted, exit 130."""
    program.flow("- {name: a, type: shell, run: 'touch $MARK; test -e ready || exec sleep 6000'}")
    running = program.begin("run", "flow.yaml").wait_for(program.mark)
    refused = program.run("run", "flow.yaml", "--resume", "--json")
    listed = program.run("runs", "--json").json[0]["status"]
    running.signal(signal.SIGKILL).end()
    killed = program.run("runs", "--json").json[0]["status"]
    program.mark.unlink()
    again = (
        program.begin("run", "flow.yaml", "--resume", "--json")
        .wait_for(program.mark)
        .signal(signal.SIGINT)
        .end()
    )
    paused = program.run("runs", "--json").json[0]["status"]
    program.file("ready", "")

    assert (11, None) == (refused.code, refused.json["run"])
    assert f"process {running.pid} on " in refused.err
    assert os.uname().nodename in refused.err
    assert ("running", "killed", "paused") == (listed, killed, paused)
    assert (130, "paused") == (again.code, again.json["status"])
    assert again.json["resume"] == again.last_line
    assert 0 == program.shell(again.last_line).code


# --- the store, when it is not as it should be ----------------------------------------------------


def _some_run(quick: Quick) -> Path:
    quick.program.flow(
        "- {name: a, type: shell, run: echo a}\n- {name: b, type: shell, run: test -e ready}"
    )
    assert 1 == quick("run", "flow.yaml").code
    return quick.program.root / ".maverick" / "checkpoints"


@pytest.mark.parametrize(
    "args",
    [("runs",), ("run", "flow.yaml", "--resume"), ("run", "flow.yaml"), ("checkpoint", "log")],
)
def test_a_store_of_a_newer_version_is_left_alone(quick: Quick, args: tuple[str, ...]) -> None:
    """Exit 20, and the message names the versions."""
    store = _some_run(quick)
    before = {path: path.read_bytes() for path in store.rglob("*") if path.is_file()}
    del before[store / "format.json"]
    content = sealed.unseal((store / "format.json").read_bytes())
    assert content is not None
    (store / "format.json").write_bytes(sealed.seal({**content, "version": 99}))
    done = quick(*args)

    assert 20 == done.code, done.err
    assert "99" in done.err or "newer" in done.err
    assert before == {path: path.read_bytes() for path in before}


@pytest.mark.parametrize("gone", ["format.json", "refs"])
def test_a_store_that_lost_a_part_is_damaged_and_not_new(quick: Quick, gone: str) -> None:
    """Exit 20: never a silent restart."""
    store = _some_run(quick)
    for path in [store / gone] if gone == "format.json" else (store / gone).iterdir():
        path.unlink()
    done = quick("run", "flow.yaml", "--resume")

    assert 20 == done.code, done.err
    assert "fsck" in done.err


def _small_disk(folder: Path, size: str) -> None:
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip("no file system can be mounted here")


def test_a_full_disk_fails_the_run_and_loses_nothing(program: Program) -> None:
    """A checkpoint that could not be written is never reported as saved; with room the run goes on
    where it stopped.
    """
    store = program.root / ".maverick"
    _small_disk(store, "3m")
    program.file("big.py", "import os; print(os.urandom(2500000).hex())")
    try:
        program.flow(
            """
            - {name: a, type: shell, run: "echo a >> log; echo a"}
            - {name: big, type: shell, run: "echo big >> log; test -e ready || python3 big.py"}
            - {name: c, type: shell, run: "echo c >> log"}
            """
        )
        full = program.run("run", "flow.yaml", "--json")
        program.file("ready", "")
        resumed = program.run("run", "flow.yaml", "--resume", "--json")
    finally:
        subprocess.run(["umount", str(store)], check=True)

    assert 1 == full.code, full.err
    assert "disk" in full.err.lower() or "space" in full.err.lower()
    assert (0, 1) == (resumed.code, resumed.json["steps"]["recalled"]), resumed.err
    assert ["a", "big", "big", "c"] == _log(program)


def test_a_store_that_cannot_be_written_is_said_before_anything_runs(quick: Quick) -> None:
    """Exit 1, and no step runs; it can be looked at all the same."""
    _some_run(quick)
    store = quick.program.root / ".maverick"
    mounted = subprocess.run(
        ["mount", "--bind", str(store), str(store)], capture_output=True, check=False
    )
    if (
        mounted.returncode
        or subprocess.run(
            ["mount", "-o", "remount,ro,bind", str(store)], capture_output=True, check=False
        ).returncode
    ):
        pytest.skip("nothing can be mounted here")
    try:
        before = _log(quick.program)
        done = quick("run", "flow.yaml")
        resumed = quick("run", "flow.yaml", "--resume")
        looked = [
            quick("runs"),
            quick("checkpoint", "log"),
            quick("checkpoint", "show", "@latest:steps.a.output.value"),
        ]
    finally:
        subprocess.run(["umount", str(store)], check=True)

    assert (1, 1) == (done.code, resumed.code), done.err + resumed.err
    assert "read-only" in done.err.lower()
    assert before == _log(quick.program)
    assert [0, 0, 0] == [it.code for it in looked], looked
    assert "a\n" == looked[2].out


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("agents: [x]\n", "maverick.yaml:1:9:"),
        ("agnets: {}\n", "did you mean `agents`"),
        ("agents: {a: {provider: cluade}}\n", "maverick.yaml:1:"),
        ("validation: {stages: {a: [1]}}\n", "maverick.yaml:1:"),
        ("checkpoints: {keep_last: few}\n", "maverick.yaml:1:"),
        ("a: [\n", "maverick.yaml:2:"),
    ],
)
def test_what_is_wrong_with_the_configuration_is_said_with_its_place(
    quick: Quick, text: str, said: str
) -> None:
    """Exit 3, before anything runs."""
    quick.program.flow("- {name: a, type: checkpoint}")
    quick.program.file("maverick.yaml", text)
    done = quick("run", "flow.yaml")

    assert 3 == done.code, done.err
    assert said in done.err
    assert not (quick.program.root / ".maverick").exists()


def test_wrong_usage_exits_2_and_help_0(program: Program, quick: Quick) -> None:
    """Whatever the command."""
    for args in (
        (),
        ("nosuch",),
        ("run",),
        ("run", "a", "b"),
        ("run", "--nosuch"),
        ("checkpoint", "show", "a", "b"),
        ("workflow",),
    ):
        assert 2 == quick(*args).code, args
    version = program.run("--version")
    assert (0, True) == (
        version.code,
        bool(re.fullmatch(r"maverick \d+\.\d+\.\d+\S*\n", version.out)),
    )
    assert version.out == quick("--version", "runs").out
    assert 0 == quick("run", "--help").code
    assert 10 == quick("checkpoint", "show", "@latest").code
    assert 3 == quick("run", "nosuch.yaml").code


CHECKPOINT = [
    "list",
    "log",
    "show",
    "cat",
    "diff",
    "create",
    "tag",
    "drop",
    "fork",
    "edit",
    "restore",
    "undo",
]
CHECKPOINT += ["export", "import", "gc", "fsck"]


@pytest.mark.parametrize("command", CHECKPOINT)
def test_every_command_of_the_store_has_json_and_an_example(quick: Quick, command: str) -> None:
    """Helping makes no store."""
    shown = quick("checkpoint", command, "--help")

    assert 0 == shown.code
    assert "--json" in shown.out
    assert f"maverick checkpoint {command}" in shown.out
    assert not (quick.program.root / ".maverick").exists()


def test_a_workflow_s_runs_are_found_with_either_dash(quick: Quick) -> None:
    """As the workflow itself is."""
    quick.program.flow("- {name: a, type: checkpoint}", "my-long_flow")
    quick("run", "my-long_flow.yaml")

    for name in ("my-long_flow", "my_long-flow"):
        assert "a" == quick("checkpoint", "show", f"{name}@a", "--json").json["label"]
    assert 10 == quick("checkpoint", "show", "my-flow@latest").code


def test_cat_gives_json_if_asked(program: Program) -> None:
    """Bytes otherwise."""
    program.flow("- {name: a, type: shell, run: echo ä, parse: lines}")
    program.run("run", "flow.yaml")

    assert ["ä"] == program.run("checkpoint", "cat", "@latest:steps.a.output.value", "--json").json
    assert "ä\n" == program.run("checkpoint", "cat", "@latest:steps.a.output.stdout", "--json").json
    assert "ä\n" == program.run("checkpoint", "cat", "@latest:steps.a.output.stdout").out
