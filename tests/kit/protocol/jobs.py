"""The processes of the model of saves and gc, and what the steps of several of them look at."""

from __future__ import annotations

from typing import NamedTuple

from kit.protocol.world import (
    NO_REF,
    Objects,
    Process,
    Ref,
    Rules,
    State,
    closure,
    held,
    recorded,
    works,
)


class Owner(NamedTuple):
    """What owns its run, and appends records to an open pack."""

    run: int
    goals: str
    seals: bool = False
    """Its pack, after the first save."""
    seals_at_end: bool = False
    goes_on: bool = False
    """When a save has failed, with the next one."""
    big: int = -1
    """The save that writes a sealed pack, as it is large, beside its record."""


class Save(NamedTuple):
    """What writes a pack and a durable ref."""

    run: int
    at: str
    forks: int | None = None
    """The run whose newest checkpoint it begins with."""


class Tag(NamedTuple):
    run: int


class Drop(NamedTuple):
    run: int
    to: Ref = NO_REF
    """Where the run stands then, if it is not dropped but taken back."""


class Sealer(NamedTuple):
    """What seals an open pack that nobody keeps, as gc does before it begins."""


JOBS: dict[str, Owner | Save | Tag | Drop | Sealer] = {
    "A": Owner(1, "T"),
    "A2": Owner(1, "TM"),
    "A seals": Owner(1, "TM", seals=True),
    "A ends": Owner(1, "T", seals_at_end=True),
    "A goes on": Owner(1, "XMT", goes_on=True),
    "P": Owner(1, "X"),
    "P2": Owner(1, "XU"),
    "Q": Owner(1, "U"),
    "A big": Owner(1, "TMZ", big=1),
    "B": Owner(2, "N"),
    "B2": Owner(2, "T"),
    "C": Owner(1, "X"),
    "C2": Owner(1, "XY"),
    "W1": Save(1, "T"),
    "W2": Save(2, "N"),
    "W4": Save(2, "T"),
    "W5": Save(1, "Z"),
    "W3": Save(3, "E", forks=4),
    "F": Save(3, "", forks=1),
    "tag": Tag(1),
    "drop": Drop(1),
    "take back": Drop(1, Ref(1, "D")),
    "seal": Sealer(),
}
"""Where saves may fail, no two of a mix save the same object of one run: by it they are told apart.
"""


Step = tuple[str, Process, State]
Job = Owner | Save | Tag | Drop | Sealer


def is_owned(state: State, run: int) -> bool:
    if state.gc.drops and state.dropping == run:
        return True
    return any(
        works(other) and isinstance(job := JOBS[other.name], Owner | Drop) and job.run == run
        for other in state.processes
    )


def may_lock(state: State, rules: Rules) -> bool:
    """Whether gc does not have `store.lock` alone."""
    return not rules.locks_work or state.gc.step not in ALONE


ALONE = {"sync", "mark again", "note", "drop", "sync dropped", "move"}
"""The steps of gc with `store.lock` alone, and `refs.lock`."""


def refs_are_free(state: State) -> bool:
    return not any(process.refs_lock for process in state.processes)


def hits(state: State, rules: Rules, own: str = "") -> Objects:
    """Give what a save need not write again: what is in sealed packs, and in the one that it
    keeps.
    """
    found = held(state.packs)
    if not rules.trash_is_no_hit:
        found |= held(state.trash)
    others = not rules.what_others_append_is_no_hit
    return found | recorded(pack for pack in state.opens if others or pack.name == own)


def is_there(state: State, at: str, rules: Rules) -> bool:
    """Say whether a change may lean on *at*, as far as it looks."""
    there = held(state.packs) | recorded(state.opens)
    return not rules.what_is_leaned_on_is_looked_for or closure([at]) <= there
