"""Shell steps: what they give, how they fail, and that nothing of them is left."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.patience import ASLEEP, GROWING_SECONDS
from kit.runs import Runs
from maverick.dsl.processes.groups import find_process
from maverick.values import Value


def _output(runs: Runs, step: str) -> dict[str, Value]:
    runs.flow(f"- {{name: a, type: shell, {step}}}")
    done = runs.start()
    assert "done" == done.status, done.error
    assert isinstance(done.output, dict)
    return done.output


def test_the_output_holds_both_streams_and_the_exit_code(runs: Runs) -> None:
    """`value` is standard output without its last line break."""
    assert {"stdout": "a\n\n", "stderr": "b\n", "exit_code": 0, "value": "a\n"} == _output(
        runs, r"run: 'printf ''a\n\n''; echo b >&2'"
    )


@pytest.mark.parametrize(
    ("parse", "script", "value"),
    [
        ("text", "echo 1", "1"),
        ("json", """echo '{"a": [1, null]}'""", {"a": [1, None]}),
        ("json", "printf '1e2'", 100.0),
        ("lines", "printf 'a\\n\\nb'", ["a", "", "b"]),
        ("lines", "true", []),
    ],
)
def test_parse_says_what_value_is(runs: Runs, parse: str, script: str, value: Value) -> None:
    """Text, JSON or lines."""
    runs.file("script", script)

    assert value == _output(runs, f"run: sh script, parse: {parse}")["value"]


def test_what_is_no_json_fails_the_step(runs: Runs) -> None:
    """Instead of giving a text where others expect a mapping."""
    runs.flow("- {name: a, type: shell, run: echo oops, parse: json}")

    assert "the output is no JSON" in runs.start().error


def test_a_failure_is_told_with_the_ends_of_both_streams(runs: Runs) -> None:
    """Test runners report on standard output, beside one warning on standard error; the last line
    is the summary.
    """
    runs.flow("- {name: a, type: shell, run: 'seq 100; seq 201 300 >&2; exit 7'}")

    failed = runs.start()

    lines = failed.error.split("\n")
    assert "step a: exit code 7: 300" == lines[0]
    assert ["stderr:", *(f"  {n}" for n in range(281, 301))] == lines[1:22]
    assert ["stdout:", *(f"  {n}" for n in range(81, 101))] == lines[22:]


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("exit 3", "exit code 3"),
        ("echo why >&2; exit 3", "exit code 3: why"),
        ("echo why; exit 3", "exit code 3: why"),
        ("echo one; echo two; exit 3", "exit code 3: two\nstdout:\n  one\n  two"),
        (
            r"printf '1\r2\r99\nno disk\n' >&2; exit 3",
            "exit code 3: no disk\nstderr:\n  99\n  no disk",
        ),
        (r"printf 'a\fb\342\200\250c\n\n\n'; exit 3", "exit code 3: a\fb\u2028c"),
        ("kill -9 $$", "killed by SIGKILL"),
    ],
)
def test_nothing_is_told_twice_and_lines_are_lines(runs: Runs, script: str, error: str) -> None:
    """One line is the whole message; a bar that is painted anew after carriage returns pushes
    nothing out.
    """
    runs.file("script", script)
    runs.flow("- {name: a, type: shell, run: . ./script}")

    assert f"step a: {error}" == runs.start().error


def test_a_line_without_end_is_told_in_short(runs: Runs) -> None:
    """A megabyte of dots is no message."""
    runs.flow(
        '- {name: a, type: shell, run: \'head -c 1000000 /dev/zero | tr "\\\\0" .; echo no disk '
        ">&2; exit 3'}"
    )

    error = runs.start().error

    assert error.startswith("step a: exit code 3: no disk\nstderr:\n  no disk\nstdout:\n  ...")
    assert len(error) < 1100


@pytest.mark.parametrize(
    "script", ["false; echo on", "false | true; echo on", "echo $unknown; echo on"]
)
def test_the_shell_is_strict(runs: Runs, script: str) -> None:
    """`bash -euo pipefail`: a failing command is not passed over."""
    runs.flow(f"- {{name: a, type: shell, run: '{script}'}}")

    assert "failed" == runs.start().status


def test_another_shell_may_be_named(runs: Runs) -> None:
    """With its options."""
    assert "-\n" == _output(runs, "shell: sh -e, run: 'echo ${BASH_VERSION:-}-'")["stdout"]


def test_a_shell_that_is_not_there_is_named(runs: Runs) -> None:
    """`127` would say less."""
    runs.flow("- {name: a, type: shell, shell: fish7, run: ls}")

    assert "`fish7` is not on PATH" in runs.start().error


def test_it_runs_in_the_project_s_folder_or_below_it(runs: Runs) -> None:
    """`cwd` is relative to the project's root."""
    (runs.root / "sub").mkdir()

    assert str(runs.root) == _output(runs, "run: pwd")["value"]
    assert str(runs.root / "sub") == _output(runs, "run: pwd, cwd: sub")["value"]


def test_env_adds_variables_converted_as_in_texts(runs: Runs) -> None:
    """Null as nothing, booleans as `true`, lists as JSON; the environment around is inherited."""
    runs.environment["AROUND"] = "around"
    runs.flow("""
    - name: a
      type: shell
      env: {N: "${{ null }}", B: "${{ true }}", L: "${{ [1, 'x'] }}", I: 3}
      run: echo "$N,$B,$L,$I,$AROUND"
      parse: lines
    """)

    output = runs.start().output
    assert isinstance(output, dict)
    assert [',true,[1, "x"],3,around'] == output["value"]


def test_a_step_knows_its_run_and_path(runs: Runs) -> None:
    """In its environment."""
    value = _output(runs, "run: echo $MAVERICK_RUN $MAVERICK_STEP")["value"]

    assert f"{runs.run} a" == value


def test_standard_input_is_closed(runs: Runs) -> None:
    """Nobody is there to answer; git does not ask either."""
    assert "[] 0" == _output(runs, "run: 'echo \"[$(cat)] $GIT_TERMINAL_PROMPT\"'")["value"]


def test_a_timeout_stops_the_whole_group(runs: Runs) -> None:
    """Children of the shell, too."""
    for seconds in GROWING_SECONDS:
        runs.flow(
            f"- {{name: a, type: shell, timeout: {seconds}, run: 'sleep 6000 & echo $! > pid; "
            "wait'}"
        )

        failed = runs.start()

        assert f"timeout of {seconds:g} s" in failed.error
        if (runs.root / "pid").exists():
            break
    assert not _lives(runs.root / "pid")


def test_what_a_script_leaves_running_is_stopped_and_named(runs: Runs) -> None:
    """A step ends when its shell exits; nothing of it stays."""
    runs.flow(
        f"- {{name: a, type: shell, run: 'sleep 6000 > /dev/null 2>&1 & {ASLEEP}; echo $! > pid'}}"
    )

    done = runs.start()

    assert [True] == [
        "stopped what the script left running" in it and "sleep 6000" in it for it in done.notices
    ]
    assert not _lives(runs.root / "pid")


def test_a_stop_pauses_the_run_and_stops_the_step(runs: Runs) -> None:
    """The run is saved, and goes on later."""
    runs.flow("""
    - {name: a, type: python, action: do, args: [a]}
    - {name: b, type: shell, run: 'test -e ready || { echo $$ > pid; sleep 6000; }'}
    """)

    paused = runs.stop_at("b")
    runs.file("ready", "")

    assert ("paused", "pause") == (paused.status, runs.store.ref(runs.run).kind)
    assert not (runs.root / "pid").exists() or not _lives(runs.root / "pid")
    assert ["b"] == runs.resume().executed


def _lives(file: Path) -> bool:
    process = find_process(int(file.read_text()))
    return process is not None and not process.zombie


@pytest.mark.parametrize(
    "step",
    [
        "{name: a, type: shell, run: . ./script, timeout: SECONDS}",
        "{name: a, type: validate, stages: [{name: s, run: . ./script}], timeout: SECONDS}",
    ],
)
def test_a_timeout_is_told_with_what_was_written(runs: Runs, step: str) -> None:
    """A command that hangs has often said why; and what is named is the script, not how it is
    called.
    """
    runs.file(
        "script", "echo connecting; echo 'no route to host' >&2; touch begun; exec sleep 6000"
    )
    for seconds in GROWING_SECONDS:
        runs.flow(f"- {step.replace('SECONDS', str(seconds))}")
        error = runs.start().error
        if (runs.root / "begun").exists():
            break

    first, *rest = error.split("\n")
    assert "`. ./script` took longer than " in first
    assert f" timeout of {seconds:g} s" in first
    assert ["stderr:", "  no route to host", "stdout:", "  connecting"] == rest
