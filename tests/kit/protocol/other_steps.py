"""Who saves without an open pack, tags and drops, in the model of saves and gc."""

from __future__ import annotations

from collections.abc import Iterator

from kit.protocol.jobs import (
    Drop,
    Save,
    Step,
    Tag,
    hits,
    is_owned,
    is_there,
    may_lock,
    refs_are_free,
)
from kit.protocol.pack_steps import PACK_STEPS, recover, settle_to_remove
from kit.protocol.world import (
    NO_REF,
    NOTHING,
    TORN,
    Process,
    Ref,
    Rules,
    State,
    acknowledged,
    closure,
    collects,
    newer,
    newest_commit,
    objects_synced,
    refs_synced,
    renamed,
    view,
    with_pack,
)


def other_steps(
    state: State, process: Process, job: Save | Tag | Drop, rules: Rules
) -> Iterator[Step]:
    if process.step in PACK_STEPS:
        yield from PACK_STEPS[process.step](state, process, rules)
        return
    match job:
        case Save():
            yield from save_steps(state, process, job, rules)
        case Tag():
            yield from tag_steps(state, process, job, rules)
        case Drop():
            yield from drop_steps(state, process, job, rules)


def save_steps(state: State, process: Process, job: Save, rules: Rules) -> Iterator[Step]:
    """`saving.save` of who has no open pack."""
    match process.step:
        case "start":
            yield from resolve(state, process, job, rules)
        case "lock":
            yield from lock(state, process, rules)
        case "recover":
            yield from recover(state, process, "list", rules)
        case "list":
            yield list_objects(state, process, job, rules)
        case "write":
            yield write(state, process, job, rules)
        case "sync":
            yield "sync objects/", process._replace(step="move"), objects_synced(state)
        case "move" if refs_are_free(state):
            yield move(state, process, job, rules)
        case "sync refs":
            told = state.acknowledged[job.run]
            yield (
                "sync refs/, unlock, tell",
                Process(process.name, "end"),
                acknowledged(refs_synced(state), job.run, process.ref._replace(tag=told.tag)),
            )


def resolve(state: State, process: Process, job: Save, rules: Rules) -> Iterator[Step]:
    """Read where the run stands, and, to fork it, where another one does."""
    before, at = view(state, job.run, rules), job.at
    if job.forks is not None and not at:
        parent = view(state, job.forks, rules)
        if not rules.torn_ref_is_read_again:
            parent = newer(parent, newest_commit(state.opens, job.forks), rules)
        if parent == NO_REF:
            return
        at = parent.at
    if before != NO_REF or job.run != 1:
        after = process._replace(step="lock", ref=Ref(before.sequence + 1, at, before.at))
        yield f"read refs, to save {at}", after, state


def lock(state: State, process: Process, rules: Rules) -> Iterator[Step]:
    if not rules.locks_work and rules.gc_is_alone and collects(state):
        return
    locks = rules.locks_work and rules.save_holds_shared_lock
    if not locks or may_lock(state, rules):
        yield "lock store.lock, shared", process._replace(step="recover", shares=locks), state


def stands(state: State, process: Process, job: Save, rules: Rules) -> Ref | None:
    now = view(state, job.run, rules) if rules.move_looks_at_packs else state.refs[job.run].now
    return now if (now.sequence + 1, now.at) == (process.ref.sequence, process.ref.tag) else None


def list_objects(state: State, process: Process, job: Save, rules: Rules) -> Step:
    """Look at the ref, list `objects/`, and look for what a fork leans on."""
    missing = job.forks is not None and not is_there(state, process.ref.at, rules)
    if missing or stands(state, process, job, rules) is None:
        return "refuse", Process(process.name, "end"), state
    found = hits(state, rules) & closure([process.ref.at])
    return "list objects/", process._replace(step="write", found=found), state


def write(state: State, process: Process, job: Save, rules: Rules) -> Step:
    at = process.ref.at
    new = NOTHING if job.forks is not None else closure([at]) - process.found
    if not rules.each_object_is_looked_for and at in process.found:
        new = NOTHING
    syncs = rules.ref_waits_for_pack and (new or rules.objects_are_synced_though_nothing_is_new)
    after = process._replace(step="sync" if syncs else "move", found=NOTHING)
    text = f"write pack of {''.join(sorted(new)) or 'nothing'}"
    return text, after, with_pack(state, process.name, new)


def move(state: State, process: Process, job: Save, rules: Rules) -> Step:
    now = stands(state, process, job, rules)
    if now is None:
        return "refuse: the run was moved", Process(process.name, "end"), state
    ref = process.ref._replace(tag=now.tag)
    after = process._replace(step="sync refs", ref=ref, refs_lock=True)
    return f"replace ref by {ref.at}", after, renamed(state, job.run, ref)


def tag_steps(state: State, process: Process, job: Tag, rules: Rules) -> Iterator[Step]:
    match process.step:
        case "start":
            now = view(state, job.run, rules)
            if now != NO_REF:
                yield (
                    f"read the ref, to tag {now.at}",
                    process._replace(step="lock", ref=now),
                    state,
                )
        case "lock" if may_lock(state, rules):
            after = process._replace(step="recover", shares=True)
            yield "lock store.lock, shared", after, state
        case "recover":
            yield from recover(state, process, "tag", rules)
        case "tag" if refs_are_free(state):
            yield tag(state, process, job, rules)
        case "sync refs":
            told = state.acknowledged[job.run]
            yield (
                "sync refs/, unlock, tell",
                Process(process.name, "end"),
                acknowledged(refs_synced(state), job.run, told._replace(tag=process.ref.at)),
            )


def tag(state: State, process: Process, job: Tag, rules: Rules) -> Step:
    now = state.refs[job.run].now if rules.tag_moves_no_ref else view(state, job.run, rules)
    if now in {NO_REF, TORN} or not is_there(state, process.ref.at, rules):
        return "refuse", Process(process.name, "end"), state
    ref = now._replace(tag=process.ref.at)
    after = process._replace(step="sync refs", refs_lock=True)
    return f"tag {ref.tag}: replace ref", after, renamed(state, job.run, ref)


def drop_steps(state: State, process: Process, job: Drop, rules: Rules) -> Iterator[Step]:
    match process.step:
        case "start":
            if not is_owned(state, job.run) and view(state, job.run, rules) != NO_REF:
                yield "own the run", process._replace(step="settle"), state
        case "settle":
            yield from settle_to_remove(state, process, job.run, rules)
        case "sync" if may_lock(state, rules):
            changed = objects_synced(state) if rules.drop_syncs_first else state
            after = process._replace(step="remove", shares=True)
            yield "sync objects/; lock store.lock, shared", after, changed
        case "remove" if refs_are_free(state):
            before = view(state, job.run, rules)
            after = process._replace(step="sync refs", refs_lock=True, ref=before)
            gone = acknowledged(state, job.run, job.to)
            yield "remove ref, or take it back", after, renamed(gone, job.run, job.to)
        case "sync refs":
            changed = told_gone(refs_synced(state), job, process.ref)
            yield "sync refs/, unlock, tell", Process(process.name, "end"), changed


def told_gone(state: State, job: Drop, before: Ref) -> State:
    if job.to == NO_REF:
        return state._replace(dropped=state.dropped | {job.run})
    gone = {(job.run, before.at)} if before.at != job.to.at else set()
    return state._replace(failed=state.failed | gone)
