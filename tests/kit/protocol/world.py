"""The world of the model of saves and gc: what the disk holds, what its readers see, and what a
power cut leaves of it.

A tree T has the children C and N, U has X; all else are leaves. Packs hold L and T, C, and D and E; C and T
are garbage. Run r0 stands at L, r1 at D, r4 at E. An object that a run stands at stands for its
checkpoint, too. Nothing here acts: the modules of steps do.

A power cut leaves packs without those whose names were not synced; of an open pack at least what
was synced, and at most what was written, perhaps with a torn record behind it; each ref as it was
at any time since it was durable, or, where it was overwritten, torn.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import NamedTuple

Objects = frozenset[str]
NOTHING: Objects = frozenset()
CHILDREN = {"T": "CN", "U": "X"}
RUNS = ("r0", "r1", "r2", "r3", "r4")
CHECKPOINTS = {1: frozenset("DTMUXYZ"), 3: NOTHING, 4: frozenset("E")}
"""Of the runs that gc may drop."""


@dataclass(frozen=True)
class Rules:
    """What the protocol demands; each rule is one that the code keeps."""

    locks_work: bool = True
    gc_is_alone: bool = True
    """Where locks do nothing: it refuses, unless the user says that nothing else is at work."""
    save_holds_shared_lock: bool = True
    each_object_is_looked_for: bool = True
    """A hit on a tree says nothing about its children."""
    trash_is_no_hit: bool = True
    objects_are_synced_though_nothing_is_new: bool = True
    ref_waits_for_pack: bool = True
    what_is_leaned_on_is_looked_for: bool = True
    """By a fork and by a tag: gc may have collected it."""
    new_packs_are_synced_before_append: bool = True
    """A record may be whole after a power cut before it was synced, and lean on them."""
    ref_waits_for_record: bool = True
    name_of_pack_is_synced: bool = True
    """Before its first record counts."""
    failed_record_is_cut: bool = True
    """Whatever the reason."""
    what_others_append_is_no_hit: bool = True
    """It may be taken back, or lost."""
    change_recovers_first: bool = True
    """It may lean on what a killed process has not synced."""
    tag_moves_no_ref: bool = True
    """What a pack says more than the ref's file may be unsynced."""
    torn_ref_is_read_again: bool = True
    """What a pack that is kept said meanwhile may be unsynced."""
    move_looks_at_packs: bool = True
    """Of who has no open pack: the run's owner may have been killed meanwhile."""
    ref_wins_ties: bool = True
    """Of two saves with one sequence the ref's counts, and the other was reported as failed."""
    run_is_owned_once: bool = True
    pack_is_locked: bool = True
    """By who appends to it."""
    takeover_holds_refs_lock: bool = True
    """Else who owns a run meanwhile goes on with the same pack."""
    own_settles: bool = True
    """Who owns a run closes it in the packs that nobody keeps."""
    tail_is_cut: bool = True
    """What follows the last whole record: a torn record, or a half-written index."""
    tail_is_written_again: bool = True
    """A sync that failed leaves pages that count as clean, and the next sync tells nothing."""
    takeover_looks_at_its_own_pack: bool = True
    """What other packs hold beyond the refs may be unsynced."""
    takeover_syncs: bool = True
    takeover_closes_all_runs: bool = True
    """Else a pack that is kept says something of runs that its keeper does not own."""
    refs_are_written_though_they_are_up: bool = True
    """They may be up in memory only."""
    torn_ref_gets_newest_tags: bool = True
    """Of all packs, though it is made to say where its run stands in one."""
    ref_is_durable_before_closed: bool = True
    first_record_carries_ref: bool = True
    replaced_ref_is_replaced_again: bool = True
    """Durably, by the owner, which finds another inode."""
    record_after_that_carries_ref: bool = True
    whole_ref_is_moved_on: bool = True
    """It knows of tags of which the pack knows nothing."""
    refs_are_durable_before_seal: bool = True
    seal_is_synced_before_rename: bool = True
    drop_closes_first: bool = True
    drop_syncs_first: bool = True
    """Open packs, after writing their tails again, and `objects/`: what others closed or sealed may
    be so in memory only.
    """
    gc_syncs_before_it_marks: bool = True
    gc_marks_again: bool = True
    gc_marks_commits: bool = True
    """Beside the refs, which it brings up."""
    gc_takes_the_newest_commit: bool = True
    """Of those of several open packs."""
    gc_keeps_runs_that_are_unclosed: bool = True
    gc_syncs_dropped_refs: bool = True
    drop_is_noted_first: bool = True
    notes_stay_while_needed: bool = True
    """While a pack holds a checkpoint of the run."""


class Pack(NamedTuple):
    name: str
    holds: Objects


class Ref(NamedTuple):
    sequence: int
    at: str
    tag: str = ""


NO_REF, TORN = Ref(0, ""), Ref(-1, "")


class RefFile(NamedTuple):
    now: Ref
    may_be: frozenset[Ref]
    """What its bytes may be after a power cut."""
    before: frozenset[Ref] = frozenset()
    """What else stands there after one, while `refs/` is not synced."""
    replaced: bool = False
    """Whether its inode is another one than the run's owner knows."""


class Record(NamedTuple):
    run: int
    sequence: int
    """0 if it says that the run is closed."""
    at: str = ""
    new: Objects = NOTHING
    carries: Ref | None = None
    """The whole ref that the run came with."""


class Open(NamedTuple):
    """An open pack."""

    name: str
    holder: str = ""
    """Who keeps it."""
    records: tuple[Record, ...] = ()
    synced: int = 0
    """So many records are durable."""
    named: bool = False
    """Whether its name is durable."""
    tail: str = ""
    """What follows the last record: nothing, `torn`, `index`, `synced index`."""
    clean: bool = False
    """A sync has failed, and the pages count as clean: the next sync does nothing."""


class Process(NamedTuple):
    name: str
    step: str = "start"
    shares: bool = False
    """Whether it holds `store.lock`, shared."""
    refs_lock: bool = False
    pack: str = ""
    """The one that it keeps, takes, or has looked at last."""
    then: str = ""
    """What it does when it has taken that."""
    closing: tuple[int, ...] = ()
    """The runs that it is yet to close in that."""
    failed: str = ""
    """A pack that it does not go on with."""
    found: Objects = NOTHING
    ref: Ref = NO_REF
    """The run's, as it saw it last."""
    entered: bool = False
    """Whether its run has a record of it in its pack."""
    carries: bool = True
    """Whether the next record has to carry the whole ref."""
    saved: int = 0


class Collector(NamedTuple):
    step: str = "list"
    listed: frozenset[Pack] = frozenset()
    live: Objects = NOTHING
    going: frozenset[Pack] = frozenset()
    needs_note: bool = True
    drops: bool = False


class State(NamedTuple):
    packs: frozenset[Pack]
    unsynced: frozenset[Pack]
    """Those of `packs` whose names may be lost."""
    ghosts: frozenset[Pack]
    """Those that were moved to `trash/`, and may be back after a power cut."""
    formers: tuple[Open, ...]
    """What those of `unsynced` that were sealed may be again."""
    trash: frozenset[Pack]
    opens: tuple[Open, ...]
    refs: tuple[RefFile, ...]
    noted: bool
    """Whether it is noted, durably, that gc dropped its run."""
    processes: tuple[Process, ...]
    gc: Collector
    dropping: int
    """The run that gc drops."""
    acknowledged: tuple[Ref, ...]
    """For each run what somebody was told is safe."""
    failed: frozenset[tuple[int, str]]
    """Runs, and what they were told was not saved, or is taken back."""
    dropped: frozenset[int]
    kills: int
    failures: int
    cycles: int


def closure(roots: Iterable[str]) -> Objects:
    found: set[str] = set()
    for root in roots:
        found.update(root, CHILDREN.get(root, ""))
    return frozenset(found)


def held(packs: Iterable[Pack]) -> Objects:
    return NOTHING.union(*(pack.holds for pack in packs))


def recorded(opens: Iterable[Open]) -> Objects:
    return NOTHING.union(*(record.new for pack in opens for record in pack.records))


def names(ref: Ref) -> Objects:
    return closure((ref.at, ref.tag))


# --- what a reader sees ---------------------------------------------------------------------------


def commit(pack: Open, run: int) -> Ref | None:
    """Give where *run* stands by its last record in *pack*, unless it is closed there."""
    ref: Ref | None = None
    for record in pack.records:
        if record.run == run:
            if not record.sequence:
                ref = None
                continue
            carried = record.carries or ref
            ref = Ref(record.sequence, record.at, carried.tag if carried else "?")
    return ref


def newest_commit(opens: Iterable[Open], run: int) -> Ref | None:
    commits = [ref for pack in opens if (ref := commit(pack, run)) is not None]
    return max(commits, key=lambda ref: ref.sequence, default=None)


def newer(there: Ref, led: Ref | None, rules: Rules) -> Ref:
    """`refs.newer`: by what a ref's file says, and an open pack."""
    if led is None:
        return there
    if there in {TORN, NO_REF}:
        return led
    if there.sequence > led.sequence - rules.ref_wins_ties:
        return there
    return led._replace(tag=there.tag) if rules.whole_ref_is_moved_on else led


def view(state: State, run: int, rules: Rules) -> Ref:
    """`Refs.get`: packs that are kept say nothing, unless the file is torn."""
    file = state.refs[run].now
    opens = [pack for pack in state.opens if not pack.holder or file == TORN]
    return newer(file, newest_commit(opens, run), rules)


def what_is_seen(state: State) -> State:
    """Give *state* without what `problems` does not look at."""
    nothing: frozenset[Pack] = frozenset()
    return state._replace(
        unsynced=nothing,
        ghosts=nothing,
        formers=(),
        trash=nothing,
        processes=(),
        gc=Collector(),
        kills=0,
        failures=0,
        cycles=0,
    )


def problems(state: State, rules: Rules) -> Iterator[str]:
    """Say what is wrong for who looks at the store now."""
    there = held(state.packs) | recorded(state.opens)
    for run, name in enumerate(RUNS):
        ref, told = view(state, run, rules), state.acknowledged[run]
        if ref == TORN or ref.tag == "?":
            yield f"the ref of {name} is torn, and nothing can rebuild it"
        if names(ref) - there:
            yield f"{name} leads to what is gone"
        if ref.sequence < told.sequence or (ref.sequence == told.sequence and ref.at != told.at):
            yield f"an acknowledged save of {name} is lost"
        if told.tag not in {"", ref.tag}:
            yield f"an acknowledged tag of {name} is lost"
        if (run, ref.at) in state.failed:
            yield f"a save of {name} that failed, or was taken back, is found"
        if run in state.dropped and ref != NO_REF:
            yield f"{name} was dropped, and is back"
    run = state.dropping
    if view(state, run, rules) == NO_REF and not state.noted and CHECKPOINTS[run] & there:
        yield f"{RUNS[run]} was dropped, and looks lost"


# --- changes of the disk --------------------------------------------------------------------------


def open_pack(state: State, name: str) -> Open | None:
    return next((pack for pack in state.opens if pack.name == name), None)


def with_open(state: State, pack: Open) -> State:
    others = [other for other in state.opens if other.name != pack.name]
    return state._replace(opens=tuple(sorted([*others, pack])))


def let_go(state: State, holder: str) -> State:
    """Free the locks of packs that *holder* has."""
    opens = tuple(
        pack._replace(holder="") if pack.holder == holder else pack for pack in state.opens
    )
    return state._replace(opens=opens)


def with_ref(state: State, run: int, file: RefFile) -> State:
    return state._replace(refs=(*state.refs[:run], file, *state.refs[run + 1 :]))


def renamed(state: State, run: int, ref: Ref, *, replaced: bool = True) -> State:
    """Replace a ref by a new file, which is synced; its name is not."""
    file = state.refs[run]
    before = file.may_be | file.before
    return with_ref(state, run, RefFile(ref, frozenset({ref}), before, replaced))


def overwritten(state: State, run: int, ref: Ref) -> State:
    """Write over the bytes of a ref, unsynced."""
    file = state.refs[run]
    return with_ref(state, run, file._replace(now=ref, may_be=file.may_be | {ref, TORN}))


def refs_synced(state: State) -> State:
    return state._replace(refs=tuple(file._replace(before=frozenset()) for file in state.refs))


def objects_synced(state: State) -> State:
    opens = tuple(pack._replace(named=True) for pack in state.opens)
    return state._replace(unsynced=frozenset(), ghosts=frozenset(), formers=(), opens=opens)


def synced(pack: Open) -> Open:
    if pack.clean:
        return pack
    tail = "synced index" if pack.tail == "index" else pack.tail
    return pack._replace(synced=len(pack.records), tail=tail)


def appended(pack: Open, record: Record) -> Open:
    """What stands behind rubbish counts for nobody."""
    return pack if pack.tail else pack._replace(records=(*pack.records, record))


def created(state: State, run: int, ref: Ref) -> State:
    """Write a new file of a ref, of which neither the bytes nor the name are synced."""
    file = state.refs[run]
    before = file.may_be | file.before
    return with_ref(state, run, RefFile(ref, frozenset({ref, TORN}), before))


def with_pack(state: State, name: str, holds: Objects) -> State:
    pack = Pack(name, holds)
    return (
        state._replace(packs=state.packs | {pack}, unsynced=state.unsynced | {pack})
        if holds
        else state
    )


def acknowledged(state: State, run: int, ref: Ref) -> State:
    """Note that somebody was told that *ref* is safe, and all that was told before."""
    told = state.acknowledged
    return state._replace(acknowledged=(*told[:run], ref, *told[run + 1 :]))


# --- kills and power cuts -------------------------------------------------------------------------


def next_cycle(state: State) -> State:
    left = state.cycles - 1
    return state._replace(gc=Collector("list" if left else "end"), cycles=left)


def works(process: Process) -> bool:
    return process.step not in {"start", "end"}


def collects(state: State) -> bool:
    return state.gc.step not in {"list", "end"}


def all_stopped(state: State) -> State:
    """Give *state* without all that a power cut ends. Those that are equal so leave the same."""
    processes = tuple(
        Process(process.name, "end") if works(process) else process for process in state.processes
    )
    stopped = state._replace(processes=processes, trash=frozenset())
    return next_cycle(stopped) if collects(state) else stopped


def after_power_cut(stopped: State) -> Iterator[State]:
    """Yield what there may be when the power is back."""
    dead = stopped._replace(unsynced=frozenset(), ghosts=frozenset(), formers=())
    choices: list[list[Pack | Open | None]] = [[None, pack] for pack in sorted(stopped.ghosts)]
    formers = {former.name: former for former in stopped.formers}
    for pack in sorted(stopped.unsynced):
        former = formers.get(pack.name)
        choices.append([pack, former] if former and former.tail == "synced index" else [pack, None])
        if former and former.tail == "index":
            choices[-1].append(former)
    choices += [list(opens_left(pack)) for pack in stopped.opens]
    refs = [sorted(file.may_be | file.before, reverse=True) for file in stopped.refs]
    sure = stopped.packs - stopped.unsynced
    for names_left in product(*choices):
        packs = sure.union(entry for entry in names_left if isinstance(entry, Pack))
        opens = tuple(sorted(restarted(entry) for entry in names_left if isinstance(entry, Open)))
        for refs_left in product(*refs):
            files = tuple(RefFile(ref, frozenset({ref})) for ref in refs_left)
            yield dead._replace(packs=packs, opens=opens, refs=files)


def opens_left(pack: Open) -> Iterator[Open | None]:
    if not pack.named:
        yield None
    count = len(pack.records)
    for left in range(pack.synced, count + 1):
        yield pack._replace(records=pack.records[:left], tail="")
        if left < count or pack.tail:
            yield pack._replace(records=pack.records[:left], tail=pack.tail or "torn")


def restarted(pack: Open) -> Open:
    tail = "index" if "index" in pack.tail else pack.tail
    return pack._replace(holder="", named=True, synced=len(pack.records), clean=False, tail=tail)
