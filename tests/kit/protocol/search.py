"""Looks at every state that the processes of the model can bring about, nearest first."""

from __future__ import annotations

import gc
from collections import deque
from collections.abc import Iterator
from typing import NamedTuple

from kit.protocol.gc_steps import collect_steps
from kit.protocol.jobs import JOBS, Owner, Sealer, Step
from kit.protocol.other_steps import other_steps
from kit.protocol.owner_steps import owner_steps, torn_states
from kit.protocol.pack_steps import seal_steps
from kit.protocol.world import (
    NO_REF,
    Collector,
    Open,
    Pack,
    Process,
    Ref,
    RefFile,
    Rules,
    State,
    after_power_cut,
    all_stopped,
    collects,
    let_go,
    next_cycle,
    open_pack,
    problems,
    what_is_seen,
    with_open,
    works,
)


class Mix(NamedTuple):
    """Who is at work, and how often what fails may fail."""

    names: tuple[str, ...]
    """Of `jobs.JOBS`."""
    cycles: int = 0
    """Of gc."""
    dropping: int = 3
    """The run that gc drops if there is one and nobody owns it."""
    kills: int = 1
    failures: int = 0
    """Of syncs of open packs."""


def start(mix: Mix) -> State:
    packs = frozenset(
        {Pack("p1", frozenset("LT")), Pack("p2", frozenset("C")), Pack("p3", frozenset("DE"))}
    )
    refs = (Ref(1, "L"), Ref(1, "D"), NO_REF, NO_REF, Ref(1, "E"))
    return State(
        packs=packs,
        unsynced=frozenset(),
        ghosts=frozenset(),
        formers=(),
        trash=frozenset(),
        opens=(),
        refs=tuple(RefFile(ref, frozenset({ref})) for ref in refs),
        noted=False,
        processes=tuple(Process(name) for name in mix.names),
        gc=Collector("list" if mix.cycles else "end"),
        dropping=mix.dropping,
        acknowledged=refs,
        failed=frozenset(),
        dropped=frozenset(),
        kills=mix.kills,
        failures=mix.failures,
        cycles=mix.cycles,
    )


def with_process(state: State, number: int, process: Process) -> State:
    processes = (*state.processes[:number], process, *state.processes[number + 1 :])
    return state._replace(processes=processes)


def steps_of(state: State, process: Process, rules: Rules) -> Iterator[Step]:
    """Yield what *process* may do next: the step, the process after it, and the rest."""
    job = JOBS[process.name]
    match job:
        case Owner():
            yield from owner_steps(state, process, job, rules)
        case Sealer():
            yield from seal_steps(state, process, rules)
        case _:
            yield from other_steps(state, process, job, rules)


def steps(state: State, rules: Rules) -> Iterator[tuple[str, State]]:
    """Yield what may happen next while there is power, and what is then."""
    for number, process in enumerate(state.processes):
        if process.step == "end":
            continue
        for name, after, changed in steps_of(state, process, rules):
            yield f"{process.name}: {name}", with_process(changed, number, after)
        if state.kills and works(process):
            for text, left in killed(state, process, rules):
                dead = with_process(
                    let_go(left, process.name), number, Process(process.name, "end")
                )
                yield f"kill {process.name}{text}", dead._replace(kills=state.kills - 1)
    for name, changed in collect_steps(state, rules):
        yield f"gc: {name}", changed
    if state.kills and collects(state):
        yield "kill gc", next_cycle(state)._replace(kills=state.kills - 1)


def killed(state: State, process: Process, rules: Rules) -> Iterator[tuple[str, State]]:
    """Yield what *process* leaves if it is killed: in the middle of a write half of that."""
    yield "", state
    job = JOBS[process.name]
    if isinstance(job, Owner) and process.step == "save it":
        mine = open_pack(state, process.pack) or Open(process.pack)
        yield " in its append", with_open(state, mine._replace(tail="torn"))
    if isinstance(job, Owner) and process.step == "move":
        for left in torn_states(state, process, job, rules):
            yield " as it writes over its ref", left


class Outcome(NamedTuple):
    states: int
    counter_example: list[str]


def search(rules: Rules, mix: Mix) -> Outcome:
    """Look at every state that can be reached, up to one that is wrong."""
    gc.disable()  # No state has a cycle, and looking for some takes a quarter of the time.
    try:
        return _search(rules, mix)
    finally:
        gc.enable()


def _search(rules: Rules, mix: Mix) -> Outcome:
    first = start(mix)
    came_from: dict[State, tuple[State, str] | None] = {first: None}
    queue = deque([first])
    looked_at: set[State] = set()
    cut: set[State] = set()

    def reach(after: State, link: tuple[State, str]) -> None:
        if came_from.setdefault(after, link) is link:
            queue.append(after)

    while queue:
        state = queue.popleft()
        if (seen := what_is_seen(state)) not in looked_at:
            looked_at.add(seen)
            if why := next(problems(state, rules), ""):
                return Outcome(len(came_from), [*path_to(state, came_from), why])
        for name, after in steps(state, rules):
            reach(after, (state, name))
        if (stopped := all_stopped(state)) not in cut:
            cut.add(stopped)
            for after in after_power_cut(stopped):
                reach(after, (state, "power cut"))
    return Outcome(len(came_from), [])


def path_to(state: State, came_from: dict[State, tuple[State, str] | None]) -> list[str]:
    path: list[str] = []
    while (link := came_from[state]) is not None:
        state, name = link
        path.append(name)
    return path[::-1]
