"""gc in the model of saves and gc."""

from __future__ import annotations

from collections.abc import Iterator

from kit.protocol.jobs import is_owned, may_lock
from kit.protocol.world import (
    CHECKPOINTS,
    NO_REF,
    NOTHING,
    RUNS,
    Objects,
    Pack,
    Ref,
    Rules,
    State,
    acknowledged,
    commit,
    held,
    names,
    newer,
    newest_commit,
    next_cycle,
    objects_synced,
    recorded,
    refs_synced,
    renamed,
    synced,
    with_pack,
    works,
)

Step = tuple[str, State]
NO_PACKS: frozenset[Pack] = frozenset()


def collect_steps(state: State, rules: Rules) -> Iterator[Step]:
    """`Survey.take`, then a pass of `sweep._Sweeper`."""
    gc = state.gc
    saves = any(works(process) for process in state.processes)
    if not rules.locks_work and rules.gc_is_alone and saves:
        return
    match gc.step:
        case "list":
            # An open pack that is sealed by and by is the same one.
            growing = {Pack(pack.name, recorded([pack])) for pack in state.opens}
            after = gc._replace(step="mark", listed=state.packs | growing)
            yield "list objects/", state._replace(gc=after)
        case "mark":
            alive = live(state, rules, but=state.dropping)
            yield "mark", state._replace(gc=gc._replace(step="copy", live=alive))
        case "copy":
            yield copy(state, rules)
        case "lock" if may_lock(state, rules):
            shared = any(process.shares or process.refs_lock for process in state.processes)
            if not rules.locks_work or not shared:
                after = gc._replace(step="sync")
                yield "lock store.lock, exclusive", state._replace(gc=after)
        case "move":
            yield from move(state)
        case "purge":
            yield from purge(state)
        case _:
            yield from condemn_steps(state, rules)


def condemn_steps(state: State, rules: Rules) -> Iterator[Step]:
    """`_condemn`, alone in the store."""
    gc, run = state.gc, state.dropping
    match gc.step:
        case "sync":
            whole = state._replace(gc=gc._replace(step="mark again"))
            if rules.gc_syncs_before_it_marks:
                whole = refs_synced(objects_synced(opens_synced(whole)))
            yield "sync open packs, refs/, objects/", whole
        case "mark again":
            yield mark_again(state, rules)
        case "note":
            yield note(refs_synced(state), rules)
        case "drop":
            yield drop(state)
        case "sync dropped":
            changed = refs_synced(state) if rules.gc_syncs_dropped_refs else state
            gone = state.dropped | {run} if gc.drops else state.dropped
            after = gc._replace(step="move", drops=False)
            yield "sync refs/", changed._replace(gc=after, dropped=gone)


def opens_synced(state: State) -> State:
    """`_sync_pack`: those that nobody keeps are gone on with, and left."""
    opens = tuple(
        synced(pack if pack.holder else pack._replace(tail="", clean=False)) for pack in state.opens
    )
    return state._replace(opens=opens)


def standing(state: State, run: int, rules: Rules) -> Ref:
    """`Survey.look`, also by packs that somebody keeps."""
    there = state.refs[run].now
    if not rules.gc_marks_commits:
        return there
    led = newest_commit(state.opens, run)
    if not rules.gc_takes_the_newest_commit:
        commits = [commit(pack, run) for pack in state.opens]
        led = next((it for it in commits if it and newer(there, it, rules) != there), led)
    return newer(there, led, rules)


def brought_up(state: State, rules: Rules) -> State:
    """`Survey.lagging`."""
    for run, file in enumerate(state.refs):
        ref = standing(state, run, rules)
        if ref != file.now:
            state = renamed(state, run, ref)
    return state


def live(state: State, rules: Rules, but: int = -1) -> Objects:
    """What refs lead to, and commits that are newer."""
    runs = (run for run in range(len(RUNS)) if run != but)
    return NOTHING.union(*(names(standing(state, run, rules)) for run in runs))


def copy(state: State, rules: Rules) -> Step:
    gc = state.gc
    partly = frozenset(pack for pack in gc.listed if pack.holds & gc.live and pack.holds - gc.live)
    copied = (
        objects_synced(with_pack(state, f"g{state.cycles}", held(partly) & gc.live))
        if partly
        else state
    )
    there = held(gc.listed) | recorded(state.opens)
    after = gc._replace(
        step="lock",
        live=NOTHING if rules.gc_marks_again else gc.live,
        needs_note=bool(CHECKPOINTS[state.dropping] & there),
    )
    return "copy into a new pack, sync objects/", copied._replace(gc=after)


def mark_again(state: State, rules: Rules) -> Step:
    """`_condemn`: decide whether the run goes, and which packs."""
    gc, run = state.gc, state.dropping
    unclosed = any(commit(pack, run) for pack in state.opens)
    stays = is_owned(state, run) or (unclosed and rules.gc_keeps_runs_that_are_unclosed)
    drops = state.refs[run].now != NO_REF and not stays
    # In the code what was marked before stays alive, too.
    alive = live(state, rules, but=run if drops else -1) if rules.gc_marks_again else gc.live
    staying = {pack for pack in state.packs if pack not in gc.listed}
    opens = recorded(state.opens)
    going: set[Pack] = set()
    for pack in sorted(gc.listed & state.packs):
        (staying if pack.holds & alive - held(staying) - opens else going).add(pack)
    after = gc._replace(
        step="note", live=NOTHING, listed=NO_PACKS, going=frozenset(going), drops=drops
    )
    return "mark again, replace refs that lag", brought_up(state, rules)._replace(gc=after)


def note(state: State, rules: Rules) -> Step:
    """`Departure.carry_out`: all the notes that are needed, in one file."""
    gc = state.gc
    needed = rules.notes_stay_while_needed and gc.needs_note
    noted = (gc.drops and rules.drop_is_noted_first) or (state.noted and needed)
    step = "drop" if gc.drops else "sync dropped"
    after = gc._replace(step=step, needs_note=True)
    return "sync refs/; write dropped.json, durably", state._replace(gc=after, noted=noted)


def drop(state: State) -> Step:
    run = state.dropping
    gone = renamed(acknowledged(state, run, NO_REF), run, NO_REF)
    return "remove ref", gone._replace(gc=state.gc._replace(step="sync dropped"))


def move(state: State) -> Iterator[Step]:
    gc = state.gc
    for pack in sorted(gc.going & state.packs):
        moved = state._replace(
            packs=state.packs - {pack},
            unsynced=state.unsynced - {pack},
            ghosts=state.ghosts | {pack},
            trash=state.trash | {pack},
        )
        yield f"move {pack.name} to trash/", moved
    if not gc.going & state.packs:
        after = gc._replace(step="purge", going=NO_PACKS)
        yield "unlock", state._replace(gc=after)


def purge(state: State) -> Iterator[Step]:
    for pack in sorted(state.trash):
        yield f"purge {pack.name}", state._replace(trash=state.trash - {pack})
    if not state.trash:
        yield "end", next_cycle(state)
