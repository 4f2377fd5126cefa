"""The protocol of saves and gc as a model, of which every interleaving, kill and power cut is
looked at.

Three saves, a merge of packs and a gc of two cycles run in all orders. Any process may be killed
between any two steps, which frees its locks; the power may go at any instant. A step is what the
code does between two looks of others at the disk, and is called what it is called there
(`store.Store.save`, `merge.Merger`, `sweep._Sweeper`, `departure.Departure`). Whatever changes in
their order, or in what a step leans on, changes here. Each rule of the protocol can be switched
off; then there has to be a counter-example, or the rule would be for nothing.

The world: a tree T with the children C and N, and leaves. Packs hold L and T, C, and D and E; C and
T are garbage. Run r0 stands at L, r1 at D, r4 at E. Save W1 moves r1 to T, W2 begins r2 with N, W3
forks r3 from r4, of which it writes nothing. gc drops r4; while E is in a pack, r4 must have its
ref or be noted as dropped. A power cut leaves packs without those whose names were not synced, and
each ref as it was at any time since `refs/` was synced. A rename between folders arrives as one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import chain
from typing import NamedTuple

import pytest

Objects = frozenset[str]
NOTHING: Objects = frozenset()
CHILDREN = {"T": "CN"}


@dataclass(frozen=True)
class Rules:
    """What the protocol demands; each rule is one that the code keeps."""

    locks_work: bool = True
    save_holds_shared_lock: bool = True
    each_object_is_looked_for: bool = True
    """A hit on a tree says nothing about its children."""
    trash_is_no_hit: bool = True
    objects_are_synced_though_nothing_is_new: bool = True
    ref_waits_for_pack: bool = True
    fork_looks_for_its_parent: bool = True
    gc_syncs_before_it_marks: bool = True
    gc_marks_again: bool = True
    gc_brings_back: bool = True
    gc_syncs_dropped_refs: bool = True
    purge_waits_for_saves: bool = True
    """In the code: for an hour, where locks cannot be trusted."""
    purge_waits_before_the_mark: bool = True
    gc_syncs_before_it_purges: bool = True
    """Where locks cannot be trusted: the mark may have found a pack that is not durable yet."""
    drop_is_noted_first: bool = True
    notes_stay_while_needed: bool = True
    """While a pack holds a checkpoint of the run."""
    notes_wait_for_trash: bool = True
    """Packs come back from there."""
    notes_go_after_a_sync: bool = True
    """Of `trash/`: what was purged may else come back, too."""
    merge_looks_for_its_pack: bool = True
    """gc may have taken the merged pack, and left those that it replaces."""

    @property
    def trusted(self) -> bool:
        """Whether gc may remove what it moved at once."""
        return self.locks_work


class Pack(NamedTuple):
    name: str
    holds: Objects


class Trashed(NamedTuple):
    """A pack in `trash/`, with the saves that were under way when it came there and still are."""

    pack: Pack
    during: frozenset[str]


class Saver(NamedTuple):
    name: str
    step: str = "lock"
    found: Objects = NOTHING


class Collector(NamedTuple):
    step: str = "list"
    listed: frozenset[Pack] = frozenset()
    live: Objects = NOTHING
    old: frozenset[Pack] = frozenset()
    """What may be purged of the trash that was there when the pass began."""
    going: frozenset[Pack] = frozenset()
    moved: frozenset[Pack] = frozenset()
    needs_note: bool = True


class Merger(NamedTuple):
    """What copies p1 and p2 into one pack. It merges in no store whose locks cannot be trusted."""

    step: str = "copy"
    replaced: frozenset[Pack] = frozenset()


class State(NamedTuple):
    packs: frozenset[Pack]
    unsynced: frozenset[Pack]
    """Those of `packs` whose names may be lost."""
    trash: frozenset[Trashed]
    refs: tuple[tuple[str, ...], ...]
    """For each run where its ref stood since `refs/` was synced, now last; empty text for none."""
    noted: bool
    """Whether it is noted, durably, that r4 was dropped."""
    ghosts: frozenset[str]
    """The folders in which a pack with E may be after a power cut that is there no more."""
    locks: frozenset[str]
    savers: tuple[Saver, ...]
    merger: Merger
    gc: Collector
    kills: int
    cycles: int


RUNS = ("r0", "r1", "r2", "r3", "r4")
DROPPED_RUN = RUNS.index("r4")


class Save(NamedTuple):
    run: int
    before: str
    after: str
    forks: bool = False


SAVES = {"W1": Save(1, "D", "T"), "W2": Save(2, "", "N"), "W3": Save(3, "", "E", forks=True)}


def closure(roots: Iterator[str] | list[str]) -> Objects:
    found: set[str] = set()
    for root in roots:
        found.update(root, CHILDREN.get(root, ""))
    return frozenset(found)


def held(packs: frozenset[Pack]) -> Objects:
    return NOTHING.union(*(pack.holds for pack in packs))


def start(savers: tuple[str, ...], kills: int, cycles: int) -> State:
    packs = frozenset(
        {Pack("p1", frozenset("LT")), Pack("p2", frozenset("C")), Pack("p3", frozenset("DE"))}
    )
    refs = (("L",), ("D",), ("",), ("",), ("E",))
    merger = Merger("copy" if "M" in savers else "end")
    saving = tuple(Saver(name) for name in savers if name != "M")
    none: frozenset[str] = frozenset()
    return State(
        packs,
        frozenset(),
        frozenset(),
        refs,
        False,
        none,
        none,
        saving,
        merger,
        Collector(),
        kills,
        cycles,
    )


def moved(state: State, run: int, to: str) -> State:
    refs = state.refs
    return state._replace(refs=(*refs[:run], (*refs[run], to), *refs[run + 1 :]))


def refs_synced(state: State) -> State:
    return state._replace(refs=tuple(history[-1:] for history in state.refs))


def objects_synced(state: State) -> State:
    return state._replace(unsynced=frozenset(), ghosts=state.ghosts - {"objects"})


def with_pack(state: State, name: str, holds: Objects) -> State:
    pack = Pack(name, holds)
    return (
        state._replace(packs=state.packs | {pack}, unsynced=state.unsynced | {pack})
        if holds
        else state
    )


def with_ghost(state: State, folder: str, pack: Pack) -> State:
    return state._replace(ghosts=state.ghosts | {folder}) if "E" in pack.holds else state


def under_way(state: State) -> frozenset[str]:
    return frozenset(saver.name for saver in state.savers if saver.step not in {"lock", "end"})


# --- the steps ------------------------------------------------------------------------------------


def steps(state: State, rules: Rules) -> Iterator[tuple[str, State]]:
    """Yield what may happen next, and what is then."""
    for number, saver in enumerate(state.savers):
        for name, after, changed in save_steps(state, saver, rules):
            savers = (*state.savers[:number], after, *state.savers[number + 1 :])
            yield f"{saver.name}: {name}", changed._replace(savers=savers)
            if state.kills and saver.step != "lock":
                savers = (
                    *state.savers[:number],
                    Saver(saver.name, "end"),
                    *state.savers[number + 1 :],
                )
                yield (
                    f"kill {saver.name}",
                    ended(state, saver)._replace(savers=savers, kills=state.kills - 1),
                )
    yield from merge_steps(state, rules)
    yield from collect_steps(state, rules)
    if state.kills and state.gc.step not in {"list", "end"}:
        freed = state.locks - {"gc"}
        yield "kill gc", next_cycle(state._replace(locks=freed, kills=state.kills - 1))


SaveStep = tuple[str, Saver, State]


def save_steps(state: State, saver: Saver, rules: Rules) -> Iterator[SaveStep]:
    """`Store.save`."""
    save = SAVES[saver.name]
    match saver.step:
        case "lock":
            locks = rules.locks_work and rules.save_holds_shared_lock
            if not locks or not state.locks & {"gc", "M"}:
                held_by = state.locks | {saver.name} if locks else state.locks
                yield (
                    "lock store.lock, shared",
                    saver._replace(step="list"),
                    state._replace(locks=held_by),
                )
        case "list":
            yield list_objects(state, saver, rules)
        case "write":
            yield write(state, saver, rules)
        case "sync":
            yield "sync objects/", Saver(saver.name, "move"), objects_synced(state)
        case "move":
            text = f"move ref {RUNS[save.run]} to {save.after}"
            yield text, Saver(saver.name, "sync refs"), moved(state, save.run, save.after)
        case "sync refs":
            yield "sync refs/, unlock", Saver(saver.name, "end"), ended(refs_synced(state), saver)


def list_objects(state: State, saver: Saver, rules: Rules) -> SaveStep:
    save = SAVES[saver.name]
    found = held(state.packs)
    if not rules.trash_is_no_hit:
        found |= held(frozenset(it.pack for it in state.trash))
    if save.forks and rules.fork_looks_for_its_parent and not closure([save.after]) <= found:
        return (
            "refuse: what it begins at was collected",
            Saver(saver.name, "end"),
            ended(state, saver),
        )
    return "list objects/", saver._replace(step="write", found=found & closure([save.after])), state


def write(state: State, saver: Saver, rules: Rules) -> SaveStep:
    save = SAVES[saver.name]
    new = NOTHING if save.forks else closure([save.after]) - saver.found
    if not rules.each_object_is_looked_for and save.after in saver.found:
        new = NOTHING
    syncs = rules.ref_waits_for_pack and (new or rules.objects_are_synced_though_nothing_is_new)
    text = f"write pack of {''.join(sorted(new)) or 'nothing'}"
    return text, Saver(saver.name, "sync" if syncs else "move"), with_pack(state, saver.name, new)


def ended(state: State, saver: Saver) -> State:
    """Without the save's locks; and nothing waits for it any more."""
    trash = frozenset(it._replace(during=it.during - {saver.name}) for it in state.trash)
    return state._replace(locks=state.locks - {saver.name}, trash=trash)


def merge_steps(state: State, rules: Rules) -> Iterator[tuple[str, State]]:
    """`Merger._work`: at a save of this process, and, if others save, at a later one. Never while
    gc is at work.
    """
    if state.gc.step not in {"list", "end"}:  # it holds merge.lock, too
        return
    merger = state.merger
    match merger.step:
        case "copy":
            chosen = frozenset(pack for pack in state.packs if pack.name in {"p1", "p2"})
            after = state._replace(
                merger=Merger("lock", chosen) if len(chosen) > 1 else Merger("end")
            )
            yield (
                "merge: copy p1 and p2 into m, sync objects/",
                objects_synced(with_pack(after, "m", held(chosen))),
            )
        case "lock":
            if not state.locks:
                there = (
                    any(pack.name == "m" for pack in state.packs)
                    or not rules.merge_looks_for_its_pack
                )
                after = merger._replace(
                    step="remove", replaced=merger.replaced if there else frozenset()
                )
                yield (
                    "merge: lock store.lock, list objects/",
                    state._replace(merger=after, locks=state.locks | {"M"}),
                )
        case "remove":
            for pack in merger.replaced & state.packs:
                yield f"merge: remove {pack.name}", state._replace(packs=state.packs - {pack})
            if not merger.replaced & state.packs:
                yield (
                    "merge: unlock",
                    state._replace(merger=Merger("end"), locks=state.locks - {"M"}),
                )


def next_cycle(state: State) -> State:
    left = state.cycles - 1
    return state._replace(gc=Collector("list" if left else "end"), cycles=left)


def collect_steps(state: State, rules: Rules) -> Iterator[tuple[str, State]]:  # noqa: C901 - one case a step
    """`gc.take_survey`, then a pass of `sweep._Sweeper`."""
    gc = state.gc
    if state.merger.step == "remove":  # it holds merge.lock
        return
    match gc.step:
        case "list":
            yield (
                "gc: list objects/",
                state._replace(gc=gc._replace(step="mark", listed=state.packs)),
            )
        case "mark":
            yield "gc: mark", state._replace(gc=gc._replace(step="copy", live=live(state)))
        case "copy":
            yield copy(state, rules)
        case "lock":
            if not rules.locks_work or not state.locks:
                held_by = frozenset({"gc"}) if rules.locks_work else state.locks
                yield (
                    "gc: lock store.lock, exclusive",
                    state._replace(gc=gc._replace(step="sync"), locks=held_by),
                )
        case "sync" | "sync dropped":
            yield sync(state, rules)
        case "mark again":
            yield mark_again(state, rules)
        case "note":
            yield note(state, rules)
        case "drop":
            after = moved(state, DROPPED_RUN, "")._replace(gc=gc._replace(step="sync dropped"))
            yield "gc: remove refs", after
        case "move":
            yield from move(state, rules)
        case "purge":
            yield from purge(state, rules)


def copy(state: State, rules: Rules) -> tuple[str, State]:
    gc = state.gc
    partly = frozenset(pack for pack in gc.listed if pack.holds & gc.live and pack.holds - gc.live)
    copied = (
        objects_synced(with_pack(state, f"g{state.cycles}", held(partly) & gc.live))
        if partly
        else state
    )
    after = gc._replace(
        step="lock", old=old_trash(state, rules), live=NOTHING if rules.gc_marks_again else gc.live
    )
    after = after._replace(needs_note="E" in held(gc.listed) or has_trash(state, rules))
    return "gc: see what of trash/ is old; copy into a new pack, sync objects/", copied._replace(
        gc=after
    )


def sync(state: State, rules: Rules) -> tuple[str, State]:
    gc = state.gc
    if gc.step == "sync dropped":
        synced = refs_synced(state) if rules.gc_syncs_dropped_refs else state
        return "gc: sync refs/", synced._replace(gc=gc._replace(step="move"))
    synced = refs_synced(objects_synced(state)) if rules.gc_syncs_before_it_marks else state
    return "gc: sync refs/, objects/", synced._replace(gc=gc._replace(step="mark again"))


def live(state: State) -> Objects:
    """What the refs lead to, but for the run that is to go, unless it has moved."""
    return closure([history[-1] for run, history in enumerate(state.refs) if run != DROPPED_RUN])


def old_trash(state: State, rules: Rules) -> frozenset[Pack]:
    """Give the packs in `trash/` that no save can have found before they came there."""
    waits = not rules.trusted and rules.purge_waits_for_saves
    return frozenset(it.pack for it in state.trash if not (waits and it.during))


def mark_again(state: State, rules: Rules) -> tuple[str, State]:
    """`_condemn`: mark, bring back, drop refs; and choose the packs that go."""
    gc = state.gc
    alive = live(state) if rules.gc_marks_again else gc.live
    if rules.gc_brings_back:
        missing = alive - held(state.packs)
        back = frozenset(it for it in state.trash if it.pack.holds & missing)
        state = state._replace(
            packs=state.packs | {it.pack for it in back}, trash=state.trash - back
        )
    staying = {pack for pack in state.packs if pack not in gc.listed}
    going: set[Pack] = set()
    for pack in sorted(gc.listed & state.packs):
        (staying if pack.holds & alive - held(frozenset(staying)) else going).add(pack)
    after = gc._replace(step="note", live=NOTHING, listed=frozenset(), going=frozenset(going))
    return "gc: mark again, bring back from trash/", state._replace(gc=after)


def has_trash(state: State, rules: Rules) -> bool:
    return bool(rules.notes_wait_for_trash and state.trash)


def note(state: State, rules: Rules) -> tuple[str, State]:
    """`Departure.carry_out`: all the notes that are needed, in one file."""
    drops = state.refs[DROPPED_RUN][-1] != ""
    needed = rules.notes_stay_while_needed and (state.gc.needs_note or has_trash(state, rules))
    noted = (drops and rules.drop_is_noted_first) or (state.noted and needed)
    ghosts = (
        state.ghosts - {"trash"}
        if state.noted > noted and rules.notes_go_after_a_sync
        else state.ghosts
    )
    after = state.gc._replace(step="drop" if drops else "sync dropped", needs_note=True)
    return "gc: write dropped.json, durably", state._replace(gc=after, noted=noted, ghosts=ghosts)


def move(state: State, rules: Rules) -> Iterator[tuple[str, State]]:
    gc = state.gc
    for pack in gc.going & state.packs:
        after = state._replace(
            packs=state.packs - {pack},
            unsynced=state.unsynced - {pack},
            trash=state.trash | {Trashed(pack, under_way(state))},
            gc=gc._replace(moved=gc.moved | {pack}),
        )
        yield f"gc: move {pack.name} to trash/", with_ghost(after, "objects", pack)
    if not gc.going & state.packs:
        after = state._replace(
            gc=gc._replace(step="purge", going=frozenset()), locks=state.locks - {"gc"}
        )
        syncs = rules.gc_syncs_before_it_purges and not rules.trusted
        yield "gc: unlock, sync objects/", objects_synced(after) if syncs else after


def purge(state: State, rules: Rules) -> Iterator[tuple[str, State]]:
    gc = state.gc
    may_go = gc.old | gc.moved if rules.trusted else gc.old - gc.moved
    if not rules.purge_waits_before_the_mark:
        may_go = old_trash(state, rules) - gc.moved
    gone = [it for it in state.trash if it.pack in may_go]
    for it in gone:
        yield (
            f"gc: purge {it.pack.name}",
            with_ghost(state._replace(trash=state.trash - {it}), "trash", it.pack),
        )
    if not gone:
        yield "gc: end", next_cycle(state)


# --- the search -----------------------------------------------------------------------------------


def problem(state: State) -> str:
    """Say what is wrong: what a ref leads to is gone, now or after a power cut."""
    trash = held(frozenset(it.pack for it in state.trash))
    if closure([history[-1] for history in state.refs]) - held(state.packs) - trash:
        return "a ref leads to what is gone"
    if closure(list(chain.from_iterable(state.refs))) - held(state.packs - state.unsynced) - trash:
        return "after a power cut a ref leads to what is gone"
    if (
        "" in state.refs[DROPPED_RUN]
        and not state.noted
        and (state.ghosts or "E" in held(state.packs) | trash)
    ):
        return "after a power cut a run that was dropped looks lost"
    return ""


class Outcome(NamedTuple):
    states: int
    counter_example: list[str]


def search(
    rules: Rules, savers: tuple[str, ...] = tuple(SAVES), kills: int = 1, cycles: int = 2
) -> Outcome:
    """Look at every state that can be reached, nearest first, up to one that is wrong."""
    first = start(savers, kills, cycles)
    came_from: dict[State, tuple[State, str] | None] = {first: None}
    queue = deque([first])
    while queue:
        state = queue.popleft()
        if why := problem(state):
            path = [why]
            link = came_from[state]
            while link is not None:
                path.append(link[1])
                link = came_from[link[0]]
            return Outcome(len(came_from), path[::-1])
        for name, after in steps(state, rules):
            if after not in came_from:
                came_from[after] = state, name
                queue.append(after)
    return Outcome(len(came_from), [])


LOCKED, UNLOCKED = Rules(), Rules(locks_work=False)
PAIRS = [("W1", "W2"), ("W1", "W3"), ("W2", "W3")]


@pytest.mark.parametrize("savers", [*PAIRS, ("W1", "M")])
def test_the_protocol_is_safe(savers: tuple[str, ...]) -> None:
    """Whoever is killed, and whenever the power goes."""
    assert [] == search(LOCKED, savers).counter_example


@pytest.mark.parametrize("savers", [("W1",), ("W2",), ("W3",)])
def test_the_protocol_is_safe_where_locks_do_nothing(savers: tuple[str, ...]) -> None:
    """By way of the trash, later cycles, and an hour."""
    assert [] == search(UNLOCKED, savers).counter_example


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("rules", "savers", "kills"),
    [(LOCKED, ("W1", "W2", "W3"), 2), *((LOCKED, (*pair, "M"), 1) for pair in PAIRS)]
    + [(UNLOCKED, pair, 0) for pair in PAIRS],
)
def test_the_protocol_is_safe_with_more_at_once(
    rules: Rules, savers: tuple[str, ...], kills: int
) -> None:
    assert [] == search(rules, savers, kills).counter_example


def without(rule: str, *savers: str, locked: bool = True) -> object:
    return pytest.param(replace(LOCKED if locked else UNLOCKED, **{rule: False}), savers, id=rule)


@pytest.mark.parametrize(
    ("rules", "savers"),
    [
        without("save_holds_shared_lock", "W1"),
        without("each_object_is_looked_for", "W1"),
        without("objects_are_synced_though_nothing_is_new", "W1", "W2"),
        without("ref_waits_for_pack", "W1"),
        without("fork_looks_for_its_parent", "W3"),
        without("gc_syncs_before_it_marks", "W1", "W2"),
        without("gc_marks_again", "W1"),
        without("gc_syncs_dropped_refs", "W1"),
        without("drop_is_noted_first", "W1"),
        without("notes_stay_while_needed", "W3"),
        without("notes_go_after_a_sync", "W1"),
        without("merge_looks_for_its_pack", "W1", "M"),
        without("notes_wait_for_trash", "W1", locked=False),
        without("trash_is_no_hit", "W1", locked=False),
        without("gc_brings_back", "W1", locked=False),
        without("purge_waits_for_saves", "W1", locked=False),
        without("purge_waits_before_the_mark", "W1", locked=False),
    ],
)
def test_every_rule_is_needed(rules: Rules, savers: tuple[str, ...]) -> None:
    """Without it something is lost, and the search says how."""
    assert [] != search(rules, savers).counter_example


@pytest.mark.thorough
def test_a_purge_needs_what_the_mark_found_to_be_durable() -> None:
    """Another save may have written it a moment ago."""
    assert (
        []
        != search(
            replace(UNLOCKED, gc_syncs_before_it_purges=False), ("W1", "W2"), kills=0
        ).counter_example
    )
