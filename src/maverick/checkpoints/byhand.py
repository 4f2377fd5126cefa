"""Changes that people make to runs, and how the last of them is taken back.

Each is noted in a small file *before* it is made, with the ref as it stood. Taking one back writes
a new checkpoint, or makes or removes a ref; what a step saved is never taken back. A note whose
change did not happen, because of a crash between the two, is passed over.
"""

from __future__ import annotations

import os
import re
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, get_args

from maverick.checkpoints.disk import sealed
from maverick.checkpoints.disk.files import replace as replace_file
from maverick.checkpoints.disk.files import writing
from maverick.checkpoints.disk.layout import temporary
from maverick.checkpoints.objects.ids import CheckpointId, ObjectId
from maverick.checkpoints.refs.refs import Ref, encode_ref, parse_ref
from maverick.checkpoints.refs.retention import Fate, roots
from maverick.checkpoints.revisions import ambiguous, fitting
from maverick.checkpoints.trees.content import Content, existing
from maverick.errors import NotFound, RefMoved, StoreDamaged, StoreTooNew, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path as File

    from maverick.checkpoints.store import Store
    from maverick.checkpoints.trees.checkpoint import Checkpoint
    from maverick.checkpoints.trees.folders import Path
    from maverick.checkpoints.trees.tree_nodes import Entry

Action: TypeAlias = Literal["edit", "fork", "tag", "drop", "restore"]
Changes: TypeAlias = "Mapping[Path, Content | None]"

FOLDER: Final = "byhand"
KEPT: Final = 64
"""How many notes are kept; older ones are removed."""
UNDID: Final = "undid: "
_EDITED: Final = "edited "
_RUN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,99}")
_RESERVED: Final = frozenset({"auto", "latest"})
"""`--resume=auto` and `@latest` are no runs."""
_NOTE = re.compile(r"[0-9]+-\w+")
_TAG = re.compile(r"[^\s@~:/\x00-\x1f]{1,100}")


@dataclass(frozen=True, slots=True)
class HandChange:
    """A change that somebody made to `run`. `before` is its ref before that, None if there was no
    such run.

    `created` is in milliseconds since the epoch, `reason` what was done, in words.
    """

    action: Action
    run: str
    reason: str
    created: int
    before: Ref | None
    detail: Mapping[str, str] = field(default_factory=dict)
    name: str = ""


# --- making them ----------------------------------------------------------------------------------


def check_run_name(run: str) -> str:
    """Give *run* back if a person may call a run so. Raises UsageError."""
    if not _RUN.fullmatch(run):
        raise UsageError(
            f"{run!r} cannot be the name of a run: up to 100 letters, digits, `.`, `_` and `-`, "
            "neither `.` nor `-` first"
        )
    if run in _RESERVED:
        raise UsageError(
            f"{run!r} cannot be the name of a run: `--resume=auto` and `@latest` mean something "
            "else"
        )
    return run


def check_tag(name: str) -> str:
    """Give *name* back if a person may call a tag so. Raises UsageError."""
    if not _TAG.fullmatch(name) or name == "latest":
        raise UsageError(
            f"{name!r} cannot be a tag: up to 100 characters without blanks and `@ ~ : /`, and "
            "not `latest`"
        )
    return name


def fork(
    store: Store, start: Checkpoint, run: str, *, changes: Changes, facts: Changes, reason: str
) -> Checkpoint:
    """Begin *run* at the checkpoint *start*, with *changes* made to it: one ref and one checkpoint,
    nothing is copied.

    Raises:
        UsageError: *run* is no name for a run, or there is such a run.
        NotFound: gc has collected *start*.
    """
    check_run_name(run)
    if store.find_ref(run) is not None:
        raise UsageError(f"there is a run {run} already; choose another name")
    _note(store, "fork", run, reason, None)
    return store.save(
        run,
        changes,
        parent=start,
        kind="pause",
        step=start.step,
        reason=reason,
        facts=facts,
        summary={"forked_from": f"{start.run} at {start.id[:12]}"},
    )


def edit(
    store: Store, tip: Checkpoint, *, changes: Changes, facts: Changes, what: str
) -> Checkpoint:
    """Save a checkpoint on top of *tip*, where its run stands, with *changes*; whoever calls owns
    the run.

    Raises:
        RefMoved: the run does not stand there any more.
    """
    reason = f"{_EDITED}{what}"
    _note(store, "edit", tip.run, reason, store.ref(tip.run))
    return store.save(
        tip.run, changes, parent=tip, kind="pause", step=tip.step, reason=reason, facts=facts
    )


def tag(store: Store, run: str, name: str, checkpoint: Checkpoint | None) -> None:
    """Give *checkpoint* the tag *name* in *run*, so that `RUN@NAME` is it and gc keeps it; None
    takes the tag away.

    Raises:
        UsageError: *name* is none that a revision can hold.
        NotFound: there is no such run, no such tag to take away, or gc has collected *checkpoint*.
    """
    check_tag(name)
    ref = store.ref(run)
    if checkpoint is None and name not in ref.tags:
        raise NotFound(f"run {run} has no tag {name}; it has {', '.join(ref.tags) or 'none'}")
    target = checkpoint.id if checkpoint is not None else ""
    if target == ref.tags.get(name, ""):
        return
    reason = f"tagged {target[:12]} as {name}" if target else f"removed the tag {name}"
    _note(store, "tag", run, reason, ref, {"tag": name, "to": target})
    store.tag(run, name, checkpoint)


def drop(store: Store, run: str) -> None:
    """Forget *run*. Until the next gc it can be taken back. Raises NotFound, RunOwned,
    RefDamaged.
    """
    ref = store.ref(run)
    with store.own(run):  # Whoever executes it is named before anything is noted.
        pass
    _note(store, "drop", run, "dropped", ref)
    store.drop(run)


def note_restore(store: Store, safety: Checkpoint, reason: str) -> None:
    """Note that files are about to be restored; *safety* holds those that are there now."""
    _note(store, "restore", safety.run, reason, store.ref(safety.run), {"safety": safety.id})


def safety_of(store: Store, change: HandChange) -> Checkpoint:
    """The checkpoint with the files as they were before the restoration *change*. Raises
    StoreDamaged.
    """
    return store.checkpoint(CheckpointId(ObjectId(change.detail["safety"])))


def _note(
    store: Store,
    action: Action,
    run: str,
    reason: str,
    before: Ref | None,
    detail: Mapping[str, str] | None = None,
) -> None:
    """Write down, durably, what is about to be changed."""
    folder, now = store.root / FOLDER, store.now()
    data = sealed.seal(
        {
            "action": action,
            "before": encode_ref(before).decode() if before is not None else "",
            "created": now,
            "detail": dict(detail or {}),
            "format": 1,
            "reason": reason,
            "run": run,
        }
    )
    with writing("note a change by hand", store.root):
        store.files.make_folder(folder)
        names = _names(store)
        newest = int(names[-1].partition("-")[0]) if names else 0
        name = f"{max(now, newest + 1):016d}-{os.urandom(4).hex()}"
        replace_file(store.files, temporary(store.root), folder / name, [data])
        for old in names[: -KEPT + 1]:
            forget(store, old)


# --- taking them back -----------------------------------------------------------------------------


def newest(store: Store, run: str = "") -> HandChange:
    """Give the last change by hand that can still be there to be taken back; with *run*, of that
    run.

    Raises:
        NotFound: there is none.
        StoreDamaged: its note is torn or altered.
        StoreTooNew: a newer version made it.
    """
    for name in reversed(_names(store)):
        try:
            change = _read(store, name)
        except FileNotFoundError:  # Another process has taken it back.
            continue
        if (run and change.run != run) or _is_past(store, change):
            continue
        return change
    raise NotFound(f"no change by hand to {run or 'any run'} is left to be taken back")


def find_run(store: Store, word: str) -> str:
    """Give the run that *word* names, which may be one that was dropped.

    Raises:
        NotFound: there is none.
        RevisionAmbiguous: *word* fits several.
        RefDamaged: the run that it names has a damaged ref.
    """
    changed = set()
    for name in _names(store):
        with suppress(StoreDamaged, StoreTooNew, FileNotFoundError):
            changed.add(_read(store, name).run)
    runs = [] if "@" in word else fitting(word, {*store.run_ids(), *changed})
    if len(runs) > 1:
        raise ambiguous(word, runs)
    return runs[0] if runs else store.resolve_run(word).run


def needed(store: Store) -> list[CheckpointId]:
    """Give the checkpoints that taking changes back needs and no ref may lead to: of dropped runs,
    of moved tags.
    """
    checkpoints: dict[CheckpointId, None] = {}
    for name in _names(store):
        with suppress(StoreDamaged, StoreTooNew, FileNotFoundError):
            change = _read(store, name)
            if change.before is not None and not _is_past(store, change):
                checkpoints.update(dict.fromkeys(roots(change.before, Fate.WHOLE)))
    return list(checkpoints)


def undo(store: Store, change: HandChange) -> str:
    """Take *change* back, and give what became of its run, in words; no restoration, which is about
    files.

    Raises:
        RefMoved: the run has gone on since: steps have saved, and they are never taken back.
        RunOwned: a process executes the run.
        NotFound: gc has collected what the run was; the change is not offered any more.
    """
    match change.action:
        case "edit":
            said = _undo_edit(store, change)
        case "fork":
            _require_untouched(store, change, 1)
            store.drop(change.run)
            said = f"run {change.run} is gone again"
        case "tag":
            said = _undo_tag(store, change)
        case "drop":
            said = _undo_drop(store, change)
        case "restore":
            raise UsageError("a restoration is taken back where the files are")
    forget(store, change.name)
    return said


def _undo_edit(store: Store, change: HandChange) -> str:
    before = _ref(change)
    with store.own(change.run):
        _require_untouched(store, change, before.sequence)
        tip = store.checkpoint(store.ref(change.run).checkpoint)
        then = store.checkpoint(before.checkpoint)
        now, old = store.snapshot(tip), store.snapshot(then)
        store.save(
            change.run,
            replacing(now.entries(), old.entries()),
            facts=replacing(now.facts(), old.facts()),
            parent=tip,
            kind=then.kind if then.kind != "label" else "auto",
            step=then.step,
            reason=f"{UNDID}{change.reason}",
        )
    return f"run {change.run} is as it was before"


def replacing(now: Mapping[str, Entry], then: Mapping[str, Entry]) -> dict[Path, Content | None]:
    """Give the changes that make a folder which holds *now* hold *then*."""
    gone: dict[Path, Content | None] = {(name,): None for name in now if name not in then}
    return {**gone, **{(name,): existing(entry) for name, entry in then.items()}}


def _undo_tag(store: Store, change: HandChange) -> str:
    name = change.detail["tag"]
    old = _ref(change).tags.get(name)
    store.tag(change.run, name, store.checkpoint(old) if old is not None else None)
    return f"run {change.run} has its tags as before"


def _undo_drop(store: Store, change: HandChange) -> str:
    ref = _ref(change)
    if store.find_ref(change.run) is not None:
        raise RefMoved(f"there is a run {change.run} again; drop that one, or leave it as it is")
    try:
        store.adopt(ref)
    except NotFound:
        forget(store, change.name)
        raise
    return f"run {change.run} is there again"


def _require_untouched(store: Store, change: HandChange, sequence: int) -> None:
    """Refuse to take anything back of a run that has saved something else than changes by hand
    since *sequence*.
    """
    ref = store.ref(change.run)
    later = [position for position in ref.positions if position.sequence > sequence]
    if len(later) == ref.sequence - sequence and all(
        position.reason.startswith((_EDITED, UNDID)) for position in later
    ):
        return
    how = f"`maverick checkpoint drop {change.run}` removes it"
    if change.action == "edit":
        how = (
            f"`maverick checkpoint fork {change.run}~{ref.sequence - sequence}` begins where it "
            "stood before"
        )
    raise RefMoved(
        f"run {change.run} has gone on since ({change.reason}); what steps saved is never taken "
        f"back; {how}"
    )


def _is_past(store: Store, change: HandChange) -> bool:
    """Whether there is nothing to be taken back: the change never happened, or what it made is
    gone.
    """
    ref = store.find_ref(change.run)
    before = change.before
    match change.action:
        case "drop":
            return ref is not None and before is not None and ref.started == before.started
        case "fork":
            return ref is None or (
                ref.sequence == len(ref.positions) and ref.positions[0].reason != change.reason
            )
        case "edit":
            return ref is None or ref.sequence <= _ref(change).sequence
        case "restore":
            return ref is None
        case "tag":
            return ref is None or ref.tags.get(change.detail["tag"], "") != change.detail["to"]


def _ref(change: HandChange) -> Ref:
    if change.before is None:
        raise StoreDamaged(f"the note of what was done to run {change.run} by hand has no ref")
    return change.before


def _names(store: Store) -> list[str]:
    with suppress(FileNotFoundError), writing("list the changes by hand", store.root):
        names = store.files.list(store.root / FOLDER)
        return sorted(name for name in names if _NOTE.fullmatch(name))
    return []


def _read(store: Store, name: str) -> HandChange:
    path = store.root / FOLDER / name
    try:
        fields = sealed.read(store.files, path)
    except sealed.Broken as broken:
        raise _broken_note(path, str(broken)) from broken
    match fields:
        case {"format": int(version)} if version > 1:
            raise StoreTooNew(f"{path} was written by a newer version; update maverick")
        case {"format": 1, "action": str(action)} if action not in get_args(Action):
            raise StoreTooNew(
                f"{path} says `{action}`, which this version cannot take back; update maverick"
            )
        case {
            "format": 1,
            "action": str(action),
            "before": str(before),
            "created": int(created),
            "detail": dict(detail),
            "reason": str(reason),
            "run": str(run),
        }:
            ref = parse_ref(before.encode()) if before else None
            if bool(before) is (ref is not None):
                return HandChange(action, run, reason, created, ref, detail, name)  # type: ignore[arg-type]
    raise _broken_note(path, "is torn or altered")


def _broken_note(path: File, how: str) -> StoreDamaged:
    return StoreDamaged(
        f"the note of a change by hand {how} ({path}); move it away to take back an older one"
    )


def forget(store: Store, name: str) -> None:
    """Offer the change by hand of that *name* no more: it has been taken back."""
    with suppress(FileNotFoundError), writing("forget a change by hand", store.root):
        store.files.unlink(store.root / FOLDER / name)
