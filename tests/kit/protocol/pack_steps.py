"""What is done to open packs, in the model of saves and gc: going on with one, closing, sealing."""

from __future__ import annotations

from collections.abc import Iterator

from kit.protocol.jobs import Step, may_lock, refs_are_free
from kit.protocol.world import (
    RUNS,
    TORN,
    Open,
    Pack,
    Process,
    Record,
    Rules,
    State,
    appended,
    commit,
    let_go,
    newer,
    newest_commit,
    objects_synced,
    open_pack,
    recorded,
    refs_synced,
    renamed,
    synced,
    with_open,
)


def pack_of(state: State, process: Process) -> Open:
    pack = open_pack(state, process.pack)
    assert pack is not None
    return pack


def unclosed(pack: Open) -> list[int]:
    return [run for run in range(len(RUNS)) if commit(pack, run) is not None]


def may_take(state: State, process: Process, rules: Rules) -> bool:
    """Whether the process gets `store.lock`, shared, unless it has it, and `refs.lock`."""
    free = refs_are_free(state) or not rules.takeover_holds_refs_lock
    return (process.shares or may_lock(state, rules)) and free


# --- `Appender._go_on`, under `refs.lock` ---


def go_on(state: State, process: Process, pack: Open, then: str, rules: Rules) -> Iterator[Step]:
    locks = rules.takeover_holds_refs_lock
    after = process._replace(
        step="bring up", shares=True, refs_lock=locks, pack=pack.name, then=then
    )
    mine = pack._replace(tail="") if rules.tail_is_cut else pack
    if rules.takeover_closes_all_runs or then != "keep":
        after = after._replace(closing=tuple(unclosed(mine)))
    if not rules.takeover_syncs:
        yield f"take {pack.name}, cut it", after, with_open(state, mine)
        return
    if rules.tail_is_written_again:
        mine = mine._replace(clean=False)
    taken = objects_synced(with_open(state, synced(mine)))
    yield f"take {pack.name}: cut, write again, sync; sync objects/", after, taken
    if state.failures and mine.synced < len(mine.records):
        failed = with_open(state, mine._replace(clean=True))._replace(failures=state.failures - 1)
        yield f"fail to sync {pack.name}", Process(process.name, "end"), failed


def bring_up(state: State, process: Process, rules: Rules) -> Iterator[Step]:
    """Replace the ref of the next run that is not closed, unless it says as much."""
    mine = pack_of(state, process)
    if mine.records and not mine.records[-1].sequence:
        mine = synced(mine)
        state = with_open(state, mine)
    if process.closing:
        run = process.closing[0]
        after = process._replace(step="close")
        yield f"replace the ref of {RUNS[run]}", after, durable(state, run, mine, rules)
    elif process.then == "keep":
        after = process._replace(step="save it", refs_lock=False, then="")
        yield "keep it", after, with_open(state, mine._replace(holder=process.name))
    elif process.then == "seal":
        yield "all are closed", process._replace(step="write index", then=""), state
    elif process.then == "settle":
        after = process._replace(step="settle", refs_lock=False, shares=False, then="")
        yield "leave it, unlock", after, state
    else:
        after = process._replace(step=process.then, refs_lock=False, pack="", then="")
        yield "leave it", after, state


def close(state: State, process: Process, _rules: Rules) -> Iterator[Step]:
    run, *others = process.closing
    closed = appended(pack_of(state, process), Record(run, 0))
    after = process._replace(step="bring up", closing=tuple(others))
    yield f"sync refs/, close {RUNS[run]}", after, with_open(refs_synced(state), closed)


def durable(state: State, run: int, mine: Open, rules: Rules, *, own: bool = False) -> State:
    """`Appender.make_durable`, but for the sync of `refs/`."""
    there = state.refs[run].now
    opens = [mine] if rules.takeover_looks_at_its_own_pack else state.opens
    led = newest_commit(opens, run)
    ref = newer(there, led, rules)
    newest = newest_commit(state.opens, run)
    if there == TORN and newest is not None and rules.torn_ref_gets_newest_tags:
        ref = ref._replace(tag=newest.tag)
    if ref == there and not rules.refs_are_written_though_they_are_up:
        return state
    return renamed(state, run, ref, replaced=not own)


# --- `settle`, `recover`, `seal_all` ---


def settle(state: State, process: Process, run: int, rules: Rules) -> Iterator[Step]:
    """Take the next pack that nobody keeps and in which the run is not closed."""
    packs = [pack for pack in after_that(state, process) if commit(pack, run) is not None]
    yield from settle_in(state, process, packs if rules.own_settles else [], "resolve", rules)


def settle_to_remove(state: State, process: Process, run: int, rules: Rules) -> Iterator[Step]:
    packs = [
        pack
        for pack in after_that(state, process)
        if (names_run(pack, run) if rules.drop_syncs_first else commit(pack, run) is not None)
    ]
    yield from settle_in(state, process, packs if rules.drop_closes_first else [], "sync", rules)


def settle_in(
    state: State, process: Process, packs: list[Open], then: str, rules: Rules
) -> Iterator[Step]:
    if not packs:
        yield "find nothing more to close", process._replace(step=then, pack=""), state
    elif may_take(state, process, rules):
        yield from go_on(state, process, packs[0], "settle", rules)


def after_that(state: State, process: Process) -> list[Open]:
    """Give the packs that nobody keeps and that are still to be looked at."""
    return [pack for pack in state.opens if not pack.holder and pack.name > process.pack]


def recover(state: State, process: Process, then: str, rules: Rules) -> Iterator[Step]:
    """Take the next pack that nobody keeps and in which a run is not closed; then go on."""
    packs = [pack for pack in state.opens if not pack.holder and unclosed(pack)]
    if not packs or not rules.change_recovers_first:
        yield "find no ref that lags", process._replace(step=then), state
    elif may_take(state, process, rules):
        yield from go_on(state, process, packs[0], process.step, rules)


def seal_steps(state: State, process: Process, rules: Rules) -> Iterator[Step]:
    if process.step != "start":
        yield from PACK_STEPS[process.step](state, process, rules)
        return
    packs = [pack for pack in state.opens if not pack.holder and pack.records]
    if packs and may_take(state, process, rules):
        yield from go_on(state, process, packs[0], "seal", rules)


# --- sealing ---


def write_index(state: State, process: Process, rules: Rules) -> Iterator[Step]:
    if rules.refs_are_durable_before_seal:
        state = refs_synced(state)
    after = process._replace(step="rename", refs_lock=process.refs_lock and not process.then)
    changed = with_open(state, pack_of(state, process)._replace(tail="index"))
    yield "sync refs/, write index", after, changed
    if state.failures and process.then:
        failed = let_go(changed, process.name)._replace(failures=state.failures - 1)
        yield "fail to seal", left(process, failed=process.pack), failed


def rename(state: State, process: Process, rules: Rules) -> Iterator[Step]:
    mine = pack_of(state, process)
    if rules.seal_is_synced_before_rename:
        mine = synced(mine)
    yield "sync, rename to .pack", process._replace(step="sync sealed"), sealed(state, mine)


def sync_sealed(state: State, process: Process, _rules: Rules) -> Iterator[Step]:
    yield "sync objects/, unlock", left(process), objects_synced(state)


def left(process: Process, failed: str = "") -> Process:
    """Give a process that has no pack any more, and does what it was to do then."""
    if not process.then:
        return Process(process.name, "end")
    return process._replace(
        step=process.then,
        shares=False,
        refs_lock=False,
        pack="",
        then="",
        failed=failed or process.failed,
        entered=False,
        carries=True,
    )


def sealed(state: State, mine: Open) -> State:
    others = tuple(pack for pack in state.opens if pack.name != mine.name)
    pack = Pack(mine.name, recorded([mine]))
    return state._replace(
        opens=others,
        packs=state.packs | {pack},
        unsynced=state.unsynced | {pack},
        formers=tuple(sorted([*state.formers, mine._replace(holder="")])),
    )


PACK_STEPS = {
    "bring up": bring_up,
    "close": close,
    "write index": write_index,
    "rename": rename,
    "sync sealed": sync_sealed,
}


def names_run(pack: Open, run: int) -> bool:
    return any(record.run == run for record in pack.records)
