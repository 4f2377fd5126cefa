"""The protocol of saves and gc as a model, of which every interleaving, kill and power cut is
looked at.

Three saves, a merge of packs and a gc of two cycles run in all orders; where locks do nothing there
is no merge, and gc runs when nothing else does. Any process may be killed between any two steps,
which frees its locks; the power may go at any instant. A step is what the
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
    gc_is_alone: bool = True
    """Where locks do nothing: it refuses, unless the user says that nothing else is at work."""
    save_holds_shared_lock: bool = True
    each_object_is_looked_for: bool = True
    """A hit on a tree says nothing about its children."""
    trash_is_no_hit: bool = True
    objects_are_synced_though_nothing_is_new: bool = True
    ref_waits_for_pack: bool = True
    fork_looks_for_its_parent: bool = True
    gc_syncs_before_it_marks: bool = True
    gc_marks_again: bool = True
    gc_syncs_dropped_refs: bool = True
    drop_is_noted_first: bool = True
    notes_stay_while_needed: bool = True
    """While a pack holds a checkpoint of the run."""
    merge_looks_for_its_pack: bool = True
    """gc may have taken the merged pack, and left those that it replaces."""


class Pack(NamedTuple):
    name: str
    holds: Objects


class Saver(NamedTuple):
    name: str
    step: str = "lock"
    found: Objects = NOTHING


class Collector(NamedTuple):
    step: str = "list"
    listed: frozenset[Pack] = frozenset()
    live: Objects = NOTHING
    going: frozenset[Pack] = frozenset()
    needs_note: bool = True


class Merger(NamedTuple):
    """What copies p1 and p2 into one pack. It merges in no store whose locks cannot be trusted."""

    step: str = "copy"
    replaced: frozenset[Pack] = frozenset()


class State(NamedTuple):
    packs: frozenset[Pack]
    unsynced: frozenset[Pack]
    """Those of `packs` whose names may be lost."""
    trash: frozenset[Pack]
    refs: tuple[tuple[str, ...], ...]
    """For each run where its ref stood since `refs/` was synced, now last; empty text for none."""
    noted: bool
    """Whether it is noted, durably, that r4 was dropped."""
    ghost: bool
    """Whether a pack with E, which is in `objects/` no more, may be there after a power cut."""
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
    return State(
        packs,
        frozenset(),
        frozenset(),
        refs,
        False,
        False,
        frozenset(),
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
    return state._replace(unsynced=frozenset(), ghost=False)


def with_pack(state: State, name: str, holds: Objects) -> State:
    pack = Pack(name, holds)
    return (
        state._replace(packs=state.packs | {pack}, unsynced=state.unsynced | {pack})
        if holds
        else state
    )


def saves(state: State) -> bool:
    """Whether a save is under way."""
    return any(saver.step not in {"lock", "end"} for saver in state.savers)


def collects(state: State) -> bool:
    """Whether gc is at work."""
    return state.gc.step not in {"list", "end"}


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
    if state.kills and collects(state):
        freed = state.locks - {"gc"}
        yield "kill gc", next_cycle(state._replace(locks=freed, kills=state.kills - 1))


SaveStep = tuple[str, Saver, State]


def save_steps(state: State, saver: Saver, rules: Rules) -> Iterator[SaveStep]:
    """`Store.save`."""
    save = SAVES[saver.name]
    match saver.step:
        case "lock":
            locks = rules.locks_work and rules.save_holds_shared_lock
            if not rules.locks_work and rules.gc_is_alone and collects(state):
                return
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
        found |= held(state.trash)
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
    """Without the save's locks."""
    return state._replace(locks=state.locks - {saver.name})


def merge_steps(state: State, rules: Rules) -> Iterator[tuple[str, State]]:
    """`Merger._work`: at a save of this process, and, if others save, at a later one. Never while
    gc is at work.
    """
    if collects(state):  # it holds merge.lock, too
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
    waits = not rules.locks_work and rules.gc_is_alone and saves(state)
    if waits or state.merger.step == "remove":  # which holds merge.lock
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
            yield from move(state)
        case "purge":
            yield from purge(state)


def copy(state: State, rules: Rules) -> tuple[str, State]:
    gc = state.gc
    partly = frozenset(pack for pack in gc.listed if pack.holds & gc.live and pack.holds - gc.live)
    copied = (
        objects_synced(with_pack(state, f"g{state.cycles}", held(partly) & gc.live))
        if partly
        else state
    )
    after = gc._replace(
        step="lock",
        live=NOTHING if rules.gc_marks_again else gc.live,
        needs_note="E" in held(gc.listed),
    )
    return "gc: copy into a new pack, sync objects/", copied._replace(gc=after)


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


def mark_again(state: State, rules: Rules) -> tuple[str, State]:
    """`_condemn`: mark, drop refs; and choose the packs that go."""
    gc = state.gc
    alive = live(state) if rules.gc_marks_again else gc.live
    staying = {pack for pack in state.packs if pack not in gc.listed}
    going: set[Pack] = set()
    for pack in sorted(gc.listed & state.packs):
        (staying if pack.holds & alive - held(frozenset(staying)) else going).add(pack)
    after = gc._replace(step="note", live=NOTHING, listed=frozenset(), going=frozenset(going))
    return "gc: mark again", state._replace(gc=after)


def note(state: State, rules: Rules) -> tuple[str, State]:
    """`Departure.carry_out`: all the notes that are needed, in one file."""
    drops = state.refs[DROPPED_RUN][-1] != ""
    needed = rules.notes_stay_while_needed and state.gc.needs_note
    noted = (drops and rules.drop_is_noted_first) or (state.noted and needed)
    after = state.gc._replace(step="drop" if drops else "sync dropped", needs_note=True)
    return "gc: write dropped.json, durably", state._replace(gc=after, noted=noted)


def move(state: State) -> Iterator[tuple[str, State]]:
    gc = state.gc
    for pack in gc.going & state.packs:
        after = state._replace(
            packs=state.packs - {pack},
            unsynced=state.unsynced - {pack},
            trash=state.trash | {pack},
            ghost=state.ghost or "E" in pack.holds,
        )
        yield f"gc: move {pack.name} to trash/", after
    if not gc.going & state.packs:
        after = gc._replace(step="purge", going=frozenset())
        yield "gc: unlock", state._replace(gc=after, locks=state.locks - {"gc"})


def purge(state: State) -> Iterator[tuple[str, State]]:
    for pack in state.trash:
        yield f"gc: purge {pack.name}", state._replace(trash=state.trash - {pack})
    if not state.trash:
        yield "gc: end", next_cycle(state)


# --- the search -----------------------------------------------------------------------------------


def problem(state: State) -> str:
    """Say what is wrong: what a ref leads to is gone, now or after a power cut."""
    if closure([history[-1] for history in state.refs]) - held(state.packs):
        return "a ref leads to what is gone"
    if closure(list(chain.from_iterable(state.refs))) - held(state.packs - state.unsynced):
        return "after a power cut a ref leads to what is gone"
    if (
        "" in state.refs[DROPPED_RUN]
        and not state.noted
        and (state.ghost or "E" in held(state.packs))
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
    """Saves need none; gc runs when nothing else does."""
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
        without("merge_looks_for_its_pack", "W1", "M"),
        without("trash_is_no_hit", "W1"),
        without("gc_is_alone", "W1", locked=False),
    ],
)
def test_every_rule_is_needed(rules: Rules, savers: tuple[str, ...]) -> None:
    """Without it something is lost, and the search says how."""
    assert [] != search(rules, savers).counter_example
