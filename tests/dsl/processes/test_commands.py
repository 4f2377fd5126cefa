import os
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from kit.patience import PATIENCE_SECONDS
from maverick.dsl.processes.commands import attach, run_command
from maverick.dsl.processes.processes import NotedGroup, Processes, Stop, Stopped
from maverick.errors import StepFailed, StepTimeout


def test_alone_it_stays_in_the_callers_group(tmp_path: Path) -> None:
    """What stops the caller then stops the command, too."""
    done = run_command(
        ["sh", "-c", "ps -o pgid= -p $$; echo $A >&2; exit 3"], cwd=tmp_path, env={"A": "b"}
    )

    assert (os.getpgrp(), b"b\n", 3) == (int(done.stdout), done.stderr, done.exit_code)


def test_alone_it_ends_at_its_timeout(tmp_path: Path) -> None:
    with pytest.raises(StepTimeout, match=r"`sleep 1000` took longer than its timeout of 0\.05 s"):
        run_command(["sleep", "1000"], cwd=tmp_path, timeout=0.05)


def test_alone_a_missing_program_is_named(tmp_path: Path) -> None:
    with pytest.raises(StepFailed, match="`no-such-program` is not on PATH"):
        run_command(["no-such-program"], cwd=tmp_path)


def test_attached_it_is_noted_with_the_step_and_gets_its_environment(tmp_path: Path) -> None:
    noted: list[list[NotedGroup]] = []
    environment = {**os.environ, "MAVERICK_IDEMPOTENCY_KEY": "key"}

    with attach(Processes(Stop(), noted.append), env=environment, step="commit"):
        done = run_command(["sh", "-c", "echo $MAVERICK_IDEMPOTENCY_KEY"], cwd=tmp_path)

    assert b"key\n" == done.stdout
    assert ["commit"] == [group["step"] for group in noted[0]]
    before = len(noted)
    run_command(["true"], cwd=tmp_path)
    assert before == len(noted)


def test_attached_it_ends_when_the_run_is_stopped(tmp_path: Path) -> None:
    stop = Stop()
    started = threading.Event()
    ended: list[str] = []

    def action() -> None:
        with attach(
            Processes(stop, lambda groups: started.set() if groups else None),
            env=os.environ,
            step="x",
        ):
            try:
                run_command(["sleep", "1000"], cwd=tmp_path)
            except Stopped as error:
                ended.append(error.reason)

    thread = threading.Thread(target=action)
    thread.start()
    started.wait()
    stop.request("enough")
    thread.join()

    assert ["enough"] == ended


def test_alone_it_may_take_a_month(tmp_path: Path) -> None:
    """No call of the system waits as long at once."""
    done = run_command(["cat"], cwd=tmp_path, stdin=b"x" * 1_000_000, timeout=1e7)

    assert b"x" * 1_000_000 == done.stdout


def test_alone_waiting_in_pieces_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maverick.dsl.processes.commands.LONGEST_WAIT_SECONDS", 0.01)
    script = "echo one; sleep 0.1; echo two; cat"

    done = run_command(
        ["sh", "-c", script], cwd=tmp_path, stdin=b"x" * 500_000, timeout=PATIENCE_SECONDS
    )

    assert b"one\ntwo\n" + b"x" * 500_000 == done.stdout


@pytest.mark.parametrize("alone", [True, False])
def test_what_cannot_be_started_is_passed_over_on_path(tmp_path: Path, alone: bool) -> None:
    """Else its reason would be told instead of that of the program that is started."""
    (tmp_path / "echo").touch()
    path = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}"}

    with ExitStack() as stack:
        if not alone:
            stack.enter_context(attach(Processes(Stop(), lambda _: None), env=os.environ, step="x"))
        with pytest.raises(StepFailed, match="one of its arguments is too long"):
            run_command(["echo", "x" * 3_000_000], cwd=tmp_path, env=path)
        assert b"fine\n" == run_command(["echo", "fine"], cwd=tmp_path, env=path).stdout


@pytest.mark.parametrize("alone", [True, False])
def test_what_is_too_long_is_named(tmp_path: Path, alone: bool) -> None:
    """`Argument list too long` says neither which nor what to do."""
    long = "x" * 3_000_000

    with ExitStack() as stack:
        if not alone:
            stack.enter_context(attach(Processes(Stop(), lambda _: None), env=os.environ, step="x"))
        with pytest.raises(StepFailed, match=r"one of its arguments is too long \(3,000,000 bytes"):
            run_command(["echo", long], cwd=tmp_path)
        with pytest.raises(StepFailed, match=r"cannot hold the variable BIG \(3,000,000 bytes, "):
            run_command(["echo"], cwd=tmp_path, env={"BIG": long})
