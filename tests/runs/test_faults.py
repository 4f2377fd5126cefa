"""An exception that nobody foresaw ends a run as failed, and says that it is a fault of
maverick.
"""

from __future__ import annotations

import errno
import re
import stat
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kit.runs import Execution, Runs
from maverick.dsl.events import Event
from maverick.errors import Fault
from maverick.faults import explain
from maverick.runs.listing import summarise
from maverick.runs.request import Session

FLOW = """
    steps:
      - {name: first, type: python, action: do, args: [first]}
      - {name: shell, type: shell, run: echo two, continue_on_error: true}
      - name: list
        type: loop
        for_each: [1, 2]
        continue_on_error: true
        steps: [{name: it, type: python, action: do, args: ["${{ str(item) }}"], retry: {attempts: 3}}]
      - {name: which, type: branch, options: [{when: "true", step: {name: yes, type: python,
         action: do, args: [yes]}}]}
      - {name: check, type: validate, stages: [{name: ok, run: "true"}], continue_on_error: true}
      - {name: inner, type: subworkflow, workflow: ./inner.yaml}
      - {name: mark, type: checkpoint}
      - {name: last, type: python, action: do, args: [last], when: "steps.first.output"}
    outputs: ${{ steps.last.output }}
    """
PLACES = [
    "maverick.dsl.engine.leaves.prepare",
    "maverick.dsl.engine.leaves.key_of",
    "maverick.dsl.engine.leaves.normalise",
    "maverick.dsl.engine.leaves.resolve.seconds",
    "maverick.dsl.engine.leaves.Retries.of",
    "maverick.dsl.engine.retries.Retries.run",
    "maverick.dsl.steps.calls.call_action",
    "maverick.dsl.steps.scripts.text_of",
    "maverick.dsl.processes.processes.Processes.run",
    "maverick.dsl.processes.child.ChildProcess.__init__",
    "maverick.dsl.expressions.evaluate.render",
    "maverick.dsl.expressions.evaluate.truth",
    "maverick.dsl.steps.calls.printing_to",
    "maverick.dsl.engine.composites.walk_loop",
    "maverick.dsl.engine.composites.walk_branch",
    "maverick.dsl.engine.composites.walk_validate",
    "maverick.dsl.engine.composites.walk_subworkflow",
    "maverick.dsl.engine.composites.convert_inputs",
    "maverick.dsl.journal.recorder.Recorder.finish",
    "maverick.dsl.journal.recorder.Recorder.note_decision",
    "maverick.dsl.journal.recorder.Recorder.note_composite",
    "maverick.dsl.journal.records.Recall.idempotency_key",
    "maverick.dsl.journal.recorder.Recorder.settle",
    "maverick.dsl.expressions.scope.Frame.set_step",
    "maverick.dsl.serialization.executor.Executor.decide",
    "maverick.dsl.serialization.executor.Executor._conclude",
    "maverick.dsl.engine.blocks.Block.note_record",
]
"""In every layer that a step goes through."""


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    runs = Runs(tmp_path / "project", FLOW)
    runs.file(
        "inner.yaml",
        'version: "1.0"\nname: inner\nsteps: [{name: deep, type: python, action: do, args: '
        "[deep]}]",
    )
    return runs


def _raise(error: BaseException) -> Callable[..., Any]:
    def function(*_args: object, **_kwargs: object) -> Any:
        raise error

    return function


def _check_fault(runs: Runs, done: Execution, name: str = "OverflowError") -> Path:
    """The run is closed as failed, the message says whose fault it is, and its file has the
    traceback.
    """
    assert "failed" == done.status
    assert done.error.startswith(f"this is a fault of maverick, not of your workflow: {name}: "), (
        done.error
    )
    found = re.search(
        r"the traceback is in (\S+); please report it to the maintainers of maverick with",
        done.error,
    )
    assert found is not None, done.error
    file = Path(found[1])
    assert f"\n{name}: " in file.read_text()
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)
    assert "failure" == runs.store.checkpoint(runs.store.refs()[0].checkpoint).kind
    return file


@pytest.mark.parametrize("place", PLACES)
def test_a_fault_in_any_layer_ends_the_run_as_failed(
    runs: Runs, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not as killed; `continue_on_error` and `retry` are about the workflow, and do not go on after
    it.
    """
    with monkeypatch.context() as patched:
        patched.setattr(place, _raise(OverflowError("timeout is too large")))
        broken = runs.start()
    file = _check_fault(runs, broken)
    before = runs.log

    assert runs.root / ".maverick" / "checkpoints" / "faults" == file.parent
    assert "last" not in runs.log
    assert [event.message for event in broken.events if event.event == "run_finished"] == ["failed"]
    resumed = runs.resume()
    assert ("done", "last") == (resumed.status, resumed.output)
    again = {name for name in runs.log if runs.log.count(name) > 1}
    assert again <= set(before[-1:]), "what had been recorded ran again"


@pytest.mark.parametrize(
    "error", [OverflowError("x"), RecursionError("deep"), OSError(5, "Broken"), KeyError("k")]
)
def test_whatever_kind_of_exception_it_is(
    runs: Runs, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("maverick.dsl.processes.processes.Processes.run", _raise(error))

    done = runs.start()

    _check_fault(runs, done, type(error).__name__)
    assert "(at step shell)" in done.error
    assert done.outcome is not None
    listed = summarise(runs.store, runs.store.refs()[0], 0)
    assert ("shell", "shell") == (done.outcome.failed_at, listed.failed_at)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            MemoryError(),
            "there is not enough memory for what maverick has to do: MemoryError (at step shell)",
        ),
        (
            OSError(errno.EMFILE, "Too many open files"),
            "maverick may not open as many files as it has to; ",
        ),
        (
            OSError(errno.ENFILE, "Too many open files in system"),
            "maverick may not open as many files as it has to; ",
        ),
        (
            OSError(errno.ENOSPC, "No space left on device"),
            "the disk is full; free some space: OSError: ",
        ),
        (
            RuntimeError("can't start new thread"),
            "the system lets this user start no more threads; allow more, ",
        ),
    ],
)
def test_too_little_of_something_is_no_fault_of_maverick(
    runs: Runs, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    monkeypatch.setattr("maverick.dsl.processes.processes.Processes.run", _raise(error))

    done = runs.start()

    assert "failed" == done.status
    assert done.error.startswith(said)
    assert "report" not in done.error


def test_wherever_the_store_breaks_the_run_can_be_resumed(runs: Runs) -> None:
    """Each file that a run makes, in turn: the exception is told, and nothing that had finished
    runs again.
    """
    closed = 0
    for number in range(200):
        runs.file("log", "")
        try:
            broken = runs.break_at(number, OverflowError("at a file"))
        except OverflowError:  # There was no run yet.
            continue
        if broken.status == "done":
            break
        assert broken.error.startswith("this is a fault of maverick"), (number, broken.error)
        closed += 1
        resumed = runs.resume(runs.run)
        assert ("done", "last") == (resumed.status, resumed.output), number
    else:
        raise AssertionError("it never came to an end")
    assert closed > 5


def test_where_the_run_cannot_be_closed_that_is_said_too(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(
            "maverick.dsl.processes.processes.Processes.run", _raise(OverflowError("first"))
        )
        patched.setattr("maverick.dsl.journal.recorder.Recorder.end", _raise(KeyError("second")))
        broken = runs.start()

    assert "failed" == broken.status
    assert re.search(
        r"OverflowError: first.*the run could not be closed.*KeyError: 'second'",
        broken.error,
        re.DOTALL,
    )
    assert "done" == runs.resume().status


def test_a_fault_rolls_back_as_a_failure_does(runs: Runs, monkeypatch: pytest.MonkeyPatch) -> None:
    """Undoing is what the workflow asks for when it does not come to its end."""
    runs.flow(
        """
        on_failure: rollback
        steps:
          - {name: a, type: python, action: do, args: [a], rollback: {type: python, action: do,
             args: [undo]}}
          - {name: b, type: shell, run: echo b}
        """
    )
    with monkeypatch.context() as patched:
        patched.setattr(
            "maverick.dsl.processes.processes.Processes.run", _raise(OverflowError("x"))
        )
        broken = runs.start()

    assert ["a", "undo"] == runs.log
    assert "rolled back: a" in broken.error
    with monkeypatch.context() as patched:
        patched.setattr(
            "maverick.dsl.processes.processes.Processes.run", _raise(OverflowError("x"))
        )
        patched.setattr("maverick.dsl.engine.rollback.roll_back", _raise(KeyError("in undoing")))
        broken = runs.resume()
    assert re.search(
        r"KeyError: 'in undoing'.*it had failed: .*OverflowError: x", broken.error, re.DOTALL
    )


def test_in_one_of_several_iterations_it_goes_before_failures(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is a fault, whatever else failed; what the others finished is recorded."""
    runs.set_actions(
        "all_here = threading.Barrier(3)\n\n\ndef meet(name):\n    all_here.wait(300)\n    return "
        "do(name)\n"
    )
    runs.flow(
        """
        - name: list
          type: parallel
          for_each: [a, b, c]
          key: item
          steps:
            - {name: it, type: python, action: meet, args: ["${{ item }}"]}
            - {name: then, type: shell, run: "test ${{ item }} != a", when: "item != 'b'"}
            - {name: end, type: branch, options: [{when: "item == 'c'", step: {name: x,
               type: checkpoint}}]}
        """
    )
    with monkeypatch.context() as patched:
        patched.setattr("maverick.dsl.engine.composites.walk_branch", _raise(OverflowError("x")))
        broken = runs.start()

    _check_fault(runs, broken)
    assert ["a", "b", "c"] == sorted(runs.log)
    resumed = runs.resume()
    assert ["a", "b", "c"] == sorted(runs.log)
    assert resumed.error.startswith('step list["a"].then: ')


def test_every_iteration_that_failed_is_named(runs: Runs) -> None:
    """Whoever has to mend three things is not told of them one by one; a flood is cut."""
    runs.flow(
        """
        - name: outer
          type: parallel
          for_each: [0, 1]
          steps:
            - name: list
              type: parallel
              for_each: ${{ range(7) }}
              steps: [{name: it, type: shell, run: "echo reason-${{ parent.index }}-${{ item }} >&2; exit 3"}]
        """
    )
    done = runs.start()

    lines = done.error.split("\n")
    assert "step outer[0].list[0].it: exit code 3: reason-0-0" == lines[0]
    assert sum(line.startswith("step outer[") for line in lines) == min(len(done.failed), 10)
    assert len(done.failed) <= 10 or lines[-1] == f"and {len(done.failed) - 10} more failed"


def test_threads_that_cannot_be_started_are_done_without(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A limit of the system on threads makes a loop slower, and ends nothing."""
    start, allowed = threading.Thread.start, {"iteration-worker-0"}

    def limited(thread: threading.Thread) -> None:
        if thread.name.startswith("iteration-worker") and thread.name not in allowed:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", limited)
    runs.flow(
        """
        - name: list
          type: parallel
          for_each: [a, b, c]
          steps: [{name: it, type: python, action: do, args: ["${{ item }}"]}]
        """
    )
    assert "done" == runs.start().status
    allowed.clear()
    assert "done" == runs.start().status
    assert ["a", "b", "c"] * 2 == sorted(runs.log[:3]) + sorted(runs.log[3:])


def test_who_watches_cannot_end_a_run(runs: Runs, caplog: pytest.LogCaptureFixture) -> None:
    """It is said once, and the watcher goes on."""
    heard: list[str] = []

    def fail(_execution: Execution, event: Event) -> None:
        heard.append(event.event)
        raise ValueError("a bug of whoever watches")

    assert "done" == runs.watched(fail).status
    assert "run_finished" == heard[-1]
    assert 1 == len([record for record in caplog.records if record.name == "maverick.events"])
    Session(observe=lambda _: 1 / 0).tell("x")  # type: ignore[arg-type, return-value]


def test_a_fault_while_checking_changes_nothing(
    runs: Runs, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before a resumption runs anything it is found out whether it may: that failing is no outcome
    of the run.
    """
    runs.flow(
        "- {name: a, type: python, action: do, args: [a]}\n- {name: b, type: python, action: "
        "fail, args: [b]}"
    )
    runs.start()
    before = runs.store.refs()[0].checkpoint
    monkeypatch.setattr("maverick.dsl.engine.leaves.key_of", _raise(OverflowError("x")))

    with pytest.raises(Fault, match="OverflowError"):
        runs.resume()

    assert before == runs.store.refs()[0].checkpoint


# --- what is said, and the file -------------------------------------------------------------------


class _Unspeakable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no")


@pytest.mark.parametrize(
    "error", [_Unspeakable(), ValueError("x" * 5000), ValueError("a\nb\x1b[31m"), ValueError()]
)
def test_whatever_it_says_the_message_is_short_and_on_one_line(
    error: Exception, tmp_path: Path
) -> None:
    (tmp_path / "format.json").write_text("{}")
    text = explain(error, tmp_path, lambda text: text)

    assert "\n" not in text
    assert len(text) < 1000
    assert "\x1b" not in next((tmp_path / "faults").iterdir()).read_text()


def test_secrets_are_masked_in_the_message_and_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "format.json").write_text("{}")

    text = explain(
        ValueError("the key is s3cret-value"),
        tmp_path,
        lambda text: text.replace("s3cret-value", "***"),
    )

    assert "ValueError: the key is ***" in text
    assert "s3cret-value" not in next((tmp_path / "faults").iterdir()).read_text()


def test_without_a_store_the_file_is_a_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    text = explain(ValueError("x"), tmp_path / "nothing", lambda text: text)

    (file,) = tmp_path.iterdir()
    assert f"the traceback is in {file}" in text
    assert 0o600 == stat.S_IMODE(file.stat().st_mode)


def test_where_no_file_can_be_written_the_traceback_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk is a likely time for a fault."""
    monkeypatch.setattr(
        "maverick.faults._write_into", _raise(OSError(28, "No space left on device"))
    )

    text = explain(ValueError("x"), tmp_path, lambda text: text)

    assert "the traceback cannot be written (No space left on device), so it follows" in text
    assert text.rstrip().endswith("ValueError: x")
