"""The story of language 8, *In CI*, with the real program: fail, keep the run, new folder, go on."""

from __future__ import annotations

import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from kit.program import Program

FLOW = """
    inputs: {where: {type: string, default: moon}}
    steps:
      - {name: build, type: shell, run: "mkdir out; echo built > out/it; echo build >> log", artifacts: [out/it]}
      - name: checks
        type: loop
        for_each: [lint, types, tests]
        max_concurrency: 3
        key: item
        steps:
          - {name: check, type: shell, env: {CHECK: "${{ item }}"}, run: "echo $CHECK >> log; [ $CHECK != types ] || test -e ready"}
      - {name: deploy, type: shell, run: "echo deploy >> log; cat out/it"}
    outputs: "${{ steps.deploy.output.value }} to ${{ inputs.where }}"
    """
COMMAND = ("run", "flow.yaml", "--resume=auto", "--run-id", "job-7", "-i", "where=mars", "--json")


def _machine(folder: Path, *, ready: bool) -> Program:
    """An empty folder into which the project was checked out."""
    program = Program(folder / "project")
    program.flow(FLOW)
    program.environment["GITHUB_ACTIONS"] = "true"
    if ready:
        program.file("ready", "")
    return program


def _log(program: Program) -> list[str]:
    log = program.root / "log"
    return sorted(log.read_text().split()) if log.exists() else []


def _carry_file(first: Program, second: Program) -> None:
    """Keep the run as a file, as an artifact or a cached file is kept."""
    kept = second.root.parent / "run.maverick"
    assert 0 == first.run("checkpoint", "export", "job-7", str(kept), "--force").code
    imported = second.run("checkpoint", "import", str(kept))
    assert (0, "job-7") == (imported.code, imported.out.splitlines()[0])


def _carry_store(first: Program, second: Program) -> None:
    """Keep the folder of the store, as a cache is kept."""
    store = ".maverick/checkpoints"
    shutil.copytree(first.root / store, second.root / store)


@pytest.mark.parametrize("carry", [_carry_file, _carry_store])
def test_a_job_goes_on_on_another_machine(
    carry: Callable[[Program, Program], None], tmp_path: Path
) -> None:
    """By one command, which is the same each time. Nothing that finished runs again, and what a
    later step needs of an earlier one's files is there.
    """
    first, second = (_machine(tmp_path / str(n), ready=n == 2) for n in (1, 2))

    failed = first.run(*COMMAND)
    carry(first, second)
    done = second.run(*COMMAND)
    again = second.run(*COMMAND)

    assert (1, 'checks["types"].check') == (failed.code, failed.json["failed_at"])
    assert ["build", "lint", "tests", "types"] == _log(first)
    assert (0, "built to mars", "job-7") == (done.code, done.json["output"], done.json["run"])
    assert ["deploy", "types"] == _log(second)
    assert {"ran": 2, "recalled": 3} == {
        key: count for key, count in done.json["steps"].items() if count
    }
    assert "starting job-7: there is none here yet" in failed.err
    assert "going on with job-7, which failed" in done.err
    assert (0, "built to mars", 0) == (again.code, again.json["output"], again.json["steps"]["ran"])
    assert 0 == second.run("checkpoint", "fsck").code


def test_the_run_comes_back_to_the_first_machine_under_its_name(tmp_path: Path) -> None:
    first, second = (_machine(tmp_path / str(n), ready=n == 2) for n in (1, 2))
    first.run(*COMMAND)
    _carry_file(first, second)
    second.run(*COMMAND)
    _carry_file(second, first)

    (run,) = first.run("runs", "--json").json
    assert ("job-7", "done") == (run["run"], run["status"])
    assert "built to mars\n" == first.run("checkpoint", "show", "job-7:output").out
    assert (0, "built to mars") == ((ended := first.run(*COMMAND)).code, ended.json["output"])


def test_two_attempts_in_one_job(tmp_path: Path) -> None:
    """`… || …`, as a step that is tried again; the second one goes on, and the exit code is its."""
    program = _machine(tmp_path, ready=False)
    command = " ".join(("maverick", *COMMAND))

    done = program.shell(f"{command} > first || {{ touch ready; {command} > second; }}")

    assert 0 == done.code, done.err
    assert ["build", "deploy", "lint", "tests", "types", "types"] == _log(program)
    assert 1 == done.err.count("going on with job-7, which failed")


def test_a_killed_attempt_is_gone_on_with_and_two_at_once_are_not_possible(tmp_path: Path) -> None:
    """The machine of the first one was taken away; its store was kept."""
    first, second = (_machine(tmp_path / str(n), ready=n == 2) for n in (1, 2))
    for program in (first, second):
        program.flow("""
            steps:
              - {name: one, type: shell, run: "echo one >> log"}
              - {name: two, type: shell, run: "echo two >> log; touch $MARK; test -e ready || sleep 60"}
            outputs: done
            """)
    command = [word for word in COMMAND if word not in ("-i", "where=mars")]
    running = first.begin(*command).wait_for(first.mark)
    beside = first.run(*command)
    _carry_store(first, second)
    done = second.run(*command)
    running.signal(signal.SIGKILL).end()

    assert (11, 0) == (beside.code, done.code)
    assert ["two"] == _log(second)
    assert "going on with job-7, which was killed" in done.err
