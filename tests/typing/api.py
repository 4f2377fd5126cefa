"""A user's program, for the type checker: `scripts/check` runs mypy on it, and a test does.

It uses what people may rely on: runs and projects of `maverick`, tests of workflows by
`maverick.testing`, the store of `maverick.checkpoints`, the actions of `maverick.library.actions`,
and the `Scene` that a generator or context builder of a project gets.
Each annotation below is a promise: the program stops type-checking when one is broken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import assert_type

import maverick
from maverick.checkpoints import (
    BlobId,
    Checkpoint,
    CheckpointId,
    CheckpointKind,
    Content,
    Entry,
    EntryKind,
    Files,
    ObjectId,
    Overview,
    Owner,
    Position,
    Ref,
    Snapshot,
    Store,
    TreeId,
    Value,
    blob,
    blob_from,
    existing,
    note,
    value,
)
from maverick.dsl.catalog.scene import Scene
from maverick.errors import MaverickError, NotFound, StepFailed, StoreDamaged
from maverick.library.actions import (
    create_github_pr,
    fetch_github_issues,
    get_phases,
    git_branch,
    git_commit,
    git_diff,
    git_has_changes,
    git_push,
    git_status,
    log_message,
    run_preflight_checks,
)
from maverick.testing import Asked, Call, Maverick, Rehearsed, Reply, run_workflow


def save_two_checkpoints(root: Path) -> Checkpoint:
    """A path is names or a text, a change of None removes, and keywords say what a save is."""
    store: Store = Store.create(root, files=Files())
    changes: Mapping[tuple[str, ...], Content | None] = {
        ("inputs",): value({"rate": 0.5, "names": ["a", "b"], "nothing": None}),
        ("model",): blob(b"weights"),
        ("notes", "first"): note("a short text"),
        ("data",): blob_from(root / "data.bin"),
    }
    kind: CheckpointKind = "auto"
    first: Checkpoint = store.save("train-1", changes, parent=None, kind=kind, group="train")
    with store.own("train-1") as owner:
        assert_type(owner, Owner)
        return store.save(
            "train-1", {("model",): None}, parent=first, kind="label", label="trained", step="fit"
        )


def save_an_experiment(project: str) -> list[str]:
    """A path may be a text, what stands there a plain value; a label says what is kept."""
    with Store.create(project) as store:
        first = store.save("exp", {"params": {"rate": 0.5, "day": date(2026, 1, 2), "at": (1, 2)}})
        store.save("exp", {"result": 0.93, "notes": None}, parent=first, label="best")
        rate: Value = store.load("exp@best").value("params.rate")
        return [ref.run for ref in store if ref.run in store and rate == 0.5]


def look_into(store: Store, revision: str) -> list[str]:
    """What is stored comes back as what it was; a path can be a text."""
    snapshot: Snapshot = store.load(revision)
    checkpoint: Checkpoint = snapshot.checkpoint
    ids: tuple[CheckpointId, TreeId] = (checkpoint.id, checkpoint.tree)
    found: Value = snapshot.value("inputs")
    data: bytes = snapshot.data(("model",))
    parts: Iterator[bytes] = snapshot.stream("data")
    entry: Entry | None = snapshot.find("notes/first")
    if entry is not None:
        assert_type(entry.kind, EntryKind)
        object_id: ObjectId | str = entry.id
        copy: Content = existing(entry)
        store.save("copy", {("first",): copy}, parent=None)
        return [str(object_id), str(found), str(len(data) + sum(map(len, parts))), *ids]
    names: list[str] = snapshot.names()
    return names


def compare(store: Store, old: str, new: str) -> dict[str, str]:
    """Differences are records with a path and what happened there."""
    return {"/".join(change.path): change.change for change in store.diff(old, new)}


def list_runs(store: Store) -> list[tuple[str, int, list[str]]]:
    """Refs tell where runs stand, without an object being read."""
    rows: list[tuple[str, int, list[str]]] = []
    for ref in store.refs():
        assert_type(ref, Ref)
        positions: tuple[Position, ...] = ref.positions
        rows.append((ref.run, ref.sequence, [position.label for position in positions]))
    return rows


def list_quickly(overview: Overview) -> list[str]:
    """A listing needs no store."""
    return [ref.run for ref in overview.refs()]


def tidy(store: Store) -> int:
    """A plan is a value: it can be looked at, and executed."""
    plan = store.plan_gc(keep_last=5, keep_within=timedelta(days=14))
    removed: int = plan.removed_bytes
    if removed > 1 << 20:
        plan.execute()
    return removed


def problems(store: Store) -> list[str]:
    """Errors are classes, and say their exit code."""
    try:
        return [finding.message for finding in store.check(read_data=True)]
    except (NotFound, StoreDamaged) as error:
        code: int = error.exit_code
        return [f"{code}: {error}"]


def hand_over(folder: str) -> str:
    """The actions are typed functions, and what they give are typed records."""
    try:
        run_preflight_checks(programs=["git"], clean=False, cwd=folder)
        if git_has_changes(cwd=folder):
            committed: bool = git_commit("A message", cwd=folder).committed
            log_message(f"committed: {committed}")
            git_push(required=False, cwd=folder)
        branch: str | None = git_branch(cwd=folder).name
        files: list[str] = [change.path for change in git_diff(base="main", cwd=folder).files]
        clean: bool = git_status(cwd=folder).clean
        body = f"On {branch}: {files}, {clean}"
        url: str | None = create_github_pr("A title", body, draft=True, cwd=folder).url
    except StepFailed as error:
        return f"{error.step}: {error}"
    except MaverickError as error:
        return log_message(str(error), level="error").message
    return url or "no pull request"


def open_work(folder: str) -> list[str]:
    """Lists of issues and phases are lists of typed records."""
    issues: list[str] = [issue.title for issue in fetch_github_issues("bug", cwd=folder)]
    phases: list[str] = [phase.name for phase in get_phases("tasks.md", cwd=folder)]
    return issues + phases


def changed_files_context(scene: Scene) -> dict[str, Value]:
    """A context builder gets a scene, and gives a mapping of values."""
    inputs: Mapping[str, Value] = scene.inputs
    steps: Mapping[str, Value] = scene.steps
    diff: Value = steps["diff"]
    files: Value = diff["files"] if isinstance(diff, dict) else []
    return {"files": files, "branch": inputs.get("branch_name"), "item": scene.item}


def plain_message(context: Value) -> str:
    """A generator gets the context that a builder gave, and gives a text."""
    return str(context["branch"]) if isinstance(context, dict) else ""


def attachment(blob_id: BlobId) -> ObjectId:
    """Every id is an id of an object."""
    return blob_id


def run_and_resume(workflow: Path) -> maverick.Outcome:
    """A run that fails is given, what has no run is raised."""
    try:
        outcome: maverick.Outcome = maverick.run(
            workflow, {"n": 1, "at": Path("x")}, resume="auto", run_id="mine", on_event=print
        )
        if outcome.status != "done":
            outcome = maverick.resume(outcome, rerun=True, skip={"ask": None}, workspace="keep")
    except maverick.MaverickError as error:
        raise SystemExit(error.exit_code) from error
    error_text: str | None = outcome.error
    assert_type(outcome.output, Value)
    assert_type(outcome.steps["first"], maverick.Step)
    return outcome if error_text is None else maverick.resume(outcome.run)


def look_at_runs(folder: str) -> list[str]:
    """Runs, steps and files are mappings, lists and plain values."""
    project: maverick.Project = maverick.open(folder)
    lines: list[str] = []
    for run in project.runs(workflow="flow", status="done"):
        assert_type(run, maverick.Run)
        inputs: Mapping[str, Value] = run.inputs
        files: Mapping[str, bytes] = run.files
        steps: Mapping[str, maverick.Step] = run.steps
        seconds: float | None = run.seconds
        started: datetime = run.started
        changes: list[dict[str, object]] = [*run.diff(project.run("@latest"))]
        lines += [f"{inputs} {[*files]} {seconds} {started} {changes} {run.to_json()}"]
        lines += [step.log + str(step.output) + (step.error or "") for step in steps.values()]
    return lines


def answer(asked: Asked) -> Reply:
    """A function in the place of an agent gets what is asked, and gives an answer."""
    prompt: str = asked.prompt
    return Reply(says={"ok": len(prompt)}, writes={"a.txt": "text", "b.bin": b"bytes"})


def rehearse(fixture: Maverick, workflow: str) -> list[str]:
    """The function and the fixture take and give the same."""
    one: Rehearsed = run_workflow(
        workflow, {"n": 1}, agents={"helper": answer}, actions={"git_push": None}, project=False
    )
    other: Rehearsed = fixture.run_workflow(workflow, {"n": 2}, env={"A": "b"})
    calls: list[Call] = one.called["git_push"]
    return [other.status, *(asked.prompt for asked in one.asked["helper"]), str(calls)]
