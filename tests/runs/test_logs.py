"""What attempts wrote: kept with the run, of each attempt, also of one that failed, took too long
or was killed.
"""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path

import pytest

from kit.agents import Agents
from kit.patience import GROWING_SECONDS
from kit.program import Program
from kit.runs import Runs
from maverick.checkpoints import Store
from maverick.checkpoints.disk.files import Files
from maverick.dsl.journal.logs import STREAM_BYTES, Logged, find_log
from maverick.dsl.journal.tree import RunTree


def _log(root: Path, step: str, revision: str = "@latest") -> list[Logged]:
    return find_log(RunTree(Store.open(root / ".maverick" / "checkpoints").load(revision)), step)


def _files(root: Path) -> list[str]:
    folder = root / ".maverick" / "checkpoints" / "logs"
    return [path.name for path in folder.iterdir()] if folder.exists() else []


def test_both_streams_of_a_step_are_kept_in_their_order(runs: Runs) -> None:
    """As a terminal would have shown them; the file of the running step is gone."""
    runs.flow("""
    - name: a
      type: shell
      run: |
        until_kept() { until grep -qs "$1" .maverick/checkpoints/logs/*; do sleep 0.01; done; }
        echo one; until_kept one; echo two >&2; until_kept two; echo three
    """)

    runs.start()

    [attempt] = _log(runs.root, "a")
    assert [("stdout", b"one\n"), ("stderr", b"two\n"), ("stdout", b"three\n")] == attempt.pieces
    assert {"status": "done"} == attempt.end
    assert [] == _files(runs.root)


def test_each_attempt_is_kept_with_its_reason(runs: Runs) -> None:
    """Also those that an execution before this one made."""
    runs.flow("""
    - name: a
      type: shell
      retry: {attempts: 2}
      run: 'echo try >> tries; wc -l < tries; test $(wc -l < tries) -ge 4'
    """)
    runs.start()

    done = runs.resume()

    assert "done" == done.status
    log = _log(runs.root, "a")
    assert [1, 2, 3, 4] == [attempt.number for attempt in log]
    assert ["1", "2", "3", "4"] == [attempt.stream("stdout").decode().strip() for attempt in log]
    assert ["failed", "failed", "failed", "done"] == [attempt.end.get("status") for attempt in log]
    assert "exit code 1: 2" == log[1].end["error"]


@pytest.mark.parametrize(
    ("step", "status", "error"),
    [
        (
            "run: 'echo before; exec sleep 6000', timeout: {}",
            "failed",
            "took longer than its timeout",
        ),
        ("run: 'echo before; exit 3', continue_on_error: true", "failed", "exit code 3: before"),
    ],
)
def test_what_was_written_before_the_end_is_kept(
    runs: Runs, step: str, status: str, error: str
) -> None:
    """Whatever ended the attempt, and whoever goes on."""
    for seconds in GROWING_SECONDS:
        runs.flow(f"- {{name: a, type: shell, {step.format(seconds)}}}")
        runs.start()
        [attempt] = _log(runs.root, "a")
        if attempt.stream("stdout"):
            break

    assert (b"before\n", status) == (attempt.stream("stdout"), attempt.end["status"])
    assert error in str(attempt.end["error"])


def test_a_killed_attempt_has_its_log(tmp_path: Path) -> None:
    """It is taken in on resuming, ahead of the one that succeeds; secrets were masked in the
    file.
    """
    program = Program(tmp_path / "project")
    program.file("maverick.yaml", "secrets: [TOKEN]")
    program.environment["TOKEN"] = "correct-horse"
    program.flow("""
    steps:
      - name: a
        type: shell
        run: |
          echo "attempt with $TOKEN"
          test -e go || { while ! grep -qs attempt .maverick/checkpoints/logs/*; do :; done; touch $MARK; sleep 600; }
    """)
    running = program.begin("run", "flow.yaml").wait_for(program.mark)
    [left] = (program.root / ".maverick" / "checkpoints" / "logs").iterdir()
    kept = left.read_bytes()
    shown = program.run("checkpoint", "show", "@latest:steps.a", "--json").json
    os.kill(running.pid, 9)
    running.end()
    dead = program.run("checkpoint", "show", "@latest:steps.a", "--json").json
    program.file("go", "")

    assert 0 == program.run("run", "flow.yaml", "--resume").code

    assert 0o600 == left.stat().st_mode & 0o777 if left.exists() else True
    assert ("running", "killed") == (shown["status"], dead["status"])
    assert "attempt with ***\n" == shown["output"]["stdout"] == dead["output"]["stdout"]
    assert (True, False) == (b"attempt with ***" in kept, b"correct-horse" in kept)
    first, second = _log(program.root, "a")
    assert (1, b"attempt with ***\n", {}) == (first.number, first.stream("stdout"), first.end)
    assert (2, b"attempt with ***\n") == (second.number, second.stream("stdout"))
    assert [] == _files(program.root)


def test_a_kill_between_record_and_tidying_doubles_nothing(runs: Runs) -> None:
    """The file is there once more after the record: it is known by its number."""
    runs.flow("""
    - {name: a, type: shell, run: echo once}
    - {name: b, type: python, action: do, args: [b]}
    """)
    runs.kill_before("b")
    store = runs.store
    store.files.make_folder(store.root / "logs")
    snapshot = store.load("@latest")
    store.log_file(runs.run, "a").write_bytes(snapshot.data_of(snapshot.find_fact(("steps", "a"))))  # type: ignore[arg-type]

    runs.resume()

    assert [1] == [attempt.number for attempt in _log(runs.root, "a")]
    assert [] == _files(runs.root)


def test_what_an_action_prints_is_kept(runs: Runs) -> None:
    """What its own thread or task prints; two at once do not mix, and what others print is no part
    of it.
    """
    runs.set_actions("""
    import asyncio, sys

    def says(text):
        for _ in range(50):
            print(text)
        print(text, "err", file=sys.stderr)
        raise ValueError("broken")

    async def says_later(text):
        print(text)
        await asyncio.sleep(0)
        print(text)
    """)
    runs.flow("""
    - name: each
      type: parallel
      continue_on_error: true
      steps:
        - {name: a, type: python, action: says, args: [aa]}
        - {name: b, type: python, action: says, args: [bb]}
        - {name: c, type: python, action: says, args: [cc], timeout: 300}
        - {name: d, type: python, action: says_later, args: [dd]}
        - {name: e, type: python, action: says_later, args: [ee]}
    """)

    runs.start()

    for name in "abc":
        [attempt] = _log(runs.root, f"each.{name}")
        assert f"{name * 2}\n".encode() * 50 == attempt.stream("stdout")
        assert f"{name * 2} err\n".encode() == attempt.stream("stderr").partition(b"Traceback ")[0]
        assert "ValueError: broken" in str(attempt.end["error"])
    for name in "de":
        assert f"{name * 2}\n".encode() * 2 == _log(runs.root, f"each.{name}")[0].stream("stdout")


def test_what_an_agent_is_asked_is_kept_with_what_it_says(agents: Agents) -> None:
    """The prompt, each time that it is asked, and its words; no call of an agent is a riddle
    afterwards.
    """
    agents.runs.file(
        "maverick.yaml", "agents: {worker: {provider: command, command: [sh, agent.sh]}}"
    )
    agents.runs.file("agent.sh", "cat > /dev/null; echo thinking >&2; echo the answer")
    agents.runs.flow("- {name: a, type: agent, agent: worker, context: {task: dig}}")

    agents.runs.start()

    [attempt] = _log(agents.runs.root, "a")
    assert b"dig" in attempt.stream("prompt")
    assert (b"the answer\n", b"thinking\n") == (attempt.stream("stdout"), attempt.stream("stderr"))


@pytest.mark.parametrize(("config", "field"), [("logs: false", ""), ("", "logs: false,")])
def test_where_logs_are_off_only_the_reason_is_kept(runs: Runs, config: str, field: str) -> None:
    """For what must not be kept at all."""
    if config:
        runs.file("maverick.yaml", f"actions: [{runs.module}]\n{config}")
    runs.flow(f"""
    - {{name: ok, type: shell, {field} run: echo private}}
    - {{name: bad, type: shell, {field} run: 'exit 3'}}
    """)

    runs.start()

    assert [] == _log(runs.root, "ok")
    [attempt] = _log(runs.root, "bad")
    assert ([], "exit code 3") == (attempt.pieces, attempt.end["error"])


def test_equal_output_is_stored_once(runs: Runs) -> None:
    """A log of a step that succeeded holds no times: runs that say the same share it."""
    runs.flow("- {name: a, type: shell, run: seq 3}")
    runs.start()
    first = runs.run
    runs.start()

    entries = [runs.store.load(run).find_fact(("steps", "a")) for run in (first, runs.run)]

    assert first != runs.run
    assert 1 == len({entry.id for entry in entries if entry is not None})
    assert None not in entries


def test_a_flood_leaves_its_end_and_a_small_file(runs: Runs) -> None:
    """The file of a running step is cut when it has grown; the last MiB of each stream stays."""
    sizes: list[int] = []
    runs.file("script", "echo first >&2; head -c 30000000 /dev/zero | tr '\\0' y; echo; echo last")
    runs.flow("- {name: a, type: shell, run: . ./script}")

    def look(_execution: object, event: object) -> None:
        del event
        sizes.extend(
            (runs.root / ".maverick/checkpoints/logs" / name).stat().st_size
            for name in _files(runs.root)
        )

    runs.watched(look)

    [attempt] = _log(runs.root, "a")
    assert (STREAM_BYTES, b"first\n") == (len(attempt.stream("stdout")), attempt.stream("stderr"))
    assert attempt.stream("stdout").endswith(b"y\nlast\n")
    assert 30_000_006 - STREAM_BYTES == attempt.left_out["stdout"]
    assert max(sizes) < 10 * STREAM_BYTES


def test_a_log_that_cannot_be_written_costs_the_log_only(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is said; the step goes on, and is judged by the save of its record."""

    def append(_self: Files, _path: Path) -> tuple[int, int]:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Files, "append", append)
    runs.flow("- {name: a, type: shell, run: echo hello}")

    done = runs.start()

    assert "done" == done.status
    assert ["what step a writes is not kept any more: No space left on device"] == done.notices


def test_logs_go_with_their_run(runs: Runs) -> None:
    """Gc leaves nothing of a dropped run that was killed, neither objects nor the file."""
    runs.flow("- {name: a, type: shell, run: 'echo hello'}")
    runs.kill_unrecorded("a")
    assert 1 == len(_files(runs.root))

    runs.store.drop(runs.run)
    runs.store.plan_gc(keep_last=0).execute()

    assert [] == _files(runs.root)


def test_a_fault_of_maverick_keeps_what_was_written(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the attempt wrote until then may tell why."""
    monkeypatch.setattr("maverick.dsl.steps.scripts.lines_of", lambda _: 1 / 0)
    runs.flow("- {name: a, type: shell, run: echo before, parse: lines}")

    runs.start()

    [attempt] = _log(runs.root, "a")
    assert (b"before\n", "ZeroDivisionError: division by zero") == (
        attempt.stream("stdout"),
        attempt.end["error"],
    )
    assert [] == _files(runs.root)


@pytest.mark.parametrize(
    "end", [b"\0" * 64, b"\1\0\0\0\0\0\0\x10half", b"\0\0\0\0\0\0\0\x02{]", b"\7" * 30, b"\1"]
)
def test_a_damaged_log_costs_its_end_only(runs: Runs, end: bytes) -> None:
    """A power cut may leave zeros, a full disk half a frame: the run goes on, and what comes then
    is kept.
    """
    runs.flow("- {name: a, type: shell, run: 'echo $MAVERICK_STEP-$(cat n 2>/dev/null || echo 1)'}")
    runs.kill_unrecorded("a")
    [left] = (runs.root / ".maverick" / "checkpoints" / "logs").iterdir()
    left.write_bytes(left.read_bytes() + end)
    runs.file("n", "2")

    done = runs.resume()

    assert "done" == done.status
    assert [b"a-1\n", b"a-2\n"] == [attempt.stream("stdout") for attempt in _log(runs.root, "a")]


def test_a_file_in_the_place_of_the_folder_costs_the_logs_only(runs: Runs) -> None:
    runs.flow("- {name: a, type: shell, run: echo hello}")
    runs.start()
    (runs.root / ".maverick" / "checkpoints" / "logs").rmdir()
    runs.file(".maverick/checkpoints/logs", "")

    done = runs.start()

    assert "done" == done.status
    assert ["what step a writes is not kept any more: Not a directory"] == done.notices


def test_what_a_stopped_step_says_last_is_kept(tmp_path: Path) -> None:
    """While it tidies up: often the only word of what it was at."""
    program = Program(tmp_path / "project")
    program.flow("""
    steps:
      - name: a
        type: shell
        run: |
          trap 'for n in 1 2 3 4 5; do echo tidying $n; done; exit 1' TERM
          touch $MARK
          while :; do sleep 0.01; done
    """)
    running = program.begin("run", "flow.yaml").wait_for(program.mark)

    running.signal(signal.SIGTERM).end()

    [attempt] = _log(program.root, "a")
    assert "".join(f"tidying {n}\n" for n in range(1, 6)).encode() == attempt.stream("stdout")
    assert "stopped" == attempt.end["status"]
