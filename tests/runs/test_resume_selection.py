"""Which run `--resume` goes on with, and with which inputs and definition."""

from __future__ import annotations

import pytest

from kit.runs import Runs
from maverick.checkpoints import Checkpoint, Store
from maverick.dsl.events import Observer
from maverick.errors import (
    InputInvalid,
    InputsDiffer,
    NotFound,
    RunOwned,
    StepsDiffer,
    WorkflowInvalid,
)
from maverick.project import Project
from maverick.runs import find as selection
from maverick.runs.request import Request
from maverick.values import Value

FLOW = """
inputs: {n: {type: integer, default: 1}, tags: {type: array, default: []}}
steps:
  - {name: a, type: python, action: do, args: [a, "${{ inputs.n }}"]}
  - {name: b, type: python, action: unless, args: [b, ready]}
  - {name: c, type: python, action: give, args: ["${{ inputs.n }}"]}
"""


@pytest.fixture
def flow(runs: Runs) -> Runs:
    runs.flow(FLOW)
    return runs


def _run(outcome_of: object) -> str:
    outcome = outcome_of.outcome  # type: ignore[attr-defined]
    assert outcome is not None
    return str(outcome.run)


def test_nothing_to_resume_is_an_error_and_runs_nothing(flow: Runs) -> None:
    """Never a silent start: exit 10."""
    with pytest.raises(NotFound) as error:
        flow.resume()

    assert 10 == error.value.exit_code
    assert [] == flow.log
    assert not (flow.root / ".maverick").exists()


def test_runs_of_another_workflow_do_not_count(flow: Runs) -> None:
    """`--resume` is about this one."""
    flow.start()
    flow.file(
        "other.yaml",
        'version: "1.0"\nname: other\nsteps: [{name: a, type: python, action: give}]\n',
    )

    with pytest.raises(NotFound, match="other"):
        flow.resume(workflow="other.yaml")


def test_the_newest_run_that_is_not_done_is_resumed(flow: Runs) -> None:
    """Not an older one, and not a newer one that is done."""
    flow.start()
    second = flow.start()
    flow.file("ready", "")
    flow.start()

    resumed = flow.resume()

    assert _run(second) == _run(resumed)


def test_when_all_are_done_the_newest_is_reported(flow: Runs) -> None:
    """Its recorded output, exit 0; nothing runs, nothing is written."""
    flow.file("ready", "")
    flow.start(n=1)
    newest = flow.start(n=2)
    log = flow.log

    reported = flow.resume()

    assert (_run(newest), "done", 2) == (_run(reported), reported.status, reported.output)
    assert log == flow.log
    assert ([], 0, 0) == (reported.point.points, reported.files.bytes_written, reported.files.syncs)


@pytest.mark.parametrize("revision", ["", "RUN"])
def test_an_edit_of_a_done_run_s_definition_changes_nothing(flow: Runs, revision: str) -> None:
    """It is reported as it was recorded."""
    flow.file("ready", "")
    started = flow.start()
    flow.edit("[a, ", "[changed, ")

    assert "done" == flow.resume(revision.replace("RUN", _run(started))).status
    assert ["a", "b"] == flow.log


def test_without_resume_a_run_is_always_a_new_one(flow: Runs) -> None:
    """Whatever is unfinished."""
    one, two = flow.start(), flow.start()

    assert _run(one) != _run(two)
    assert ["a", "b", "a", "b"] == flow.log


# --- inputs ---------------------------------------------------------------------------------------


def test_without_inputs_the_recorded_ones_are_used(flow: Runs) -> None:
    """Not the defaults."""
    flow.start(n=7)
    flow.file("ready", "")

    assert 7 == flow.resume().output


def test_inputs_that_are_given_select_among_the_runs(flow: Runs) -> None:
    """Only those that are given are compared."""
    first = flow.start(n=1, tags=["x"])
    flow.start(n=2)
    flow.file("ready", "")

    resumed = flow.resume(inputs={"n": "1"})

    assert (_run(first), 1) == (_run(resumed), resumed.output)


def test_inputs_that_no_unfinished_run_has_are_refused(flow: Runs) -> None:
    """Exit 12, naming each input with both values."""
    flow.start(n=1)

    with pytest.raises(InputsDiffer, match=r'n was 1, now 2; tags was \[\], now \["y"\]') as error:
        flow.resume(inputs={"n": 2, "tags": ["y"]})

    assert 12 == error.value.exit_code
    assert ["a", "b"] == flow.log


def test_change_inputs_takes_them_and_reruns_what_they_change(flow: Runs) -> None:
    """The finished step that read the input, and what follows."""
    flow.start(n=1)
    flow.file("ready", "")

    resumed = flow.resume(inputs={"n": 2}, change_inputs=True)

    assert (["a", "b", "c"], 2) == (resumed.executed, resumed.output)
    assert {"n": 2, "tags": []} == flow.value("inputs")


def test_change_inputs_does_not_rerun_what_was_edited(flow: Runs) -> None:
    """It stands for `--rerun` only for what the inputs change."""
    flow.start(n=1)
    flow.edit("[a, ", "[changed, ")

    with pytest.raises(StepsDiffer, match="step a has finished"):
        flow.resume(inputs={"n": 2}, change_inputs=True)


def test_inputs_that_nothing_finished_read_change_nothing_finished(flow: Runs) -> None:
    """Only what reads them runs again."""
    flow.start(n=1)
    flow.file("ready", "")

    assert ["b", "c"] == flow.resume(inputs={"tags": ["z"]}, change_inputs=True).executed


@pytest.mark.parametrize("inputs", [{"n": "many"}, {"m": 1}])
def test_inputs_that_do_not_fit_are_refused(flow: Runs, inputs: dict[str, Value]) -> None:
    """Exit 2."""
    flow.start()

    with pytest.raises(InputInvalid):
        flow.resume(inputs=inputs)


def test_other_inputs_for_a_done_run_are_refused(flow: Runs) -> None:
    """What it recorded is no answer to that."""
    flow.file("ready", "")
    started = flow.start(n=1)

    with pytest.raises(InputsDiffer, match="n was 1, now 2"):
        flow.resume(_run(started), inputs={"n": 2})
    assert 1 == flow.resume(_run(started), inputs={"n": 1}).output


def test_other_inputs_for_a_done_run_may_start_a_fork_of_it(flow: Runs) -> None:
    """`--change-inputs`: the done run stays what it is."""
    flow.file("ready", "")
    started = flow.start(n=1)

    forked = flow.resume(_run(started), inputs={"n": 2}, change_inputs=True)

    assert ("done", 2) == (forked.status, forked.output)
    assert _run(started) != _run(forked)
    assert 1 == flow.value("output", _run(started))


# --- revisions ------------------------------------------------------------------------------------


def test_a_run_s_id_goes_on_with_that_run(flow: Runs) -> None:
    """Even if another one is newer."""
    first = flow.start()
    flow.start()
    flow.file("ready", "")

    assert _run(first) == _run(flow.resume(_run(first)))


def test_a_revision_that_is_not_the_newest_forks(flow: Runs) -> None:
    """A new run goes on from there; the old one stays as it is."""
    flow.file("ready", "")
    started = flow.start()
    before = flow.store.ref(_run(started))

    forked = flow.resume(f"{_run(started)}~3")

    assert ["b", "c"] == forked.executed
    assert _run(started) != _run(forked)
    assert before == flow.store.ref(_run(started))
    assert any("forked" in text for text in forked.notices)


def test_a_fork_that_is_refused_leaves_no_run_behind(flow: Runs) -> None:
    """Nothing was to be done, so nothing was."""
    flow.file("ready", "")
    started = flow.start()
    flow.edit("[a, ", "[changed, ")

    with pytest.raises(StepsDiffer):
        flow.resume(f"{_run(started)}~3")
    assert [_run(started)] == [ref.run for ref in flow.store.refs()]


@pytest.mark.parametrize(
    "revision", ["nothing-20260101-000000-abcd", "@nothing", "RUN~99", "RUN@nowhere"]
)
def test_a_revision_that_is_not_there_is_not_found(flow: Runs, revision: str) -> None:
    """Exit 10, and nothing runs."""
    started = flow.start()
    log = flow.log

    with pytest.raises(NotFound):
        flow.resume(revision.replace("RUN", _run(started)))
    assert log == flow.log


# --- the definition -------------------------------------------------------------------------------


@pytest.mark.parametrize("revision", ["", "RUN"])
@pytest.mark.parametrize("workflow", ["flow.yaml", ""])
def test_a_definition_that_is_gone_is_taken_from_the_run(
    flow: Runs, revision: str, workflow: str
) -> None:
    """And resume says so."""
    started = flow.start(n=3)
    (flow.root / "flow.yaml").unlink()
    flow.file("ready", "")

    resumed = flow.resume(revision.replace("RUN", _run(started)), workflow=workflow)

    assert ("done", 3) == (resumed.status, resumed.output)
    assert any("flow.yaml is gone" in text for text in resumed.notices)


def test_a_definition_that_became_invalid_is_refused(flow: Runs) -> None:
    """The recorded one is no substitute for what somebody is editing."""
    flow.start()
    flow.edit("action: give", "action: no_such_action")

    with pytest.raises(WorkflowInvalid):
        flow.resume()


def test_a_sub_workflow_s_edit_is_judged_like_any(runs: Runs) -> None:
    """Step by step: finished ones refuse, others take effect."""
    inner = """
    version: "1.0"
    name: inner
    steps:
      - {name: x, type: python, action: do, args: [x]}
      - {name: y, type: python, action: unless, args: [y, ready]}
    """
    runs.flow("- {name: a, type: subworkflow, workflow: inner.yaml}")
    runs.file("inner.yaml", inner)
    runs.start()
    runs.file("inner.yaml", inner.replace("[x]", "[changed]"))
    with pytest.raises(StepsDiffer, match=r"step a\.x has finished"):
        runs.resume()

    runs.file("inner.yaml", inner.replace("unless, args: [y, ready]", "do, args: [corrected]"))
    assert ["a.y"] == runs.resume().executed


def test_a_sub_workflow_that_is_gone_is_taken_from_the_run(runs: Runs) -> None:
    """As the main one."""
    runs.flow("- {name: a, type: subworkflow, workflow: parts/inner.yaml}")
    step = "{name: x, type: python, action: unless, args: [x, ready]}"
    runs.file("parts/inner.yaml", f'version: "1.0"\nname: inner\nsteps: [{step}]\n')
    runs.start()
    (runs.root / "parts" / "inner.yaml").unlink()
    runs.file("ready", "")

    resumed = runs.resume()

    assert ["a.x"] == resumed.executed
    assert any("parts/inner.yaml is gone" in text for text in resumed.notices)


# --- owners ---------------------------------------------------------------------------------------


def test_a_run_that_is_owned_is_refused(flow: Runs) -> None:
    """Exit 11, naming the process."""
    started = flow.start()

    with flow.store.own(_run(started)), pytest.raises(RunOwned) as error:
        flow.resume()

    assert 11 == error.value.exit_code
    assert "process " in str(error.value)


@pytest.mark.parametrize("revision", ["", "RUN", "@latest"])
def test_a_run_that_moved_on_since_it_was_looked_up_is_not_forked(
    flow: Runs, revision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two processes resume it at once: the one that comes later is not to do the same things beside
    the first.
    """
    started = flow.start()
    find = selection.find_checkpoint

    def late(project: Project, store: Store, request: Request, observe: Observer) -> Checkpoint:
        found = find(project, store, request, observe)
        monkeypatch.setattr(selection, "find_checkpoint", find)
        flow.resume()
        return found

    monkeypatch.setattr(selection, "find_checkpoint", late)

    again = flow.resume(revision.replace("RUN", _run(started)))

    assert _run(started) == _run(again)
    assert 1 == len(flow.store.refs())


def test_a_run_exists_before_its_first_step(flow: Runs) -> None:
    """Killed there, it is resumed and not started again."""
    killed = flow.kill_before("a")
    flow.file("ready", "")

    resumed = flow.resume()

    assert killed.killed
    assert ["a", "b", "c"] == resumed.executed
    assert 1 == len(flow.store.refs())


def test_a_run_that_was_stopped_is_paused_and_goes_on(runs: Runs) -> None:
    """The step that was running is not recorded."""
    runs.flow("""
    - {name: a, type: python, action: do, args: [a]}
    - {name: b, type: shell, run: test -e ready || sleep 600}
    """)
    paused = runs.stop_at("b")
    runs.file("ready", "")

    assert ("paused", "interrupted by SIGINT") == (paused.status, paused.error)
    assert ["b"] == runs.resume().executed


def test_a_damaged_ref_is_told(flow: Runs) -> None:
    """The newest run may be the one whose ref cannot be read: taking another without a word would
    be a guess.
    """
    flow.start(n=1)
    newest = flow.start(n=2)
    path = next((flow.root / ".maverick" / "checkpoints" / "refs").glob(f"{_run(newest)}*"))
    path.write_bytes(path.read_bytes()[:-20])
    flow.file("ready", "")

    resumed = flow.resume()

    assert 1 == resumed.output
    assert any(_run(newest) in text for text in resumed.notices)
