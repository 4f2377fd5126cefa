"""Runs that a Python program starts: what it gets, what it is spared, and what it finds afterwards."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import maverick
from kit.folders import Folder
from kit.patience import PATIENCE_SECONDS, wait_until
from maverick.dsl.events import Event
from maverick.dsl.processes.groups import Reaper, find_process
from maverick.errors import (
    InputInvalid,
    InputsDiffer,
    MaverickError,
    NotFound,
    RunOwned,
    StepsDiffer,
    UsageError,
    WorkflowInvalid,
)

TOOLS = '''
import os, pathlib, sys

print("imported")


def add(a, b=1):
    print("adding")
    print("to err", file=sys.stderr)
    return a + b


def where():
    return os.getcwd()


def flaky(name):
    """Fail until there is a file of that name."""
    if not pathlib.Path(name).exists():
        raise ValueError(f"there is no {name}")
    return name


def interrupt():
    """As a person does who presses Ctrl-C, or the button of a notebook."""
    import _thread, time
    if not pathlib.Path("again").exists():
        pathlib.Path("again").touch()
        _thread.interrupt_main()
        time.sleep(600)
    return "done"
'''


class ToolsFolder(Folder):
    """A project with actions in `tools.py`."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.tools = root / "tools.py"
        self.tools.write_text(TOOLS)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ToolsFolder:
    """A project, which is the current folder."""
    made = ToolsFolder(tmp_path / "project")
    monkeypatch.chdir(made.root)
    return made


ADD = "- {name: add, action: 'tools:add', args: [1], kwargs: {b: '${{ inputs.b }}'}}"
INPUT = "inputs:\n  b: {type: integer, default: 1}"


# --- what comes of it -----------------------------------------------------------------------------


def test_a_run_gives_its_outcome(folder: ToolsFolder) -> None:
    outcome = maverick.run(folder.flow(ADD, more=INPUT), {"b": 2})

    assert ("done", 3, None) == (outcome.status, outcome.output, outcome.error)
    assert f"<Outcome {outcome.run} done>" == repr(outcome)


def test_a_failed_run_is_given_too(folder: ToolsFolder) -> None:
    """Only what has no run is raised; and a failed assertion shows why it failed."""
    outcome = maverick.run(folder.flow("- {name: f, action: 'tools:flaky', args: [x]}"))

    assert ("failed", None, "f") == (outcome.status, outcome.output, outcome.failed_at)
    assert "ValueError: there is no x" in (outcome.error or "")
    assert repr(outcome).startswith(f"<Outcome {outcome.run} failed: step f: ValueError: there is")


@pytest.mark.parametrize("reference", [Path, str, lambda _: "flow.yaml", lambda _: "./flow.yaml"])
def test_a_workflow_is_a_file_as_seen_from_here(
    folder: ToolsFolder, reference: Callable[[str], str | Path]
) -> None:
    assert 2 == maverick.run(reference(folder.flow(ADD, more=INPUT))).output


def test_a_workflow_has_a_name(folder: ToolsFolder) -> None:
    (folder.root / ".maverick" / "workflows").mkdir()
    Path(folder.flow(ADD, more=INPUT)).rename(folder.root / ".maverick/workflows/flow.yaml")

    assert 2 == maverick.run("flow").output


def test_inputs_are_plain_python(folder: ToolsFolder) -> None:
    """A path, a tuple: as a step's output."""
    flow = folder.flow(
        "- {name: a, run: 'true', env: {A: '${{ inputs.names }}'}}",
        more="inputs: {names: {type: array}, at: {type: string}}\noutputs: {n: '${{ inputs.names }}', at: '${{ inputs.at }}'}",
    )

    outcome = maverick.run(flow, {"names": ("a", "b"), "at": Path("x/y")})

    assert {"n": ["a", "b"], "at": "x/y"} == outcome.output


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda _: maverick.run("nothing"), WorkflowInvalid),
        (lambda flow: maverick.run(flow, {"b": "x"}), InputInvalid),
        (lambda flow: maverick.run(flow, {"c": 1}), InputInvalid),
        (lambda flow: maverick.run(flow, {1: 1}), InputInvalid),
        (lambda flow: maverick.run(flow, {"b": object()}), InputInvalid),
        (lambda flow: maverick.run(flow, "b=1"), InputInvalid),
        (lambda flow: maverick.run(flow, [("b", 1)]), InputInvalid),
        (lambda flow: maverick.run(flow, resume=True, skip=b"add"), UsageError),
        (lambda flow: maverick.run(flow, resume=True, skip={"add": object()}), UsageError),
        (lambda flow: maverick.run(flow, resume=True), NotFound),
        (lambda _: maverick.resume(), NotFound),
        (lambda _: maverick.resume("nobody"), NotFound),
        (lambda flow: maverick.run(flow, project="/nowhere"), NotFound),
        (lambda flow: maverick.run(flow, rerun=True), UsageError),
        (lambda flow: maverick.run(flow, resume=True, rerun=True, as_recorded=True), UsageError),
        (lambda flow: maverick.run(flow, resume=3), UsageError),
        (lambda flow: maverick.run(flow, resume=""), UsageError),
        (lambda flow: maverick.run(flow, resume=True, workspace="x"), UsageError),
        (lambda _: maverick.run(""), UsageError),
        (lambda flow: maverick.run(flow, resume="auto", from_step="add"), UsageError),
        (lambda flow: maverick.run(flow, resume=True, run_id="mine"), UsageError),
        (lambda flow: maverick.run(flow, run_id="a b"), UsageError),
    ],
)
def test_where_there_is_no_run_an_error_is_raised(
    folder: ToolsFolder, call: Callable[[str], Any], error: type[MaverickError]
) -> None:
    with pytest.raises(error):
        call(folder.flow(ADD, more=INPUT))


# --- going on -------------------------------------------------------------------------------------

FLAKY = """
- {name: first, action: 'tools:add', args: [1]}
- {name: f, action: 'tools:flaky', args: [x]}
"""


@pytest.mark.parametrize(
    "resume",
    [
        lambda *_: maverick.resume(),
        lambda _, run: maverick.resume(run),
        lambda _, run: maverick.resume(run.run),
        lambda flow, _: maverick.run(flow, resume=True),
        lambda flow, run: maverick.run(flow, resume=run),
    ],
)
def test_a_failed_run_goes_on(folder: ToolsFolder, resume: Callable[[str, Any], Any]) -> None:
    flow = folder.flow(FLAKY)
    failed = maverick.run(flow)
    (folder.root / "x").touch()

    outcome = resume(flow, failed)

    assert (failed.run, "done", "x") == (outcome.run, outcome.status, outcome.output)
    assert (1, 1) == (outcome.counts.recalled, outcome.counts.ran)


@pytest.mark.parametrize(
    "resume",
    [
        lambda _flow, run: maverick.resume(run),
        lambda flow, run: maverick.run(flow, resume=run),
    ],
)
def test_a_run_of_another_project_is_resumed_there(
    folder: ToolsFolder,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    resume: Callable[[Path, Any], Any],
) -> None:
    """What `run` gave knows where it is."""
    flow = Path(folder.flow(FLAKY)).absolute()
    failed = maverick.run(flow)
    (folder.root / "x").touch()
    monkeypatch.chdir(tmp_path)

    assert "done" == resume(flow, failed).status


def test_one_call_starts_a_run_or_goes_on_with_it(folder: ToolsFolder) -> None:
    flow = folder.flow(FLAKY)
    first = maverick.run(flow, resume="auto", run_id="nightly")
    (folder.root / "x").touch()

    second = maverick.run(flow, resume="auto", run_id="nightly")

    assert ("nightly", "failed") == (first.run, first.status)
    assert ("nightly", "done", 1) == (second.run, second.status, second.counts.recalled)


@pytest.mark.parametrize("skip", ["f", ["f"], {"f": None}])
def test_a_step_is_skipped_by_its_path(folder: ToolsFolder, skip: Any) -> None:
    """A single text is one path, and no letters."""
    maverick.run(folder.flow(FLAKY))

    assert ("done", 1) == ((it := maverick.resume(skip=skip)).status, it.counts.skipped)


def test_what_changed_is_refused_unless_it_is_asked_for(folder: ToolsFolder) -> None:
    flow = folder.flow(FLAKY)
    maverick.run(flow)
    folder.flow(FLAKY.replace("[1]", "[2]"))

    with pytest.raises(StepsDiffer):
        maverick.run(flow, resume=True)
    assert 1 == maverick.run(flow, resume=True, as_recorded=True).counts.recalled
    assert 0 == maverick.run(flow, resume=True, rerun=True).counts.recalled
    (folder.root / "x").touch()
    assert 1 == maverick.run(flow, resume=True, from_step="f").counts.recalled


def test_other_inputs_are_refused_unless_it_is_asked_for(folder: ToolsFolder) -> None:
    flow = folder.flow(FLAKY, more=INPUT)
    maverick.run(flow)

    with pytest.raises(InputsDiffer):
        maverick.resume(inputs={"b": 7})
    assert "failed" == maverick.resume(inputs={"b": 7}, change_inputs=True).status


# --- the caller's process -------------------------------------------------------------------------


@pytest.fixture
def surroundings(folder: ToolsFolder) -> Iterator[None]:
    """Whatever of the process a run might leave changed."""

    def now() -> tuple[object, ...]:
        handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
        own = {name: text for name, text in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        return Path.cwd(), own, [*sys.path], sys.stdout, sys.stderr, handlers

    before = now()
    yield
    assert before == now()


@pytest.mark.usefixtures("surroundings")
def test_the_process_is_afterwards_what_it_was(folder: ToolsFolder, tmp_path: Path) -> None:
    """Its folder, environment, path of modules, streams and signals, also after a failure."""
    flow = folder.flow("- {name: w, action: 'tools:where'}")
    os.chdir(tmp_path)
    try:
        outcome = maverick.run(flow, project=folder.root)
        with pytest.raises(InputInvalid):
            maverick.run(flow, {"no": 1}, project=folder.root)
        assert str(folder.root) == outcome.output
        assert tmp_path == Path.cwd()
        assert "tools" not in sys.modules
    finally:
        os.chdir(folder.root)


def test_an_action_that_was_edited_is_run_as_it_is_now(folder: ToolsFolder) -> None:
    """A notebook lives on, and its modules are in memory."""
    flow = folder.flow(ADD, more=INPUT)
    assert 2 == maverick.run(flow).output
    folder.tools.write_text(TOOLS.replace("a + b", "a * b * 1000"))

    assert 1000 == maverick.run(flow).output


def test_nothing_is_printed_on_standard_output(
    folder: ToolsFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is the caller's; what actions print stands on standard error, and what the caller prints
    meanwhile goes its way.
    """
    flow = folder.flow(
        f"{ADD}\n- {{name: many, type: loop, for_each: '${{{{ [1, 2] }}}}', parallel: true, "
        "steps: [{name: one, action: 'tools:add', args: [1]}]}\n- {name: s, run: echo hello}",
        more=INPUT,
    )

    def show(event: Event) -> None:
        if event.step == "s":
            print(event.event)  # noqa: T201 - as people do

    maverick.run(flow, on_event=show)

    out, err = capsys.readouterr()
    assert ["step_started", "step_output", "step_done"] == out.split()
    # Threads that print at once may share a line.
    printed = {"imported": 1, "adding": 3, "to err": 3}
    assert printed == {text: err.count(text) for text in printed}
    assert sum((len(text) + 1) * count for text, count in printed.items()) == len(err)


def test_what_threads_print_goes_where_they_belong(
    folder: ToolsFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those of an action to standard error, those that the caller had before to standard output."""
    folder.tools.write_text(
        "import threading\n\ndef act():\n"
        "    thread = threading.Thread(target=lambda: print('of the action'))\n"
        "    thread.start()\n    thread.join()\n"
    )
    begun, go, printed = threading.Event(), threading.Event(), threading.Event()

    def of_the_caller() -> None:
        begun.set()
        go.wait(PATIENCE_SECONDS)
        print("of the caller")  # noqa: T201 - as people do
        printed.set()

    def show(event: Event) -> None:
        if event.event == "step_started":
            go.set()
            assert printed.wait(PATIENCE_SECONDS)

    thread = threading.Thread(target=of_the_caller)
    thread.start()
    assert begun.wait(PATIENCE_SECONDS)
    maverick.run(folder.flow("- {name: a, action: 'tools:act'}"), on_event=show)
    thread.join()

    assert ("of the caller\n", "of the action\n") == tuple(capsys.readouterr())


def test_a_folder_that_is_moved_meanwhile_stays_the_current_one(
    folder: ToolsFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name would lead elsewhere, or nowhere."""
    flow = folder.flow("- {name: s, run: 'mv ../here ../there'}")
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    assert "done" == maverick.run(flow, project=folder.root).status

    assert tmp_path / "there" == Path.cwd()


def test_importing_maverick_loads_next_to_nothing() -> None:
    """What is public is loaded when it is first used."""
    code = (
        "import sys; before = set(sys.modules); import maverick; dir(maverick)\n"
        "print(sorted(name for name in set(sys.modules) - before if 'maverick' in name))\n"
        "maverick.run\n"
        "print('typer' in sys.modules, 'rich' in sys.modules, 'pytest' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": ":".join(sys.path)},
    )

    assert ["['maverick']", "False False False"] == done.stdout.splitlines()


def test_all_is_the_public_surface() -> None:
    names = [name for name in maverick.__all__ if hasattr(maverick, name)]

    assert maverick.__all__ == names
    assert sorted([*names, "__version__"]) == dir(maverick)
    assert not hasattr(maverick, "nothing")


# --- threads --------------------------------------------------------------------------------------


def in_threads(*works: Callable[[], object]) -> list[object]:
    """Do all of *works* at once, none in the main thread; give what each gives, or raise."""
    results: dict[int, object] = {}

    def do(number: int, work: Callable[[], object]) -> None:
        try:
            results[number] = work()
        except BaseException as error:  # noqa: BLE001 - given
            results[number] = error

    threads = [threading.Thread(target=do, args=each) for each in enumerate(works)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_SECONDS)
    raised = [result for result in results.values() if isinstance(result, BaseException)]
    if raised:
        raise raised[0]
    return [results[number] for number in range(len(works))]


def test_a_run_works_while_an_event_loop_runs(folder: ToolsFolder) -> None:
    """That of a notebook always does; async actions have a loop of their own."""
    flow = folder.flow("- {name: a, action: 'tools:later'}")
    folder.tools.write_text(
        "import asyncio\n\nasync def later():\n    await asyncio.sleep(0)\n    return 7\n"
    )

    async def notebook() -> object:
        return maverick.run(flow).output

    assert 7 == asyncio.run(notebook())


MEET = """
- name: meet
  run: |
    touch '${{ inputs.me }}'
    until [ -e '${{ inputs.other }}' ]; do sleep 0.01; done
- {name: say, action: 'tools:add', args: ['${{ inputs.n }}']}
"""
MEET_INPUTS = "inputs: {me: {type: string}, other: {type: string}, n: {type: integer}}"


@pytest.mark.usefixtures("surroundings")
def test_two_runs_of_a_project_go_on_at_once(
    folder: ToolsFolder, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither ends before the other has begun; and each prints into its own log, once."""
    flow = folder.flow(MEET, more=MEET_INPUTS)

    one, two = in_threads(
        lambda: maverick.run(flow, {"me": "a", "other": "b", "n": 1}),
        lambda: maverick.run(flow, {"me": "b", "other": "a", "n": 2}),
    )

    assert isinstance(one, maverick.Outcome)
    assert isinstance(two, maverick.Outcome)
    assert (2, 3) == (one.output, two.output)
    assert 2 == capsys.readouterr().err.count("adding")


@pytest.mark.usefixtures("surroundings")
def test_runs_of_two_projects_do_not_mix(folder: ToolsFolder, tmp_path: Path) -> None:
    """They have modules of one name, and a process has one current folder: they take turns."""
    other = ToolsFolder(tmp_path / "other")
    other.tools.write_text(TOOLS.replace("os.getcwd()", "'other: ' + os.getcwd()"))
    steps = "- {name: w, action: 'tools:where'}"
    flows = [folder.flow(steps), other.flow(steps)] * 4

    outcomes = in_threads(
        *(lambda flow=flow: maverick.run(flow, project=Path(flow).parent) for flow in flows)
    )

    assert [str(folder.root), f"other: {other.root}"] * 4 == [
        outcome.output for outcome in outcomes if isinstance(outcome, maverick.Outcome)
    ]


def test_a_step_can_run_a_workflow_of_its_own_project_only(
    folder: ToolsFolder, tmp_path: Path
) -> None:
    """For one of another it would wait for its own end."""
    other = ToolsFolder(tmp_path / "other")
    folder.tools.write_text(
        "import maverick\n\ndef call(flow, project):\n"
        "    return maverick.run(flow, project=project).output\n"
    )
    call = "- {{name: c, action: 'tools:call', args: ['{}', '{}']}}"
    steps = "- {name: s, run: echo hello, parse: text}"
    inner, outer = folder.flow(steps, "inner"), other.flow(steps, "outer")

    good = maverick.run(folder.flow(call.format(inner, folder.root)))
    bad = maverick.run(folder.flow(call.format(outer, other.root)))

    assert "hello" in str(good.output)
    assert "which has one current folder" in (bad.error or "")


def test_a_run_has_one_owner(folder: ToolsFolder) -> None:
    """Also where both are in one process."""
    flow = folder.flow("- {name: c, action: 'tools:again'}")
    folder.tools.write_text(
        "import maverick\n\ndef again():\n    return maverick.resume().output\n"
    )

    outcome = maverick.run(flow)

    assert "failed" == outcome.status
    assert f"{RunOwned.__name__}: run {outcome.run} is being executed" in (outcome.error or "")


# --- interrupts -----------------------------------------------------------------------------------


@pytest.mark.usefixtures("surroundings")
def test_an_interrupt_pauses_the_run_and_is_raised(folder: ToolsFolder) -> None:
    """So that the cells or lines behind it do not go on; the run can be resumed."""
    flow = folder.flow(
        "- {name: first, action: 'tools:add', args: [1]}\n- {name: i, action: 'tools:interrupt'}"
    )

    with pytest.raises(KeyboardInterrupt) as caught:
        maverick.run(flow)

    (note,) = caught.value.__notes__
    assert "paused; go on with it: maverick.resume('flow-" in note
    outcome = maverick.resume()
    assert ("done", 1) == (outcome.status, outcome.counts.recalled)


@pytest.mark.usefixtures("surroundings")
def test_what_a_signal_handler_raises_pauses_the_run_too(
    folder: ToolsFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as a time limit for a test: else the run would go on behind who no longer waits."""
    flow = folder.flow("- {name: s, run: 'test -e go || exec sleep 1000'}")

    def give_up(*_: object) -> None:
        raise TimeoutError("too long")

    def signal_us(event: Event) -> None:
        if event.event == "step_started":
            os.kill(os.getpid(), signal.SIGUSR1)

    before = signal.signal(signal.SIGUSR1, give_up)
    try:
        with pytest.raises(TimeoutError, match="too long") as caught:
            maverick.run(flow, on_event=signal_us)
    finally:
        signal.signal(signal.SIGUSR1, before)

    assert "paused" in caught.value.__notes__[0]
    (folder.root / "go").touch()
    assert "done" == maverick.resume().status


def test_ctrl_c_ends_a_script_and_leaves_the_run_resumable(folder: ToolsFolder) -> None:
    """Python's own handler is in place; what the step started is stopped."""
    flow = folder.flow("- {name: long, run: 'touch begun; exec sleep 1000'}")
    script = subprocess.Popen(
        [sys.executable, "-c", f"import maverick; maverick.run({flow!r})"],
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        stderr=subprocess.PIPE,
        text=True,
    )
    while not (folder.root / "begun").exists():
        assert script.poll() is None
    script.send_signal(signal.SIGINT)

    _, err = script.communicate(timeout=PATIENCE_SECONDS)

    assert -signal.SIGINT == script.returncode
    assert "KeyboardInterrupt" in err
    assert "maverick.resume('flow-" in err.splitlines()[-1]
    folder.flow("- {name: long, run: 'echo'}")
    assert "done" == maverick.resume().status


def test_children_of_the_caller_are_left_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Orphans of steps are reaped; who reaps a caller's own child takes its exit code."""
    monkeypatch.setattr("maverick.dsl.processes.groups.PATIENCE_SECONDS", 0.0)
    child = subprocess.Popen(["sh", "-c", "exit 3"], start_new_session=True)
    wait_until(lambda: (it := find_process(child.pid)) is None or it.zombie, "the end of the child")

    Reaper(strangers=False).reap(())

    assert 3 == child.wait()
