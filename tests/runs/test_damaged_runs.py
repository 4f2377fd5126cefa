"""A run whose newest checkpoint is damaged is resumed from its newest whole one, and says so."""

from __future__ import annotations

from time import time_ns

import pytest

from kit.runs import Runs
from kit.stores import flip
from maverick.checkpoints import Store
from maverick.checkpoints.objects.pack_records import NewObject
from maverick.checkpoints.objects.segments import Item
from maverick.errors import NotFound, StoreDamaged
from maverick.project import Project
from maverick.runs.auto import choose
from maverick.runs.find import newest_unfinished
from maverick.runs.listing import summarise
from maverick.runs.preview import plan_resume
from maverick.runs.request import Request
from maverick.views.page_loader import load_page

FLOW = """
- {name: a, type: python, action: do, args: [a]}
- {name: b, type: python, action: do, args: [b, "what b gave, and no other step"]}
- {name: c, type: python, action: unless, args: [c, ready], when: "${{ steps.b.output != 'x' }}"}
"""


@pytest.fixture
def damaged(runs: Runs, request: pytest.FixtureRequest) -> Runs:
    """A run that is to be resumed at step c, and has lost what step b recorded: its output, its
    whole record in an open pack, or that pack.
    """
    runs.flow(FLOW)
    runs.kill_before("b")
    store = Store.open(runs.root / ".maverick" / "checkpoints")
    store.appender.seal_all()
    runs.resume_killed_before("c")
    runs.file("ready", "")
    damage = getattr(request, "param", "payload")
    if damage == "payload":
        store.appender.seal_all()
    entry = store.load(runs.run).entry("steps/b") if damage != "checkpoint" else None
    object_id = entry.id if entry is not None else store.ref(runs.run).checkpoint
    if damage == "gone":
        (path,) = (store.root / "objects").glob("*.open")
        path.unlink()
    else:
        flip(store, object_id, -3, 0x40)
    return runs


@pytest.mark.parametrize("damaged", ["payload", "record", "checkpoint", "gone"], indirect=True)
@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("policy", ["refuse", "rerun", "recorded"])
def test_a_damaged_run_goes_on_from_its_newest_whole_checkpoint(
    damaged: Runs, named: bool, policy: str
) -> None:
    """The same run: an effect that was done twice knows itself by its idempotency key."""
    run = damaged.run

    resumed = damaged.resume(run if named else "", policy=policy)

    assert "done" == resumed.status
    assert ["a", "b", "b", "c"] == damaged.log
    assert "a" == resumed.recalled[-1]
    assert ["b", "c"] == resumed.executed
    assert run == damaged.run
    assert 1 == len(Store.open(damaged.root / ".maverick" / "checkpoints").refs())
    (told,) = [text for text in resumed.notices if "damaged" in text]
    assert told.startswith(f"checkpoint 3 of {run} is damaged (")
    assert told.endswith("going on from 2, the newest that is whole")


@pytest.mark.parametrize("damaged", ["payload", "record", "checkpoint", "gone"], indirect=True)
@pytest.mark.parametrize("named", [False, True])
def test_the_plan_of_a_damaged_run_says_what_resuming_does(damaged: Runs, *, named: bool) -> None:
    """That it goes back, and to where; it forks nothing."""
    request = Request(workflow="flow.yaml", revision=damaged.run if named else "")

    plan = plan_resume(Project(damaged.root, damaged.environment), request, lambda _: None)

    (told,) = [text for text in plan.notes if damaged.run in text]
    assert f"checkpoint 3 of {damaged.run} is damaged: resuming goes on from 2" in told
    would_run = [each.step.step for each in plan.steps if each.step.action != "recall"]
    assert (damaged.run, would_run) == (plan.run, damaged.resume().executed)


def test_what_no_step_needs_is_not_missed(damaged: Runs) -> None:
    """Nothing runs again for the sake of bytes that nobody reads; fsck finds them."""
    damaged.edit(" when: \"${{ steps.b.output != 'x' }}\"", "")

    resumed = damaged.resume()

    assert (["a", "b"], ["c"], []) == (resumed.recalled, resumed.executed, resumed.notices)


def test_another_run_does_not_suffer(damaged: Runs) -> None:
    """It is found, and resumed, as if there were no damage."""
    damaged.start()

    assert "done" == damaged.resume(damaged.run).status


def test_the_former_ref_is_kept(damaged: Runs) -> None:
    """Whoever gets the damaged bytes back can go back to it."""
    root = damaged.root / ".maverick" / "checkpoints"
    run = damaged.run
    before = (root / "refs" / run).read_bytes()

    damaged.resume()

    assert [before] == [path.read_bytes() for path in (root / "quarantine").iterdir()]
    assert "went back from 3, which is damaged" in [
        position.reason for position in Store.open(root).ref(run).positions
    ]


def test_a_run_of_which_nothing_is_whole_is_not_started_anew(damaged: Runs) -> None:
    """Never a silent restart: exit 20."""
    log = damaged.log
    for path in (damaged.root / ".maverick" / "checkpoints" / "objects").iterdir():
        path.unlink()

    with pytest.raises(
        StoreDamaged, match=r"cannot be resumed, for no checkpoint of it is whole"
    ) as error:
        damaged.resume()

    assert 20 == error.value.exit_code
    assert log == damaged.log


def test_a_run_that_a_repair_gave_up_is_told_where_another_one_is_started(damaged: Runs) -> None:
    """Never a silent restart: `--resume=auto` names it, where its remains are, and the ways out."""
    root, run = damaged.root / ".maverick" / "checkpoints", damaged.run
    for path in (root / "objects").iterdir():
        path.unlink()
    assert ["given-up"] == [it.kind for it in Store.open(root).repair()]
    project = Project(damaged.root, {})

    choice = choose(project, Request(workflow="flow.yaml"))

    told: list[str] = []
    choice.tell(lambda event: told.append(event.message))
    assert ("", (run,)) == (choice.run, choice.given_up)
    assert f"no checkpoint of run {run} is whole" in told[-1]
    assert "/quarantine; to go on with it put a backup" in told[-1]
    assert () == choose(project, Request(workflow="flow.yaml", run="other")).given_up
    for revision in ("", run, run[-4:]):
        with pytest.raises(NotFound, match=f"no checkpoint of run {run} is whole, so a repair"):
            damaged.resume(revision)
    with pytest.raises(NotFound, match=f"no checkpoint of run {run} is whole, so a repair"):
        newest_unfinished(project, [])
    Store.open(root).plan_gc().execute()
    assert () == choose(project, Request(workflow="flow.yaml")).given_up


def test_a_repaired_store_resumes_the_same(damaged: Runs) -> None:
    """Repair does for every run what resuming does for one."""
    store = Store.open(damaged.root / ".maverick" / "checkpoints")
    (done,) = [it for it in store.repair() if it.run]

    resumed = damaged.resume()

    assert "rolled-back" == done.kind
    assert (["a"], ["b", "c"], []) == (resumed.recalled, resumed.executed, resumed.notices)


@pytest.mark.parametrize("lost", ["workspace", "workspace/log.txt"])
def test_what_a_repair_takes_from_a_run_it_names_and_the_rest_goes_on(
    runs: Runs, lost: str
) -> None:
    """The newest label, whose files are lost, is passed over, as if it had kept none."""
    runs.flow(
        "checkpoints: {workspace: label}\nsteps:\n"
        '- {name: a, type: shell, run: "echo something that no other file has > log.txt"}\n'
        "- {name: half, type: checkpoint, checkpoint_id: half way}\n"
        "- {name: b, type: python, action: do, args: [b]}\n"
        "- {name: c, type: python, action: do, args: [c]}\n"
    )
    runs.kill_before("c")
    store = Store.open(runs.root / ".maverick" / "checkpoints")
    store.appender.seal_all()
    snapshot = store.load(f"{runs.run}@half way")
    store.tag(runs.run, "good one", snapshot.checkpoint)
    _lose(store, snapshot.entry(lost).id)
    runs.file("log.txt", "since")

    told = [it.message for it in store.repair() if it.run]
    resumed = runs.resume(workspace="restore")

    assert ["gone with what is damaged: label 'half way', tag 'good one'"] == [
        text.split("; ")[1] for text in told
    ]
    assert "done" == resumed.status
    assert "something that no other file has\n" == (runs.root / "log.txt").read_text()


def _lose(store: Store, object_id: str) -> None:
    """Put all objects but one into a new pack, as a repair does that cannot read that one."""
    store.objects.packs.refresh()
    packs = store.objects.packs.listed()
    every = [item for pack in packs for item in pack.items(content=True)]
    left = [NewObject(it.kind, it.id, it.data) for it in every if isinstance(it, Item)]
    store.objects.write([it for it in left if it.id != object_id])
    for pack in packs:
        (store.root / "objects" / pack.file).unlink()


@pytest.mark.parametrize("how", ["repair", "fall back"])
def test_times_are_those_of_the_checkpoint_where_a_run_stands_again(
    damaged: Runs, how: str
) -> None:
    """Neither the day until somebody repaired it counts, nor what ran behind that checkpoint."""
    root, later = damaged.root / ".maverick" / "checkpoints", time_ns() // 10**6 + 86_400_000
    store = Store.open(root, clock=lambda: later)
    if how == "repair":
        store.repair()
    else:
        store.fall_back(damaged.run)

    run = summarise(store, store.ref(damaged.run), later)

    assert store.resolve(damaged.run).created == run.updated
    assert run.seconds is not None
    assert run.seconds < 3600
    assert ((), True) == (run.at, "3" in run.reason and "is damaged" in run.reason)
    page = load_page("project", store, store.resolve(damaged.run))
    assert (run.reason, run.seconds, run.updated) == (page.error, page.seconds, page.ended)


def test_the_golden_path_says_nothing(runs: Runs) -> None:
    """No notice, no file in quarantine/, where all is well."""
    runs.flow(FLOW)
    runs.kill_before("c")

    assert [] == runs.resume().notices
    assert [] == list((runs.root / ".maverick" / "checkpoints" / "quarantine").iterdir())
