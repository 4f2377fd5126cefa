"""What owns a run and appends records to an open pack, in the model of saves and gc."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from kit.protocol.jobs import Owner, Step, hits, is_owned, may_lock, refs_are_free
from kit.protocol.pack_steps import PACK_STEPS, durable, go_on, left, may_take, pack_of, settle
from kit.protocol.world import (
    NO_REF,
    NOTHING,
    TORN,
    Open,
    Process,
    Record,
    Ref,
    Rules,
    State,
    acknowledged,
    appended,
    closure,
    created,
    let_go,
    objects_synced,
    open_pack,
    overwritten,
    refs_synced,
    renamed,
    synced,
    view,
    with_open,
    with_pack,
    with_ref,
)


def owner_steps(state: State, process: Process, job: Owner, rules: Rules) -> Iterator[Step]:
    own_step = OWNER_STEPS.get(process.step)
    if own_step is not None:
        yield from own_step(state, process, job, rules)
    else:
        yield from PACK_STEPS[process.step](state, process, rules)


def own(state: State, process: Process, job: Owner, rules: Rules) -> Iterator[Step]:
    if not is_owned(state, job.run) or not rules.run_is_owned_once:
        yield "own the run", process._replace(step="settle"), state


def settle_own(state: State, process: Process, job: Owner, rules: Rules) -> Iterator[Step]:
    yield from settle(state, process, job.run, rules)


def resolve(state: State, process: Process, job: Owner, rules: Rules) -> Iterator[Step]:
    ref = view(state, job.run, rules)
    if ref != NO_REF or job.run != 1:
        yield "read the ref", process._replace(step="save", ref=ref), state
    else:
        yield "there is no run", Process(process.name, "end"), state


def standing(state: State, process: Process, job: Owner, rules: Rules) -> Ref | None:
    """Give the ref, if the run stands where it is to: `Saving.expected_ref`."""
    same = process.entered and not state.refs[job.run].replaced
    ref = process.ref if same else view(state, job.run, rules)
    return ref if ref[:2] == process.ref[:2] else None


def save(state: State, process: Process, job: Owner, rules: Rules) -> Iterator[Step]:
    """`saving.save`, up to where it has a pack."""
    if not may_lock(state, rules):
        return
    if standing(state, process, job, rules) is None:
        ended = let_go(state, process.name)
        yield "refuse: the run was moved", Process(process.name, "end"), ended
        return
    after = process._replace(
        step="save it" if process.pack else "ready",
        shares=rules.save_holds_shared_lock,
        found=hits(state, rules, process.pack),
    )
    yield "lock store.lock, shared; read the ref, list objects/", after, state


def ready(state: State, process: Process, _job: Owner, rules: Rules) -> Iterator[Step]:
    """`Appender.ready`: what is taken here is no hit yet."""
    if not may_take(state, process, rules):
        return
    for pack in state.opens:
        if (not pack.holder or not rules.pack_is_locked) and pack.name != process.failed:
            yield from go_on(state, process, pack, "keep", rules)
            return
    taken = {pack.name for pack in (*state.opens, *state.formers)}
    taken |= {pack.name for pack in state.packs}
    name = next(name for i in range(9) if (name := f"{process.name}-{i}") not in taken)
    yield f"create {name}", process._replace(step="save it", pack=name), state


def save_it(state: State, process: Process, job: Owner, rules: Rules) -> Iterator[Step]:
    """`Appender.commit`, up to the record, which the lock of refs waits for if the run enters."""
    if not process.entered and not refs_are_free(state):
        return
    before, file = standing(state, process, job, rules), state.refs[job.run]
    if before is None:
        ended = let_go(state, process.name)
        yield "refuse: the run was moved", Process(process.name, "end"), ended
        return
    carries = process.carries or (file.replaced and rules.record_after_that_carries_ref)
    record = new_record(process, job, before if carries else None, rules)
    if process.saved == job.big and record.new:
        after = process._replace(found=process.found | record.new)
        yield f"write pack for {record.at}", after, with_pack(state, "big", record.new)
        return
    if not process.entered:
        state = with_ref(state, job.run, file._replace(replaced=False))
    text = f"append {record.at}"
    if state.unsynced and rules.new_packs_are_synced_before_append:
        state, text = objects_synced(state), f"sync objects/, {text}"
    mine = open_pack(state, process.pack) or Open(process.pack, process.name)
    both = mine.holder != process.name
    pack = mine._replace(tail="torn") if both else appended(mine, record)
    after = process._replace(
        step="move", found=NOTHING, ref=before, carries=carries, refs_lock=not process.entered
    )
    yield text, after, with_open(state, pack)


def new_record(process: Process, job: Owner, before: Ref | None, rules: Rules) -> Record:
    """What stays as it is in the run's newest checkpoint is looked for nowhere."""
    at = job.goals[process.saved]
    new = closure([at]) - process.found - closure([process.ref.at])
    if not rules.each_object_is_looked_for and at in process.found:
        new = NOTHING
    carried = before if process.entered or rules.first_record_carries_ref else None
    return Record(job.run, process.ref.sequence + 1, at, new, carried)


def move(state: State, process: Process, job: Owner, rules: Rules) -> Iterator[Step]:
    """Sync the record, then write the ref."""
    mine, file = pack_of(state, process), state.refs[job.run]
    if state.failures:
        failed = with_open(state, mine._replace(clean=True))._replace(failures=state.failures - 1)
        yield "fail to sync record", process._replace(step="cut"), failed
    if not (process.refs_lock or refs_are_free(state)):
        return
    whole = record_synced(state, mine, rules)
    ref = Ref(process.ref.sequence + 1, job.goals[process.saved], process.ref.tag)
    if not file.replaced or not rules.replaced_ref_is_replaced_again:
        after = process._replace(ref=ref, entered=True, carries=False)
        changed = (created if file.now == NO_REF else overwritten)(whole, job.run, ref)
        yield acknowledge(changed, after, job, "sync it, write over the ref")
        if state.failures:
            failed = let_go(whole, process.name)._replace(failures=state.failures - 1)
            for left_over in (failed, overwritten(failed, job.run, TORN)):
                yield acknowledge(left_over, out(after), job, "fail to write the ref")
        return
    there = process.ref if file.now == TORN else file.now
    if there.at != process.ref.at:
        yield "find that the run was moved", process._replace(step="cut", failed="all"), whole
        return
    ref = ref._replace(tag=there.tag)
    carries = rules.record_after_that_carries_ref
    after = process._replace(step="sync refs", refs_lock=True, ref=ref, carries=carries)
    yield "sync it, replace the ref", after, renamed(whole, job.run, ref, replaced=False)


def record_synced(state: State, mine: Open, rules: Rules) -> State:
    if not rules.ref_waits_for_record:
        return state
    state = with_open(state, synced(mine))
    return state if mine.named or not rules.name_of_pack_is_synced else objects_synced(state)


def out(process: Process) -> Process:
    """`Appender._abandon`."""
    return process._replace(pack="", entered=False, carries=True)


def torn_states(state: State, process: Process, job: Owner, rules: Rules) -> Iterator[State]:
    """Yield what there is when *process* is killed while it writes over the ref."""
    replaced = state.refs[job.run].replaced and rules.replaced_ref_is_replaced_again
    if (process.refs_lock or refs_are_free(state)) and not replaced:
        yield overwritten(record_synced(state, pack_of(state, process), rules), job.run, TORN)


def cut(state: State, process: Process, job: Owner, rules: Rules) -> Iterator[Step]:
    """Cut the record, durably, and abandon the pack."""
    mine = pack_of(state, process)
    if rules.failed_record_is_cut:
        records = mine.records[:-1]
        count = min(mine.synced, len(records))
        state = with_open(state, mine._replace(records=records, synced=count, clean=False))
    failed = state.failed | {(job.run, job.goals[process.saved])}
    ended = let_go(state._replace(failed=failed), process.name)
    after, saved = Process(process.name, "end"), process.saved + 1
    if job.goes_on and process.failed != "all" and saved < len(job.goals):
        after = out(process)._replace(
            step="save", shares=False, refs_lock=False, failed=process.pack, saved=saved
        )
    yield "tell that the save failed, let the pack go", after, ended


def sync_refs(state: State, process: Process, job: Owner, _rules: Rules) -> Iterator[Step]:
    yield acknowledge(refs_synced(state), process, job, "sync refs/")


def acknowledge(state: State, process: Process, job: Owner, text: str) -> Step:
    saved = process.saved + 1
    step = "save" if saved < len(job.goals) else "leave"
    seals = job.seals and saved == 1 and process.entered
    if step == "leave" and not process.entered:
        step = "end"
    after = process._replace(
        step="seal" if seals else step, shares=seals, refs_lock=False, saved=saved
    )
    told = state.acknowledged[job.run]
    now = process.ref._replace(tag=told.tag)
    if step == "end":
        after = Process(process.name, "end")
    return f"{text}, unlock, tell {now.at}", after, acknowledged(state, job.run, now)


def seal(state: State, process: Process, job: Owner, rules: Rules) -> Iterator[Step]:
    """`Appender._seal_own`: the run stays unclosed in it."""
    if refs_are_free(state):
        if rules.refs_are_durable_before_seal:
            state = durable(state, job.run, pack_of(state, process), rules, own=True)
        after = process._replace(step="write index", refs_lock=True, then="save")
        yield "replace the ref", after, state


def leave(state: State, process: Process, job: Owner, rules: Rules) -> Iterator[Step]:
    """`Appender.leave`."""
    if refs_are_free(state) and may_lock(state, rules):
        if rules.ref_is_durable_before_closed:
            state = durable(state, job.run, pack_of(state, process), rules, own=True)
        after = process._replace(step="close own", shares=True, refs_lock=True)
        yield "lock store.lock, shared; replace the ref", after, state


def close_own(state: State, process: Process, job: Owner, rules: Rules) -> Iterator[Step]:
    changed = with_open(state, appended(pack_of(state, process), Record(job.run, 0)))
    if rules.ref_is_durable_before_closed:
        changed = refs_synced(changed)
    after = process._replace(step="let go", refs_lock=False)
    yield "sync refs/, append `closed`", after, changed


def let_it_go(state: State, process: Process, job: Owner, _rules: Rules) -> Iterator[Step]:
    state = with_open(state, synced(pack_of(state, process)))
    if job.seals_at_end:
        yield "sync it", process._replace(step="write index"), state
    else:
        yield "sync it, let the pack go", left(process), let_go(state, process.name)


OWNER_STEPS: dict[str, Callable[[State, Process, Owner, Rules], Iterator[Step]]] = {
    "start": own,
    "settle": settle_own,
    "resolve": resolve,
    "save": save,
    "ready": ready,
    "save it": save_it,
    "move": move,
    "cut": cut,
    "sync refs": sync_refs,
    "seal": seal,
    "leave": leave,
    "close own": close_own,
    "let go": let_it_go,
}
